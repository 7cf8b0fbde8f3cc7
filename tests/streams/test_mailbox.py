"""Mailboxes: which frames wait, and what becomes of the others."""

from __future__ import annotations

import threading

import pytest
from stream_frames import captured

from edgevision.streams.fates import Fate
from edgevision.streams.mailbox import Drop, Mailbox
from edgevision.streams.options import EVERY, LATEST, Mode, Service

BURST = Mode("burst", 3)


def fill(mailbox: Mailbox, count: int, period_s: float = 0.04) -> list[Drop]:
    return [drop for i in range(count) for drop in mailbox.put(captured(i, i * period_s))]


@pytest.mark.parametrize(("mode", "count", "left", "fate"), [
    (LATEST, 1, [0], None), (LATEST, 5, [4], Fate.SUPERSEDED),
    (EVERY, 8, list(range(8)), None), (EVERY, 10, list(range(2, 10)), Fate.OVERFLOW),
    (BURST, 3, [0, 1, 2], None), (BURST, 7, [4, 5, 6], Fate.OVERFLOW),
])  # fmt: skip
def test_the_newest_stay_and_the_oldest_are_dropped(mode, count, left, fate):
    mailbox = Mailbox(Service(mode))
    dropped = fill(mailbox, count)
    assert [one.sequence for one in mailbox.waiting()] == left
    assert len(mailbox) == len(left)
    assert dropped == [Drop(i, fate) for i in range(count - len(left))]
    taken = [mailbox.take() for _ in left]
    assert [one.sequence for one in taken] == left
    assert mailbox.take() is None


@pytest.mark.parametrize(("camera_fps", "limit", "expected"), [
    (25, 10, 10), (25, 25, 25), (25, 30, 25), (25, 12.5, 12.5), (25, 0.5, 0.5), (22.4, 15, 15), (60, 7, 7),
])  # fmt: skip
def test_the_fps_limit_holds_on_average(camera_fps, limit, expected):
    """60 s of frames whose times are a little off, as those of cameras are."""
    mailbox = Mailbox(Service(EVERY, fps=limit))
    skipped = let_in = 0
    for i in range(round(60 * camera_fps)):
        for drop in mailbox.put(captured(i, (i + 0.3 * (i % 3)) / camera_fps)):
            assert drop == Drop(i, Fate.SKIPPED)
            skipped += 1
        let_in += len(mailbox)
        mailbox.take()
    assert skipped + let_in == round(60 * camera_fps)
    assert abs(let_in - 60 * expected) <= 2


def test_a_pause_is_no_credit_for_a_burst():
    mailbox = Mailbox(Service(EVERY, fps=10))
    mailbox.put(captured(0, 0.0))
    dropped = [drop for i in range(1, 11) for drop in mailbox.put(captured(i, 60.0 + 0.001 * i))]
    assert len(dropped) == 8  # of ten frames within 10 ms, the late one and one more come in


def test_who_is_let_in_is_told():
    told = []
    mailbox = Mailbox(Service(LATEST, fps=10), lambda: told.append(1))
    fill(mailbox, 3)
    assert len(told) == 1


def test_a_closed_mailbox_gives_back_what_waited_and_takes_nothing():
    mailbox = Mailbox(Service(EVERY))
    fill(mailbox, 2)
    assert mailbox.close() == (Drop(0, Fate.STOPPED), Drop(1, Fate.STOPPED))
    assert mailbox.close() == ()
    assert mailbox.put(captured(2)) == (Drop(2, Fate.STOPPED),)
    assert mailbox.take() is None
    assert mailbox.wait_for_room(0.0)  # whoever waits must go on, and hear it from put


def test_a_source_that_can_wait_loses_nothing():
    mailbox = Mailbox(Service(Mode("burst", 2)))
    taken, dropped = [], []

    def read() -> None:
        for i in range(200):
            assert mailbox.wait_for_room(10.0)
            dropped.extend(mailbox.put(captured(i)))

    thread = threading.Thread(target=read)
    thread.start()
    while len(taken) < 200:
        if (one := mailbox.take()) is not None:
            taken.append(one.sequence)
    thread.join(10)
    assert (taken, dropped) == (list(range(200)), [])


def test_waiting_for_room_ends():
    mailbox = Mailbox(Service(LATEST))
    mailbox.put(captured(0))
    assert not mailbox.wait_for_room(0.01)
