"""Columns and rows of detections."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from edgevision.errors import InputError, MissingExtraError
from edgevision.tasks import Detection, Detections, FrameId, Label, Timing

LABELS = (Label(70, "apple"), Label(-9, "Müsli"), Label(5, "milk"))
BOXES = [[1, 2, 30, 40], [5, 6, 70.5, 80.25], [0, 0, 9, 9]]


def made(boxes=BOXES, scores=(0.9, 0.5, 0.25), classes=(1, 0, 2), labels=LABELS):
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int64), labels,
        Timing(1, 2, 3, 4), FrameId("till", 7, 8),
    )  # fmt: skip


NOTHING = made([], [], [])


def test_rows_have_the_users_ids_and_names():
    assert list(made()) == [
        Detection((1, 2, 30, 40), -9, "Müsli", pytest.approx(0.9)),
        Detection((5, 6, 70.5, 80.25), 70, "apple", 0.5),
        Detection((0, 0, 9, 9), 5, "milk", 0.25),
    ]
    assert made().names == ["Müsli", "apple", "milk"]
    assert len(made()) == 3
    assert made()[1] == made()[-2] == made()[np.int64(1)] == list(made())[1]
    with pytest.raises(IndexError):
        made()[3]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (slice(1, None), ["apple", "milk"]),
        (np.array([True, False, True]), ["Müsli", "milk"]),
        (np.array([2, 0]), ["milk", "Müsli"]),
        (np.zeros(3, bool), []),
    ],
)
def test_several_rows_are_detections_again(key, expected):
    some = made()[key]
    assert some.names == expected
    assert [row.name for row in some] == expected
    assert (some.labels, some.timing, some.frame) == (LABELS, Timing(1, 2, 3, 4), FrameId("till", 7, 8))
    assert some.boxes.shape == (len(expected), 4)


def test_nothing_found_is_empty_everywhere():
    assert len(NOTHING) == 0
    assert list(NOTHING) == NOTHING.names == []
    assert NOTHING.to_dict()["detections"] == []
    assert len(NOTHING[:5]) == 0


def test_json_values_are_plain():
    data = made().to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["detections"][1] == {"box": [5.0, 6.0, 70.5, 80.25], "id": 70, "name": "apple", "score": 0.5}
    assert data["timing"]["batch"] == 4
    assert data["frame"] == {"camera": "till", "sequence": 7, "captured_ns": 8}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": np.zeros((3, 4))}, r"boxes .*float32 array of shape \(3, 4\), got float64 \(3, 4\)"),
        ({"boxes": np.zeros((3, 5), np.float32)}, r"got float32 \(3, 5\)"),
        ({"boxes": BOXES}, "boxes .*got list"),
        ({"scores": np.zeros(2, np.float32)}, r"scores .*of shape \(3,\), got float32 \(2,\)"),
        ({"classes": np.zeros(3, np.int32)}, "classes .*int64 .*got int32"),
        ({"classes": np.array([0, 3, 0])}, r"classes 0…2"),
        ({"classes": np.array([0, -1, 0])}, r"classes 0…2"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change, message):
    right = made()
    columns = {"boxes": right.boxes, "scores": right.scores, "classes": right.classes, **change}
    with pytest.raises(InputError, match=message):
        Detections(**columns, labels=LABELS, timing=right.timing)


@pytest.mark.parametrize("found", [made(), NOTHING], ids=["three", "none"])
def test_supervision_gets_its_own_columns(found, monkeypatch):
    """Against a module that keeps what it is given: names, dtypes and values of supervision's constructor."""
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=lambda **given: given))
    given = found.to_supervision()
    np.testing.assert_array_equal(given["xyxy"], found.boxes)
    np.testing.assert_array_equal(given["confidence"], found.scores)
    np.testing.assert_array_equal(given["class_id"], found.classes)
    assert given["class_id"].dtype == np.int64
    assert given["data"]["class_name"].tolist() == found.names
    assert given["data"]["label_id"].tolist() == [row.id for row in found]
    assert not np.shares_memory(given["xyxy"], found.boxes)


def test_supervision_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match="pip install supervision"):
        made().to_supervision()
