"""Results and changes as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgevision.frames import Frame
from edgevision.streams.camera_state import State, StateChange
from edgevision.streams.fates import Fate
from edgevision.streams.reasons import Reason
from edgevision.streams.results import StreamResult
from edgevision.tasks.results import Classification, Prediction, Timing


def test_a_result_is_plain_json_without_its_picture():
    frame = Frame.from_array(np.zeros((2, 2, 3), np.uint8))
    seen = Classification((Prediction(3, "cola", 0.9),), True, Timing(1, 2, 3))
    result = StreamResult("till", 7, seen, 123, 0.05, {Fate.SUPERSEDED: 2}, "shelf@1a2b", frame)
    values = json.loads(json.dumps(result.to_dict()))
    assert values["result"]["top"] == [{"id": 3, "name": "cola", "score": 0.9}]
    del values["result"]
    assert values == {
        "camera": "till", "sequence": 7, "captured_ns": 123, "age_s": 0.05, "gap": {"superseded": 2}, "model_id": "shelf@1a2b",
    }  # fmt: skip


def test_a_result_of_another_kind_is_taken_as_it_is():
    assert StreamResult("till", 7, [1, 2], None, 0.05).to_dict()["result"] == [1, 2]


@pytest.mark.parametrize(("reason", "expected"), [(None, None), (Reason.SILENT, "silent")])
def test_a_change_of_state_is_plain_json(reason, expected):
    values = json.loads(json.dumps(StateChange("till", State.STALLED, reason, "no frames", 5).to_dict()))
    assert values == {"camera": "till", "state": "stalled", "reason": expected, "words": "no frames", "at_ns": 5}


@pytest.mark.parametrize("kind", [Fate, Reason])
def test_every_fate_and_reason_has_words_of_its_own(kind):
    words = [one.words for one in kind]
    assert all(words)
    assert len(set(words)) == len(words)
