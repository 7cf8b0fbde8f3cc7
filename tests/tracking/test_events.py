"""Events and the ledger: each event once, and JSON there and back."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest

from edgevision.errors import InputError
from edgevision.tracking import Cause, Count, InventoryEvent, Key, Ledger
from edgevision.tracking.events import event_id_of

EVENT = InventoryEvent("e1", 12.5, "dock", "door", "cola", 1, 3, Cause.CROSSED)


def test_an_event_survives_json():
    assert InventoryEvent.from_dict(json.loads(json.dumps(EVENT.to_dict()))) == EVENT


@pytest.mark.parametrize(("change", "says"), [
    ({"delta": 2}, "delta of 1 or -1"), ({"delta": True}, "needs 'delta' as int, got True"), ({"time_s": float("nan")}, "finite time_s"),
    ({"camera": None}, "needs 'camera' as str, got None"), ({"cause": "magic"}, "'crossed', 'appeared', 'lost'"),
    ({"track_id": "3"}, "needs 'track_id' as int, got '3'"),
])  # fmt: skip
def test_a_damaged_event_is_refused(change, says):
    with pytest.raises(InputError, match=says):
        InventoryEvent.from_dict({**EVENT.to_dict(), **change})


@pytest.mark.parametrize("value", [None, [], "event"])
def test_what_is_no_event_is_refused(value):
    with pytest.raises(InputError, match="an event is an object"):
        InventoryEvent.from_dict(value)


def test_a_missing_field_is_named():
    values = EVENT.to_dict()
    del values["place"]
    with pytest.raises(InputError, match="needs 'place' as str"):
        InventoryEvent.from_dict(values)


SEEN = {"camera": "dock", "place": "door", "delta": 1, "time_s": 12.04, "point": (321.7, 98.2)}


def test_an_event_id_is_a_uuid_of_version_5():
    assert uuid.UUID(event_id_of(**SEEN)).version == 5


@pytest.mark.parametrize("change", [
    {"camera": "door"}, {"place": "dock"}, {"delta": -1}, {"time_s": 12.08}, {"point": (322.0, 98.2)}, {"point": (321.7, 97.9)},
    {"camera": "dock', 'door", "place": ""},
])  # fmt: skip
def test_other_events_have_other_ids(change):
    assert event_id_of(**{**SEEN, **change}) != event_id_of(**SEEN)


@pytest.mark.parametrize("change", [{"point": (321.2, 98.9)}, {"time_s": 12.0400001}])
def test_what_rounding_does_to_an_event_does_not_change_its_id(change):
    assert event_id_of(**{**SEEN, **change}) == event_id_of(**SEEN)


def test_a_ledger_counts_each_event_once():
    ledger = Ledger()
    events = [
        EVENT,
        replace(EVENT, event_id="e2"),
        replace(EVENT, event_id="e3", delta=-1),
        replace(EVENT, event_id="e4", product="fanta"),
    ]
    assert [ledger.apply(event) for event in [*events, *events]] == [True] * 4 + [False] * 4
    assert ledger.counts == {Key("dock", "door", "cola"): Count(2, 1), Key("dock", "door", "fanta"): Count(1, 0)}
    assert ledger.total("dock", "door") == Count(3, 1)
    assert ledger.total("dock", "door").net == 2
    assert ledger.total("dock", "elsewhere") == Count(0, 0)


def test_a_ledger_goes_on_after_a_restart():
    ledger = Ledger(remember_s=100)
    ledger.apply_all([EVENT, replace(EVENT, event_id="e2", time_s=50.0)])
    again = Ledger.from_dict(json.loads(json.dumps(ledger.to_dict())))
    assert again.to_dict() == ledger.to_dict()
    assert not again.apply(EVENT)
    assert again.apply(replace(EVENT, event_id="e3"))
    with pytest.raises(InputError, match="older than the newest"):
        again.apply(replace(EVENT, event_id="e0", time_s=-51.0))


def test_what_is_too_old_to_be_remembered_is_refused():
    ledger = Ledger(remember_s=60)
    ledger.apply(replace(EVENT, event_id="new", time_s=1000.0))
    with pytest.raises(InputError, match="may have been counted"):
        ledger.apply(replace(EVENT, event_id="old", time_s=939.0))
    assert ledger.apply(replace(EVENT, event_id="late", time_s=941.0))
    assert ledger.apply(replace(EVENT, event_id="other camera", camera="door", time_s=1.0))  # its clock is its own


def test_a_ledger_forgets_ids_and_keeps_counts():
    ledger = Ledger(remember_s=10)
    for n in range(1000):
        assert ledger.apply(replace(EVENT, event_id=str(n), time_s=float(n)))
    assert ledger.total("dock", "door") == Count(1000, 0)
    assert len(ledger.to_dict()["seen"]["dock"]) == 11


@pytest.mark.parametrize(("values", "says"), [
    ([], "a ledger is an object"), ({"remember_s": 5.0, "counts": []}, "a ledger needs 'seen'"),
    ({"remember_s": 5.0, "counts": [{"camera": "a"}], "seen": {}}, "a ledger's count needs 'place'"),
    ({"remember_s": 5.0, "counts": [], "seen": {"a": {"e1": "now"}}}, "camera 'a' needs 'e1' as int or float"),
    ({"remember_s": -5.0, "counts": [], "seen": {}}, "remember_s"),
])  # fmt: skip
def test_a_damaged_ledger_is_refused(values, says):
    with pytest.raises(InputError, match=says):
        Ledger.from_dict(values)
