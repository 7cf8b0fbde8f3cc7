"""Which layout a file has: the strongest evidence wins, and what stays ambiguous is refused with its readings."""

from __future__ import annotations

import re

import pytest

from edgevision.errors import InputError
from edgevision.tasks import Label
from edgevision.tasks.detect import resolve as module
from edgevision.tasks.detect.candidates import Evidence, Layout, Reading
from edgevision.tasks.detect.task import DetectTask
from edgevision.tasks.registry import ModelFacts, make_task, task_type
from edgevision.tensors import TensorInfo

resolve = task_type("detect").resolve
ULTRALYTICS = {"author": "Ultralytics", "task": "detect", "head": "Detect", "end2end": "False"}


def facts(*shapes, classes=80, size=(640, 640), layout=None, **metadata):
    outputs = tuple(TensorInfo(f"output{i}", "float32", (None, *shape)) for i, shape in enumerate(shapes))
    labels = tuple(Label(100 + i, f"product {i}") for i in range(classes))
    return ModelFacts(outputs, labels, layout, size, metadata)


def layout_of(given):
    return resolve(given).outputs[0].layout


def test_a_spec_is_made_of_the_reading():
    given = facts((84, 8400))
    spec = resolve(given)
    assert (spec.kind, spec.labels, spec.parameters) == ("detect", given.labels, {"height": 640, "width": 640})
    assert [(o.role, o.name, o.layout) for o in spec.outputs] == [("boxes_and_scores", "output0", "yolo")]
    task = make_task(spec)
    assert isinstance(task, DetectTask)
    task.check(given.outputs)


# ---- labels ----


def test_classes_are_those_the_exporter_named_where_no_labels_are_given():
    names = str({0: "apple", 1: "Müsli", 2: "it's milk"})
    assert resolve(facts((7, 8400), classes=0, names=names)).labels == (
        Label(0, "apple"), Label(1, "Müsli"), Label(2, "it's milk"),
    )  # fmt: skip
    given = facts((7, 8400), classes=3, names=names)
    assert resolve(given).labels == given.labels


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (facts((7, 8400), classes=0), "does not say what its classes are called; give them with --labels"),
        (
            facts((6, 8400), classes=2, names="{0: 'a', 1: 'b', 2: 'c'}"),
            "2 labels are given, and the file names 3 classes",
        ),
        (facts((7, 8400), classes=3, names="oops"), "class names in the file's metadata cannot be read"),
        (facts((7, 8400), classes=3, size=None), "the size of a detector's input has to be known"),
        (facts((84, 8400), classes=79), r"with 79 labels; with 80 \(yolo\) labels they would\. Give one label"),
        (facts((3, 9, 9), classes=2), r"'output0' \[\?, 3, 9, 9\] .* do not fit any layout of detectors \(.*yolo"),
        (facts((84, 8400), layout="yolov5"), "do not fit --output yolov5 with 80 labels"),
        (facts((84, 8400), layout="yolo3000"), "laid out as one of .* got 'yolo3000'"),
    ],
)
def test_what_cannot_be_read_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        resolve(given)


# ---- the strongest evidence ----


def test_readings_that_are_left_are_listed():
    with pytest.raises(InputError) as caught:
        resolve(facts((21, 21), classes=17, size=(32, 32)))
    text = str(caught.value)
    assert "'output0' [?, 21, 21] can be read in 3 ways" in text
    assert re.findall(r"^  --output (\S+): \S", text, re.MULTILINE) == ["yolo", "yolo-transposed", "cxcywh-scores"]


@pytest.mark.parametrize("layout", ["yolo", "yolo-transposed"])
def test_the_option_chooses(layout):
    assert layout_of(facts((21, 21), classes=17, size=(32, 32), layout=layout)) == layout


def test_what_the_file_says_is_stronger_than_its_shapes():
    assert layout_of(facts((21, 21), classes=17, size=(32, 32), **ULTRALYTICS)) == "yolo"


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ([Evidence.SHAPES], ["a"]),
        ([Evidence.SHAPES, Evidence.NAMES], ["b"]),
        ([Evidence.METADATA, Evidence.NAMES, Evidence.SHAPES], ["a"]),
        ([None, Evidence.SHAPES], ["b"]),
        ([Evidence.NAMES, Evidence.NAMES, Evidence.SHAPES], ["a", "b"]),
        ([], []),
    ],
)
def test_the_strongest_readings_are_left(evidence, expected, monkeypatch):
    def layout(name, found):
        reading = None if found is None else Reading(name, {}, found, name)
        return Layout(name, lambda head: pytest.fail("not made"), lambda given: reading)

    layouts = {name: layout(name, found) for name, found in zip("abc", evidence, strict=False)}
    monkeypatch.setattr(module, "LAYOUTS", layouts)
    assert [reading.layout for reading in module._readings(facts((1, 1)))] == expected
