"""Heads that give one box for each object: two of them have one shape and mean different things."""

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

LAYOUTS = ["xyxy-score-class", "cxcywh-score-class", "cxcywh-scores"]
ROLE = "boxes_and_scores"


def encoded(layout, objects, classes, size, rows=300):
    if layout == "cxcywh-scores":
        boxes, scores = heads.queries(objects, classes, *size, count=rows)
        return np.concatenate([boxes, scores], axis=1).astype(np.float32)
    return heads.finished(objects, *size, rows, normalised=layout == "cxcywh-score-class")


@pytest.mark.parametrize("size", [(160, 160), (96, 224)], ids=["square", "wide"])
@pytest.mark.parametrize("classes", [1, 2, 3, 80])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_placed_is_found(layout, classes, size):
    objects = heads.things(classes, *size)
    both = np.stack([encoded(layout, [], classes, size), encoded(layout, objects, classes, size)])
    decoder = find_layout(layout).make(Head(classes, *size))
    assert decoder.unique
    decoder.check({info.name: info for info in describe({ROLE: both})})
    assert len(decoder.candidates({ROLE: both}, 0, 0.25).scores) == 0
    found = decoder.candidates({ROLE: both}, 1, 0.25)
    order = np.argsort(-found.scores)
    np.testing.assert_allclose(found.boxes[order], [thing.box for thing in objects], atol=1e-4)
    np.testing.assert_allclose(found.scores[order], [thing.score for thing in objects], atol=1e-6)
    assert found.classes[order].tolist() == [thing.label for thing in objects]


def test_an_object_may_come_with_two_classes():
    rows = np.array([[[1, 1, 9, 9, 0.9, 0], [1, 1, 9, 9, 0.8, 1], [0, 0, 0, 0, 0, 0]]], np.float32)
    found = find_layout("xyxy-score-class").make(Head(2, 32, 32)).candidates({ROLE: rows}, 0, 0.25)
    assert found.classes.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (5, 3.0, r"the network gives classes 1…3, and there are 3 labels: 0…2"),
        (5, -1.0, "gives classes -1…1"),
        (5, 0.5, "no whole numbers"),
        (5, np.nan, "no whole numbers"),
        (4, np.nan, "scores hold NaN"),
        (4, 55.0, "expected scores 0…1"),
        (0, np.nan, "boxes hold NaN"),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_rows_that_are_none_are_refused(layout, column, value, message):
    rows = encoded(layout, heads.things(3, 96, 96, count=2), 3, (96, 96))
    rows[rows[:, 4].argmax(), column] = value
    with pytest.raises(UnreadableOutputError, match=message):
        find_layout(layout).make(Head(3, 96, 96)).candidates({ROLE: rows[None]}, 0, 0.25)


def test_classes_of_rows_that_fill_up_do_not_matter():
    rows = np.array([[[1, 1, 9, 9, 0.9, 0], [0, 0, 0, 0, 0, -1]]], np.float32)
    assert len(find_layout("xyxy-score-class").make(Head(1, 32, 32)).candidates({ROLE: rows}, 0, 0.25).scores) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_does_not_fit_is_refused(layout):
    decoder = find_layout(layout).make(Head(3, 64, 64))
    for shape in ((None, 300, 5), (None, 6), (None, 6, 300), (None, 1, 300, 6)):
        with pytest.raises(EngineError, match=r"'o' has shape .*; expected \[batch, rows, [67]\]"):
            decoder.check({ROLE: TensorInfo("o", "float32", shape)})
    with pytest.raises(EngineError, match="one output, for the role 'boxes_and_scores'"):
        decoder.check({"boxes": TensorInfo("o", "float32", (None, 300, 6))})
    with pytest.raises(InputError, match=f"the layout '{layout}' has none"):
        find_layout(layout).make(Head(3, 64, 64, {"columns": []}))


# ---- recognition ----

SHAPES, METADATA = Evidence.SHAPES, Evidence.METADATA
YOLO = {"author": "Ultralytics", "task": "detect", "head": "Detect"}
END_TO_END = {**YOLO, "end2end": "True"}
WITH_NMS = {**YOLO, "end2end": "False", "args": "{'nms': True}"}
RTDETR = {"author": "Ultralytics", "task": "detect", "head": "RTDETRDecoder", "end2end": "False"}


def facts(*shape, classes=80, **metadata):
    labels = tuple(Label(i, str(i)) for i in range(classes))
    return ModelFacts((TensorInfo("output0", "float32", (None, *shape)),), labels, None, (640, 640), metadata)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (facts(300, 6), dict.fromkeys(LAYOUTS[:2], SHAPES)),
        (facts(300, 6, classes=2), dict.fromkeys(LAYOUTS, SHAPES)),
        (facts(300, 84), {"cxcywh-scores": SHAPES}),
        (facts(300, 5, classes=1), {"cxcywh-scores": SHAPES}),
        (facts(25200, 6, classes=1), {}),  # YOLOv5 with one class
        (facts(8400, 6, classes=2), {}),
        (facts(300, 7), {}),
        (facts(300, 6, **END_TO_END), {"xyxy-score-class": METADATA}),
        (facts(300, 6, **WITH_NMS), {"xyxy-score-class": METADATA}),
        (facts(300, 6, **YOLO), {"xyxy-score-class": METADATA}),  # files from before the key end2end
        (facts(300, 6, classes=2, **END_TO_END), {"xyxy-score-class": METADATA}),
        (facts(6, 6, classes=2, **YOLO), {}),
        (facts(300, 6, **RTDETR), {"cxcywh-score-class": METADATA}),
        (facts(300, 84, **RTDETR), {"cxcywh-scores": METADATA}),
        (facts(300, 6, classes=2, **RTDETR), dict.fromkeys(LAYOUTS[1:], METADATA)),
        (facts(300, 6, **{**END_TO_END, "task": "segment"}), {}),
    ],
)
def test_recognition(given, expected):
    found = {name: find_layout(name).recognise(given) for name in LAYOUTS}
    assert {name: reading.evidence for name, reading in found.items() if reading is not None} == expected
