"""What exporters write into files: read as data, bounded, and never run."""

from __future__ import annotations

import json

import pytest

from edgevision.errors import InputError
from edgevision.tasks import Label
from edgevision.tasks.detect.exporters import (
    MAX_CLASSES,
    labels_from_metadata,
    names_detector,
    preprocess_from_metadata,
    read_rfdetr,
    read_ultralytics,
)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"names": "{0: 'apple', 1: 'pear'}"}, [(0, "apple"), (1, "pear")]),
        ({"names": "{1: 'pear', 0: 'apple'}"}, [(0, "apple"), (1, "pear")]),
        ({"names": "['apple', \"it's\"]"}, [(0, "apple"), (1, "it's")]),  # YOLOv5 before 6.2
        ({"names": "{0: '牛奶'}"}, [(0, "牛奶")]),
        ({"rfdetr_inference": json.dumps({"class_id_to_name": {"1": "person", "90": "brush"}})}, [(1, "person"), (90, "brush")]),
        ({"rfdetr_inference": "{}"}, None),
        ({"names": '{"0": "apple", "1": "pear"}', "libreyolo_version": "1.6.0"}, [(0, "apple"), (1, "pear")]),
    ],
)  # fmt: skip
def test_class_names(metadata, expected):
    found = labels_from_metadata(metadata)
    assert found == (None if expected is None else tuple(Label(*pair) for pair in expected))


@pytest.mark.parametrize(
    "names",
    [
        "",
        "apple",
        "{}",
        "[]",
        "3",
        "{0: 'a', 2: 'c'}",
        "{1: 'a', 2: 'c'}",
        "{-1: 'a', 0: 'b'}",
        "{True: 'a', False: 'b'}",
        "{'0': 'a'}",
        "{0: 1}",
        "{0: b'a'}",
        "{0.0: 'a'}",
        "{0: 'a'",
        "[" * 100_000,
        "{0: __import__('os').getcwd()}",
        "{0: 'a' + 'b'}",
        "{0: '" + "a" * 2000 + "'}",
        str(dict.fromkeys(range(MAX_CLASSES + 1), "x")),
        str({0: "a" * 600_000}),
    ],
    ids=lambda names: names[:20],
)
def test_names_that_are_none_are_refused(names):
    with pytest.raises(
        InputError, match=r"class names in the file's metadata cannot be read: expected .* with --labels"
    ):
        labels_from_metadata({"names": names})


@pytest.mark.parametrize(
    "named",
    [{"a": "x"}, {"1.5": "x"}, {"-1": "x"}, ["a"], {"9" * 30: "x"}, {"1": 5}],
    ids=lambda named: str(named)[:20],
)
def test_names_of_rfdetr_that_are_none_are_refused(named):
    with pytest.raises(InputError, match="class names in the file's metadata cannot be read"):
        labels_from_metadata({"rfdetr_inference": json.dumps({"class_id_to_name": named})})


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000])
def test_metadata_of_rfdetr_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="'rfdetr_inference' is no JSON"):
        read_rfdetr({"rfdetr_inference": text})


ULTRALYTICS = {"author": "Ultralytics", "task": "detect"}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({**ULTRALYTICS, "head": "Detect", "end2end": "False"}, ("Detect", False, False)),
        ({**ULTRALYTICS, "head": "Detect", "end2end": "True"}, ("Detect", True, False)),
        ({**ULTRALYTICS, "args": "{'batch': 1, 'nms': True}"}, ("", True, False)),
        ({**ULTRALYTICS, "args": "{'batch': 1, 'nms': False}"}, ("", False, False)),
        ({**ULTRALYTICS, "args": "{'nms': tru"}, ("", False, False)),
        ({**ULTRALYTICS, "head": "RTDETRDecoder", "end2end": "False"}, ("RTDETRDecoder", False, True)),
        ({**ULTRALYTICS, "description": "Ultralytics RT-DETR-l model"}, ("RTDETRDecoder", False, True)),
        ({**ULTRALYTICS, "description": "Ultralytics rtdetr-l model trained on x"}, ("RTDETRDecoder", False, True)),
        ({**ULTRALYTICS, "description": "Ultralytics YOLO11n model"}, ("", False, False)),
    ],
)
def test_what_ultralytics_says(metadata, expected):
    said = read_ultralytics(metadata)
    assert (said.head, said.finished, said.transformer) == expected


def test_other_files_say_nothing():
    assert read_ultralytics({"names": "{0: 'a'}", "author": "me"}) is None
    assert read_rfdetr({"names": "{0: 'a'}"}) is None


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (ULTRALYTICS, True),
        ({**ULTRALYTICS, "task": "classify"}, False),
        ({**ULTRALYTICS, "task": "segment"}, False),
        ({"author": "me", "task": "detect"}, False),
        ({"rfdetr_inference": "{}"}, True),
        ({"libreyolo_version": "1.6.0", "task": "detect"}, True),
        ({"libreyolo_version": "1.6.0", "task": "pose"}, False),
        ({"torchvision.head": "ssd"}, True),
        ({}, False),
    ],
)
def test_what_is_said_to_be_a_detector(metadata, expected):
    assert names_detector(metadata) is expected


ULTRALYTICS = {"author": "Ultralytics", "task": "detect"}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({**ULTRALYTICS, "imgsz": "[384, 640]"}, (384, 640, "letterbox")),
        ({**ULTRALYTICS, "imgsz": "[384, 640]", "head": "Detect"}, (384, 640, "letterbox")),
        ({**ULTRALYTICS, "imgsz": "[640, 640]", "head": "RTDETRDecoder"}, (640, 640, "stretch")),
        ({**ULTRALYTICS, "imgsz": "640"}, None),
        ({**ULTRALYTICS, "imgsz": "[640, 'x']"}, None),
        (ULTRALYTICS, None),
        ({"imgsz": "[384, 640]"}, None),  # of somebody else
    ],
)
def test_how_pictures_are_prepared(metadata, expected):
    spec = preprocess_from_metadata(metadata)
    assert expected == (None if spec is None else (spec.height, spec.width, spec.fit.value))
    if spec is not None:  # 0…1, red first, on grey
        assert (spec.mean, spec.std, spec.pad_value, spec.color.value) == ((0.0,) * 3, (255.0,) * 3, 114.0, "rgb")
