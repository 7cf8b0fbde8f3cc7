"""Models, cascades and others as the batcher sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stream_models import ToyModel

import edgevision as ev
from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.machine import usable_cores
from edgevision.streams.served_model import as_stream_model, warm_up

BUNDLE = Path(__file__).parents[1] / "data" / "schema1.edge"


@pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning", "ignore::edgevision.errors.DeviceWarning")
def test_a_loaded_model_serves_frames():
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 2] = 200
    with ev.load(BUNDLE, engine="onnxruntime", threads=1, max_batch=4) as model:
        served = as_stream_model(model)
        results = served.predict_frames([Frame.from_array(red, camera="till", sequence=i) for i in range(3)])
        assert [(one.best.name, one.frame.sequence) for one in results] == [("red", 0), ("red", 1), ("red", 2)]
        assert served.max_batch == model.max_batch
        assert served.parallel == usable_cores()
        assert served.id == f"{model.manifest.name}@{model.id[:12]}"


@pytest.mark.requires("openvino")
@pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning", "ignore::edgevision.errors.DeviceWarning")
def test_an_engine_whose_calls_wait_for_each_other_gets_one_at_a_time():
    with ev.load(BUNDLE, engine="openvino", threads=1) as model:
        assert as_stream_model(model).parallel == 1


def test_what_can_serve_is_taken_as_it_is():
    model = ToyModel()
    assert as_stream_model(model) is model


@pytest.mark.parametrize("model", ["model.edge", None, object()])
def test_what_cannot_serve_is_refused(model):
    with pytest.raises(InputError, match=r"expected a model of edgevision.load, .* without id, max_batch"):
        as_stream_model(model)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, "2", None, True])
@pytest.mark.parametrize("name", ["max_batch", "parallel"])
def test_counts_that_are_none_are_refused_before_a_thread_meets_them(name, wrong):
    model = ToyModel()
    setattr(model, name, wrong)
    with pytest.raises(InputError, match=rf"{name} of a ToyModel is a whole number, at least 1, got {wrong!r}"):
        as_stream_model(model)


@pytest.mark.parametrize(
    ("max_batch", "sizes"),
    [(1, [1, 1, 1]), (2, [1, 1, 1, 2, 2, 2]), (4, [1, 1, 1, 2, 4, 4, 4]), (6, [1, 1, 1, 2, 4, 6, 6, 6])],
)
def test_warming_up_runs_every_power_of_two_and_measures_one_frame_and_a_full_batch(max_batch, sizes):
    """An engine with static shapes compiles for each size: none is left for the first real batch."""
    model = ToyModel()
    measured = warm_up(model, max_batch)
    assert [len(call) for call in model.calls] == sizes
    assert [size for size, _ in measured] == sorted({1, max_batch})
    assert all(seconds >= 0 for _, seconds in measured)


def test_a_slow_model_is_not_warmed_up_for_long(monkeypatch):
    """0.9 s a frame by a fake clock: three single frames reach the limit, and four at once would be over it."""
    now_s = [0.0]
    monkeypatch.setattr("edgevision.streams.served_model.time.perf_counter", lambda: now_s[0])

    def take_time(frames) -> None:
        now_s[0] += 0.9 * len(frames)

    model = ToyModel(before=take_time)
    assert [size for size, _ in warm_up(model, 8)] == [1]
    assert [len(call) for call in model.calls] == [1, 1, 1, 2]  # two in 1.8 s; four would take 3.6
