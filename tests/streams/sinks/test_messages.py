"""Messages: an id that stays, and a body that other programs can read."""

from __future__ import annotations

import json
import uuid

import pytest
from stream_items import change, event, result

from edgevision.streams.camera_state import State
from edgevision.streams.reasons import Reason
from edgevision.streams.sinks.messages import MessageMaker, encode, marked_late

RUN = uuid.UUID(int=7)


def test_the_same_item_has_the_same_id_and_no_other_has():
    items = [
        result(0), result(1), result(0, camera="door"), event(0), event(1), change(), change(State.STALLED),
        change(State.STALLED, reason=Reason.SILENT), change(camera="door"),
    ]  # fmt: skip
    ids = [MessageMaker(RUN).message(item).id for item in items]
    assert ids == [MessageMaker(RUN).message(item).id for item in items]
    assert len(set(ids)) == len(items)


def test_frames_of_another_run_have_other_ids_and_events_have_not():
    """Frames are counted from 0 in each run; an event's id says what the camera saw."""
    first, second = MessageMaker(), MessageMaker()
    assert first.message(result(0)).id != second.message(result(0)).id
    assert first.message(event(0)).id == second.message(event(0)).id == "event-0"


@pytest.mark.parametrize("item", [result(3), event(3), change()])
def test_late_changes_nothing_else(item):
    body = MessageMaker(RUN).message(item).body
    before, after = json.loads(body), json.loads(marked_late(body))
    assert before.pop("late") is False
    assert after.pop("late") is True
    assert before == after
    assert b"\n" not in body


def test_names_that_are_no_utf_8_become_escapes_that_json_knows():
    assert encode({"words": "caf\u00e9 \udcff"}) == b'{"words": "caf\xc3\xa9 \\udcff"}'
    assert json.loads(encode({"words": "\udcff"})) == {"words": "\udcff"}
