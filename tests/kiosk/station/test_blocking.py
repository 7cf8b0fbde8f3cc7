"""``Blocked`` and ``Unblocked`` take their time, both ways."""

from __future__ import annotations

import pytest

from edgevision.kiosk.events import BlockedReason
from edgevision.kiosk.station.blocking import Blocking
from edgevision.kiosk.station.options import StationOptions

DARK, COVERED, HAND, GONE = BlockedReason.DARK, BlockedReason.COVERED, BlockedReason.HAND, BlockedReason.CAMERA_GONE


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([(0.0, DARK), (0.9, DARK)], []),
        ([(0.0, DARK), (1.0, DARK)], [(1.0, DARK)]),
        ([(0.0, DARK), (0.9, None), (1.0, DARK), (1.9, DARK)], []),  # from anew each time
        ([(0.0, DARK), (0.9, COVERED), (1.8, COVERED)], []),
        ([(0.0, HAND), (4.9, HAND)], []),
        ([(0.0, HAND), (5.0, HAND), (9.0, HAND)], [(5.0, HAND)]),  # said once
        ([(0.0, GONE)], [(0.0, GONE)]),  # whoever says so has waited
        ([(0.0, DARK), (1.0, DARK), (1.1, None), (1.3, None)], [(1.0, DARK)]),
        ([(0.0, DARK), (1.0, DARK), (1.1, None), (1.4, None)], [(1.0, DARK), (1.4, None)]),
        ([(0.0, DARK), (1.0, DARK), (1.1, None), (1.2, DARK), (1.3, None), (1.5, None)], [(1.0, DARK)]),
        ([(0.0, DARK), (1.0, DARK), (1.1, COVERED), (2.1, COVERED), (2.2, None), (2.6, None)],
         [(1.0, DARK), (2.1, COVERED), (2.6, None)]),
        ([(0.0, None), (5.0, None)], []),
    ],
)  # fmt: skip
def test_patience(told, expected):
    blocking = Blocking("till", StationOptions())
    events = [event for at_s, trouble in told for event in blocking.tell(trouble, at_s)]
    assert [(event.at_s, getattr(event, "reason", None)) for event in events] == expected
    assert {event.station for event in events} <= {"till"}
    assert all(event.words for event in events if event.kind == "blocked")
