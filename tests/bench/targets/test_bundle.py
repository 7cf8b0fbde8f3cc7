"""Bundles as targets: the answers that a user gets, what they tell of themselves, and cameras served by their own stream."""

from __future__ import annotations

import threading

import cells
import numpy as np
import pytest
from bench_frames import BLUE, GREEN, RED, plain, read_all

import edgevision as ev
from edgevision.bench.workload.rendered import encode_jpeg
from edgevision.errors import EdgeVisionError, EngineError, InputError

pytestmark = pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning")


def test_answers_are_those_of_a_user(opened, color_bundle):
    path = color_bundle()
    target = opened(f"{path}@variant=onnxruntime-float")
    frames = [plain(RED), plain(GREEN), plain(BLUE), plain((10, 20, 90)), plain((90, 20, 10))]
    with ev.load(path, variant="onnxruntime-float") as model:
        labels = [label.id for label in model.labels]
        expected = [labels.index(result.best.id) for result in model.predict(frames)]
    stages: dict[str, int] = {}
    results = target.answer(frames, stages)  # in two batches, of 4 and 1
    assert [target.read(one).classes[0] for one in results] == expected == [0, 1, 2, 0, 2]
    timings = {id(one.timing): one.timing for one in results}.values()
    assert stages["infer"] == pytest.approx(1e6 * sum(timing.infer_ms for timing in timings), abs=10)
    assert set(stages) == {"preprocess", "infer", "post"}
    assert target.parallel


def test_what_it_tells_of_itself(opened, color_bundle):
    identity = opened(f"{color_bundle()}@variant=onnxruntime-int8,threads=1").identity
    assert identity.precision == "int8 in all 1 layers"
    assert identity.provider.startswith("CPUExecutionProvider: ")
    assert (identity.kind, identity.task, identity.input_shape, identity.threads) == (
        "bundle",
        "classify",
        (1, 3, 8, 8),
        1,
    )
    assert identity.engine.startswith("onnxruntime ")
    assert "variant onnxruntime-int8" in identity.notes[0]


@pytest.mark.requires("openvino")
@pytest.mark.parametrize(("graph", "precision"), [("float", "float32"), ("int8", "int8")])
def test_openvino_variants_tell_their_kernels(opened, color_bundle, graph, precision):
    identity = opened(str(color_bundle(variants=(("x", "openvino", graph),)))).identity
    assert identity.precision == f"{precision} in all 1 layers"
    assert identity.provider.startswith("OpenVINO CPU: ")


def test_frames_of_jpeg(opened, color_bundle):
    target = opened(f"{color_bundle()}@variant=onnxruntime-float")
    stages: dict[str, int] = {}
    (result,) = target.answer([encode_jpeg(plain(GREEN))], stages)
    assert target.read(result).classes[0] == 1
    assert stages["decode"] > 0


def test_a_cascade_of_two(opened, color_bundle, cells_bundle):
    target = opened(f"{cells_bundle}@then={color_bundle(variants=(('a', 'onnxruntime', 'float'),))}")
    stages: dict[str, int] = {}
    (result,) = target.answer([cells.picture((0, 1, 2), (2, 3, 5))], stages)
    answer = target.read(result)
    found = {
        (label, *map(float, box)) for label, box in zip(answer.classes.tolist(), answer.boxes.tolist(), strict=True)
    }
    assert found == {(0, *map(float, cells.box_of(1, 2))), (2, *map(float, cells.box_of(3, 5)))}
    assert set(stages) == {"preprocess", "infer", "post"}
    assert target.identity.task == "detect then classify"
    assert target.identity.precision.count(";") == 1
    assert len(read_all(target, [cells.picture(), cells.picture((1, 0, 0))])) == 2


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ("@variant=nothing", EdgeVisionError, "nothing"),
        ("@variant=all", InputError, "one target for each variant"),
        ("@then=nothing.edge", InputError, "there is no file nothing.edge"),
        ("@threshold=x", InputError, "threshold is a number"),
    ],
)
def test_what_cannot_be_opened(opened, color_bundle, options, error, said):
    with pytest.raises(error, match=said):
        opened(f"{color_bundle()}{options}")


@pytest.mark.parametrize("encoded", [False, True])
def test_cameras_are_served_by_its_own_stream(opened, color_bundle, encoded):
    target = opened(f"{color_bundle()}@variant=onnxruntime-float")
    served: list[tuple[int, int]] = []
    last = threading.Event()

    def note(camera: int, number: int) -> None:
        served.append((camera, number))
        if {(0, 13), (1, 25)} <= set(served):
            last.set()

    before = threading.active_count()
    stream = target.open_stream(2, 15.0, note)
    frame = encode_jpeg(plain(RED)) if encoded else plain(RED)
    for number in range(10, 14):  # the caller's numbers need not begin at 0
        stream.push(0, number, frame)
        stream.push(1, 2 * number - 1, frame)
    assert last.wait(20)
    stream.close()
    assert threading.active_count() == before
    assert len(served) == len(set(served))
    assert set(served) <= {(0, n) for n in range(10, 14)} | {(1, 2 * n - 1) for n in range(10, 14)}


def test_a_model_that_fails_while_it_serves_is_told(opened, color_bundle, monkeypatch):
    target = opened(f"{color_bundle()}@variant=onnxruntime-float")
    failed = threading.Event()
    real = target._model.predict_items

    def fail(items):
        if np.asarray(items[0].planes[0]).any():  # not the black frames that warm it up
            failed.set()
            raise EngineError("it broke")
        return real(items)

    monkeypatch.setattr(target._model, "predict_items", fail)
    stream = target.open_stream(1, 15.0, lambda camera, number: None)
    stream.push(0, 0, plain(RED))
    assert failed.wait(20)
    with pytest.raises(EngineError, match=r"failed while it served cameras: .*it broke"):
        stream.close()
