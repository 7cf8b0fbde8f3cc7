"""YOLO's raw heads: boxes that were placed are found, and nothing else."""

from __future__ import annotations

import heads
import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks import Label
from edgevision.tasks.detect.candidates import Evidence, Head
from edgevision.tasks.detect.layouts import find_layout
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import TensorInfo, describe

LAYOUTS = ["yolo", "yolo-transposed", "yolov5"]
ROLE = "boxes_and_scores"


def encoded(layout, objects, classes, size):
    if layout == "yolov5":
        return heads.yolov5(objects, classes, *size)
    grid = heads.yolo(objects, classes, *size)
    return grid.T if layout == "yolo-transposed" else grid


@pytest.mark.parametrize("size", [(160, 160), (96, 224)], ids=["square", "wide"])
@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_placed_is_found(layout, classes, size):
    objects = heads.things(classes, *size)
    both = np.stack([encoded(layout, [], classes, size), encoded(layout, objects, classes, size)])
    decoder = find_layout(layout).make(Head(classes, *size))
    assert not decoder.unique
    decoder.check({info.name: info for info in describe({ROLE: both})})
    assert len(decoder.candidates({ROLE: both}, 0, 0.25).scores) == 0
    found = decoder.candidates({ROLE: both}, 1, 0.25)
    order = np.argsort(-found.scores)
    np.testing.assert_allclose(found.boxes[order], [thing.box for thing in objects], atol=1e-4)
    np.testing.assert_allclose(found.scores[order], [thing.score for thing in objects], atol=1e-6)
    assert found.classes[order].tolist() == [thing.label for thing in objects]
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_float_types_are_read(layout, dtype):
    objects = heads.things(3, 96, 96, count=3)
    array = encoded(layout, objects, 3, (96, 96))[None].astype(dtype)
    found = find_layout(layout).make(Head(3, 96, 96)).candidates({ROLE: array}, 0, 0.25)
    assert found.boxes.dtype == np.float32
    np.testing.assert_allclose(np.sort(found.scores)[::-1], [t.score for t in objects], rtol=2e-3)


def test_of_a_cell_the_best_class_counts():
    grid = np.array([[20, 20, 10, 10, 0.3, 0.6, 0.6]], np.float32).T
    found = find_layout("yolo").make(Head(3, 32, 32)).candidates({ROLE: grid[None]}, 0, 0.25)
    assert (found.classes.tolist(), found.scores.tolist()) == ([1], [pytest.approx(0.6)])


def test_objectness_counts():
    """A sure class in a cell that sees nothing is nothing; and both are multiplied."""
    rows = np.array([[20, 20, 10, 10, 0.1, 1, 0], [20, 20, 10, 10, 0.5, 0.2, 0.8]], np.float32)
    found = find_layout("yolov5").make(Head(2, 32, 32)).candidates({ROLE: rows[None]}, 0, 0.25)
    assert (found.classes.tolist(), found.scores.tolist()) == ([1], [pytest.approx(0.4)])
    assert found.boxes.tolist() == [[15, 15, 25, 25]]


@pytest.mark.parametrize("column", [4, 5])
def test_scores_that_are_none_are_refused(column):
    rows = np.zeros((1, 9, 7), np.float32)
    decoder = find_layout("yolov5").make(Head(2, 32, 32))
    for value, message in ((np.nan, "NaN"), (3.0, "expected scores 0…1")):
        rows[0, 2, column] = value
        with pytest.raises(UnreadableOutputError, match=message):
            decoder.candidates({ROLE: rows}, 0, 0.25)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_does_not_fit_is_refused(layout):
    decoder = find_layout(layout).make(Head(3, 64, 64))
    for shape in ((None, 84, 84), (None, 7), (None, 1, 7, 84)):
        with pytest.raises(EngineError, match=r"'o' has shape .* for 3 labels\. Give one label"):
            decoder.check({ROLE: TensorInfo("o", "float32", shape)})
    with pytest.raises(EngineError, match="one output, for the role 'boxes_and_scores'"):
        decoder.check({"boxes": TensorInfo("o", "float32", (None, 7, 84))})
    with pytest.raises(InputError, match=rf"the layout '{layout}' has none; got \['anchors'\]"):
        find_layout(layout).make(Head(3, 64, 64, {"anchors": []}))


# ---- recognition ----


def facts(*shapes, classes=80, size=(640, 640), **metadata):
    outputs = tuple(TensorInfo(f"output{i}", "float32", (None, *shape)) for i, shape in enumerate(shapes))
    return ModelFacts(outputs, tuple(Label(i, str(i)) for i in range(classes)), None, size, metadata)


def read_by(given):
    """Layouts that recognise the file, with what that rests on."""
    found = {name: find_layout(name).recognise(given) for name in LAYOUTS}
    return {name: reading.evidence for name, reading in found.items() if reading is not None}


SHAPES, METADATA = Evidence.SHAPES, Evidence.METADATA
ULTRALYTICS = {"author": "Ultralytics", "task": "detect", "head": "Detect", "end2end": "False"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (facts((84, 8400)), {"yolo": SHAPES}),
        (facts((8400, 84)), {"yolo-transposed": SHAPES}),
        (facts((25200, 85)), {"yolov5": SHAPES}),
        (facts((5, 8400), classes=1), {"yolo": SHAPES}),
        (facts((7, 525), classes=3, size=(160, 160)), {"yolo": SHAPES}),
        (facts((7, 2100), classes=3, size=(160, 160)), {}),  # other grids
        (facts((7, 2125), classes=3, size=(160, 160)), {"yolo": SHAPES}),  # with stride 4
        (facts((84, 21 * 12 + 6 * 10 + 15), size=(96, 160)), {}),
        (facts((84, 12 * 20 + 6 * 10 + 3 * 5), size=(96, 160)), {"yolo": SHAPES}),
        (facts((85, 8400)), {}),  # 81 classes
        (facts((8400, 85)), {}),  # YOLOX: one box a cell, not three
        (facts((25200, 84)), {}),
        (facts((21, 21), classes=17, size=(32, 32)), {"yolo": SHAPES, "yolo-transposed": SHAPES}),
        (facts((84, 8400), (32, 160, 160)), {}),  # masks
        (facts((84, 8400), **ULTRALYTICS), {"yolo": METADATA}),
        (facts((84, 2121), **ULTRALYTICS), {"yolo": METADATA}),  # strides of its own
        (facts((84, 2121)), {}),
        (facts((84, 8400), **{**ULTRALYTICS, "head": ""}), {"yolo": METADATA}),  # older exporters
        (facts((84, 8400), **{**ULTRALYTICS, "task": "obb"}), {}),
        (facts((84, 8400), **{**ULTRALYTICS, "head": "RTDETRDecoder"}), {}),
        (facts((25200, 85), **ULTRALYTICS), {}),
        (facts((6, 300), classes=2, size=None), {"yolo": SHAPES}),
        (facts((300, 6), classes=2, **{**ULTRALYTICS, "end2end": "True"}), {}),
        (facts((None, 8400)), {}),
    ],
)  # fmt: skip
def test_recognition(given, expected):
    assert read_by(given) == expected


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 80, 80, 85), (3, 40, 40, 85), (3, 20, 20, 85)],
        [(255, 80, 80), (255, 40, 40), (255, 20, 20)],
    ],
)
def test_heads_before_the_anchors_are_refused_with_the_cure(shapes):
    with pytest.raises(InputError, match="anchors are not in the file; export it as one output"):
        find_layout("yolov5").recognise(facts(*shapes))
