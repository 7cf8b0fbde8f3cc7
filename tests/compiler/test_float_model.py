"""The float model that `eval` runs: which parameters its task has, how photos are run, and that its engine is closed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgevision.errors import DataError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

COLOR = Path(__file__).parents[1] / "data" / "color.onnx"  # logits: 8 × the mean of red, green and blue
TASK = classify_spec([Label(10, "red"), Label(20, "green"), Label(30, "blue")])
PLAIN = PreprocessSpec(8, 8)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What every file is read as: the colours' network, and the photos that a test puts into its pack."""
    from edgevision.compiler import float_model

    model = SimpleNamespace(task=TASK, spec=PLAIN, photos=None)
    monkeypatch.setattr(float_model, "load_source", lambda path, options: model)
    monkeypatch.setattr(float_model, "export_float", lambda source: (COLOR.read_bytes(), ()))
    return model


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The runners that were closed, in order."""
    from edgevision.runtime.runner import Runner

    found: list[Any] = []
    close = Runner.close
    monkeypatch.setattr(Runner, "close", lambda self: found.append(self) or close(self))  # type: ignore[func-returns-value]
    return found


def opened(**more: Any) -> Any:
    from edgevision.compiler.float_model import FloatModel
    from edgevision.compiler.sources.source import SourceOptions

    return FloatModel(Path("net.pt"), SourceOptions(), threads=1, **more)


def plain(place: int) -> Any:
    """A photo of one colour: red, green and blue in turns, each a little darker than the one before."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 2 - place % 3] = 250 - place
    return image


def pack(count: int) -> Any:
    """A checkpoint's photos: all with labels, the odd ones in its training set."""
    from edgevision.decode import encode_png
    from edgevision.train.checkpoint import PackedPhoto, PhotoPack

    photos = tuple(PackedPhoto(encode_png(plain(place)), place % 3, place % 2 == 1) for place in range(count))
    return PhotoPack(photos, ())


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What fitting is asked for; it gives a temperature of 2."""
    from edgevision.evaluate.base import Fit
    from edgevision.evaluate.tasks.classify import ClassifyEvaluator

    asked: list[Any] = []

    def fit(self: Any, *given: Any) -> Fit:
        asked.append(given)
        return Fit({"temperature": 2.0})

    monkeypatch.setattr(ClassifyEvaluator, "fit", fit)
    return asked


@pytest.mark.parametrize("count", [1, 8, 9, 17])
def test_parameters_are_fitted_on_all_photos_of_the_checkpoint(source: Any, fitted: list[Any], count: int) -> None:
    source.photos = pack(count)
    told: list[Any] = []
    with opened(true_accept_rate=0.9, progress=lambda *step: told.append(step)) as model:
        assert model.task.spec.parameters == {"temperature": 2.0}
        expected = model.digest([plain(place) for place in range(count)])
    ((reference, own, truth, learnt, rate),) = fitted
    assert (truth, rate) == ([place % 3 for place in range(count)], 0.9)
    assert learnt == [place % 2 == 1 for place in range(count)]
    for name, values in expected.items():
        assert len(values) == count
        np.testing.assert_allclose(own[name], values, rtol=1e-6)
        np.testing.assert_allclose(reference[name], values, rtol=1e-6)
    assert told[0] == ("export", 0, 0)
    assert told[1:] == [("fit the task's parameters", start, count) for start in range(0, count, 8)]


@pytest.mark.parametrize("given", [{}, {"temperature": 3.0}])
def test_parameters_that_are_given_are_not_fitted(source: Any, fitted: list[Any], given: dict[str, float]) -> None:
    source.photos = pack(9)
    with opened(fitted=given) as model:
        assert model.task.spec.parameters == given
    assert fitted == []


@pytest.mark.parametrize("photos", [None, pack])
def test_without_photos_nothing_is_fitted(source: Any, fitted: list[Any], photos: Any) -> None:
    source.photos = photos and photos(0)
    with opened() as model:
        assert model.task.spec.parameters == {}
    assert fitted == []


@pytest.mark.parametrize("count", [1, 8, 17])
def test_photos_are_answered_in_their_order_at_most_eight_at_a_time(
    source: Any, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    from edgevision.runtime.runner import Runner

    batches: list[int] = []
    run = Runner.run
    monkeypatch.setattr(Runner, "run", lambda self, items: batches.append(len(items)) or run(self, items))  # type: ignore[func-returns-value]
    images = [plain(place) for place in range(count)]
    with opened() as model:
        (answers,) = model.digest(images).values()
        assert sum(batches) == count
        assert max(batches) <= 8
        assert len(batches) == -(-count // 8)
    brightest = [250 - place for place in range(count)]
    np.testing.assert_allclose(answers.max(1), 8 / 255 * np.array(brightest), rtol=1e-5)
    assert answers.argmax(1).tolist() == [place % 3 for place in range(count)]


def test_the_engine_is_closed_at_the_end(source: Any, closed: list[Any]) -> None:
    with opened():
        assert closed == []
    assert len(closed) == 1


@pytest.mark.parametrize("failing", ["unpack", "fit", "parameters"])
def test_the_engine_is_closed_where_fitting_fails(
    source: Any, closed: list[Any], monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    from edgevision.compiler import float_model
    from edgevision.evaluate.base import Fit
    from edgevision.evaluate.tasks.classify import ClassifyEvaluator

    def fail(*given: Any) -> Any:
        raise DataError("no such photos")

    source.photos = pack(9)
    if failing == "unpack":
        monkeypatch.setattr(float_model, "unpack", fail)
    if failing == "fit":
        monkeypatch.setattr(ClassifyEvaluator, "fit", fail)
    if failing == "parameters":  # what was fitted is refused by the task
        monkeypatch.setattr(ClassifyEvaluator, "fit", lambda self, *given: Fit({}))
        make, made = float_model.make_task, []
        monkeypatch.setattr(float_model, "make_task", lambda spec: fail() if made else made.append(1) or make(spec))
    with pytest.raises(DataError, match="no such photos"):
        opened()
    assert len(closed) == 1
