"""Messages as sinks make them, in ways that brokens brokers and sinks would bring them."""

from __future__ import annotations

import pytest
from stream_items import change, result

from edgevision.streams.camera_state import State
from edgevision.streams.fates import Fate
from edgevision.streams.reasons import Reason
from edgevision.streams.sinks.messages import MessageMaker, marked_late
from edgevision.streams.soak.arrivals import Arrivals, CameraArrivals

MAKER = MessageMaker()


def body(sequence: int, gap: dict[Fate, int] | None = None, *, late: bool = False) -> bytes:
    made = MAKER.message(result(sequence, gap=gap)).body
    return marked_late(made) if late else made


CASES = {
    "one after the other": ([body(0), body(1), body(2)], CameraArrivals(last=2, results=3)),
    "gaps that say what is missing": ([body(2, {Fate.STALE: 2}), body(4, {Fate.SUPERSEDED: 1})], CameraArrivals(last=4, results=2)),
    "one is lost": ([body(0), body(2)], CameraArrivals(last=2, results=2, unexplained=1)),
    "a gap of more than there was": ([body(0), body(1, {Fate.STALE: 3})], CameraArrivals(last=1, results=2, unexplained=3)),
    "late": ([body(0), body(1, late=True)], CameraArrivals(last=1, results=2, late=1)),
    "again, and marked": ([body(0), body(1), body(1, late=True)], CameraArrivals(last=1, results=2, again=1)),
    "twice, and not marked": ([body(0), body(1), body(1)], CameraArrivals(last=1, results=2, twice=1)),
    "out of order": ([body(0), body(2), body(1)], CameraArrivals(last=2, results=2, unexplained=1, twice=1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_results_are_held_against_what_they_say(name):
    bodies, expected = CASES[name]
    arrivals = Arrivals()
    for one in bodies:
        arrivals.add(one)
    assert arrivals.of("till") == expected
    assert arrivals.foreign == 0


def test_states_count_when_they_change():
    arrivals = Arrivals()
    for state, reason in [
        (State.LIVE, None), (State.LIVE, Reason.WRONG_RATE), (State.STALLED, Reason.SILENT), (State.LIVE, Reason.WRONG_RATE),
    ]:  # fmt: skip
        arrivals.add(MAKER.message(change(state, reason=reason)).body)
    assert (arrivals.of("till").live, arrivals.of("till").stalled) == (2, 1)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"camera": "till", "kind": "result"}',
        b'{"camera": "till", "kind": "result", "sequence": "x", "late": 1, "gap": {}}',
    ],
)
def test_what_is_not_ours_is_counted_and_nothing_more(hostile):
    arrivals = Arrivals()
    arrivals.add(hostile)
    assert arrivals.foreign == 1
    assert arrivals.of("till") == CameraArrivals()
