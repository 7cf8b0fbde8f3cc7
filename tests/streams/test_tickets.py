from __future__ import annotations

import pytest
from stream_frames import captured

from edgevision.streams.clock import FakeClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.metrics import Metrics
from edgevision.streams.options import Service
from edgevision.streams.policy import Lane
from edgevision.streams.tickets import Settled, Settler, TakenCamera, Ticket


class Rig:
    """One camera with three frames that were taken at 100, 101 and 102 s; ``told``: its answers, and what the ledger held at each."""

    def __init__(self) -> None:
        self.ledger, self.clock = Ledger(), FakeClock(105.0)
        self.told: list[tuple[Settled, int]] = []
        self.settled = 0
        mailbox = Mailbox(Service(), lambda sequence, fate: None)
        self.camera = TakenCamera("a", Lane(Service(), 0.0), mailbox, Metrics().camera("a"), self._answer)
        self.settler = Settler(self.ledger, self.clock, self._count)
        for place in range(3):
            frame = captured(self.ledger.captured("a"), 100.0 + place, camera="a")
            self.camera.tickets.append(Ticket(self.camera, frame, 103.0))
        self.tickets = tuple(self.camera.tickets)

    def _answer(self, settled: Settled) -> None:
        (account,) = self.ledger.accounts()
        self.told.append((settled, account.in_flight))

    def _count(self) -> None:
        self.settled += 1

    @property
    def fates(self) -> list[tuple[int, Fate]]:
        return [(one.captured.sequence, one.fate) for one, _ in self.told]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_answers_come_in_the_order_of_the_frames_and_before_the_ledger_knows(order):
    rig = Rig()
    for place in order:
        rig.settler.settle(rig.tickets[place], Fate.SERVED, "m", result=f"result {place}")
    assert rig.fates == [(place, Fate.SERVED) for place in range(3)]
    assert [(one.result, one.age_s, in_flight) for one, in_flight in rig.told] == [
        ("result 0", 5.0, 3),
        ("result 1", 4.0, 2),
        ("result 2", 3.0, 1),
    ]
    assert rig.ledger.counts("a") == {Fate.SERVED: 3}
    assert rig.settled == 3


def test_a_fate_never_changes_and_a_gap_tells_what_was_lost():
    rig = Rig()
    first, second, third = rig.tickets
    rig.settler.settle(second, Fate.CORRUPT, error=ValueError("torn"))
    rig.settler.settle(second, Fate.SERVED)
    assert rig.told == []
    rig.settler.settle(first, Fate.SERVED)
    rig.settler.settle(third, Fate.SERVED)
    assert rig.fates == [(0, Fate.SERVED), (1, Fate.CORRUPT), (2, Fate.SERVED)]
    assert str(rig.told[1][0].error) == "torn"
    assert [dict(one.gap) for one, _ in rig.told] == [{}, {}, {Fate.CORRUPT: 1}]


def test_an_end_settles_what_has_no_fate():
    rig = Rig()
    rig.settler.settle(rig.tickets[1], Fate.SERVED)
    rig.settler.close(rig.camera)
    assert rig.fates == [(0, Fate.STOPPED), (1, Fate.SERVED), (2, Fate.STOPPED)]
    assert rig.tickets[0].is_settled
