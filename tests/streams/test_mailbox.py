"""Mailboxes: which frames wait, and what becomes of the others."""

from __future__ import annotations

import threading

import pytest
from stream_frames import captured

from edgevision.streams.fates import Fate
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import EVERY, LATEST, Mode, Service

BURST = Mode("burst", 3)


class Box(Mailbox):
    """``dropped``: what it settled."""

    def __init__(self, service: Service, accepted=lambda wake: None) -> None:
        self.dropped: list[tuple[int, Fate]] = []
        super().__init__(service, lambda sequence, fate: self.dropped.append((sequence, fate)), accepted)


def fill(mailbox: Mailbox, count: int, period_s: float = 0.04) -> list[bool]:
    return [mailbox.put(captured(i, i * period_s)) for i in range(count)]


@pytest.mark.parametrize(("mode", "count", "left", "fate"), [
    (LATEST, 1, [0], None), (LATEST, 5, [4], Fate.SUPERSEDED),
    (EVERY, 8, list(range(8)), None), (EVERY, 10, list(range(2, 10)), Fate.OVERFLOW),
    (BURST, 3, [0, 1, 2], None), (BURST, 7, [4, 5, 6], Fate.OVERFLOW),
])  # fmt: skip
def test_the_newest_stay_and_the_oldest_are_dropped(mode, count, left, fate):
    mailbox = Box(Service(mode))
    assert all(fill(mailbox, count))
    assert [one.sequence for one in mailbox.waiting()] == left
    assert len(mailbox) == len(left)
    assert mailbox.dropped == [(i, fate) for i in range(count - len(left))]
    taken = [mailbox.take() for _ in left]
    assert [one.sequence for one in taken] == left
    assert mailbox.take() is None


@pytest.mark.parametrize(("camera_fps", "limit", "expected"), [
    (25, 10, 10), (25, 25, 25), (25, 30, 25), (25, 12.5, 12.5), (25, 0.5, 0.5), (22.4, 15, 15), (60, 7, 7),
])  # fmt: skip
def test_the_fps_limit_holds_on_average(camera_fps, limit, expected):
    """60 s of frames whose times are a little off, as those of cameras are."""
    mailbox = Box(Service(EVERY, fps=limit))
    let_in, skipped = 0, []
    for i in range(round(60 * camera_fps)):
        if mailbox.put(captured(i, (i + 0.3 * (i % 3)) / camera_fps)):
            let_in += 1
        else:
            skipped.append((i, Fate.SKIPPED))
        mailbox.take()
    assert mailbox.dropped == skipped
    assert len(skipped) + let_in == round(60 * camera_fps)
    assert abs(let_in - 60 * expected) <= 2


def test_a_pause_is_no_credit_for_a_burst():
    mailbox = Box(Service(EVERY, fps=10))
    mailbox.put(captured(0, 0.0))
    for i in range(1, 11):
        mailbox.put(captured(i, 60.0 + 0.001 * i))
    assert len(mailbox.dropped) == 8  # of ten frames within 10 ms, the late one and one more come in


def test_who_is_let_in_is_told():
    told = []
    mailbox = Box(Service(LATEST, fps=10), told.append)
    fill(mailbox, 3)
    assert told == [True]
    mailbox.put(captured(3, 10.0), wake=False)
    assert told == [True, False]


def test_what_is_dropped_is_settled_before_the_one_it_gave_way_to_can_be_taken():
    """Else a result would not know of it: its gap would come one result late."""
    seen = []
    mailbox = Box(Service(LATEST), lambda wake: seen.append(list(mailbox.dropped)))
    fill(mailbox, 2)
    assert seen == [[], [(0, Fate.SUPERSEDED)]]


def test_a_closed_mailbox_drops_what_waited_and_takes_nothing():
    mailbox = Box(Service(EVERY))
    fill(mailbox, 2)
    for _ in range(2):
        mailbox.close()
        assert mailbox.dropped == [(0, Fate.STOPPED), (1, Fate.STOPPED)]
    assert not mailbox.put(captured(2))
    assert mailbox.dropped[2:] == [(2, Fate.STOPPED)]
    assert mailbox.take() is None
    assert mailbox.wait_for_room(0.0)  # whoever waits must go on, and hear it from put


def test_a_source_that_can_wait_loses_nothing():
    mailbox = Box(Service(Mode("burst", 2)))
    taken = []

    def read() -> None:
        for i in range(200):
            assert mailbox.wait_for_room(10.0)
            assert mailbox.put(captured(i))

    thread = threading.Thread(target=read)
    thread.start()
    while len(taken) < 200:
        if (one := mailbox.take()) is not None:
            taken.append(one.sequence)
    thread.join(10)
    assert (taken, mailbox.dropped) == (list(range(200)), [])


def test_waiting_for_room_ends():
    mailbox = Box(Service(LATEST))
    mailbox.put(captured(0))
    assert not mailbox.wait_for_room(0.01)
