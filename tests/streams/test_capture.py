"""The thread of a camera with scripted sources: what it counts, lets in, tells, and survives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from stream_frames import Pictures, damaged

from edgevision.errors import DamagedFrameError, InputError, SourceError
from edgevision.frames import Frame, MemoryKind
from edgevision.streams.camera_state import State, StateChange
from edgevision.streams.capture import Capture
from edgevision.streams.captured import Captured
from edgevision.streams.clock import FakeClock, SystemClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import EVERY, Mode, Service
from edgevision.streams.reasons import Reason


def frame(sequence: int | None, received_s: float | None = None, age_s: float = 0.0) -> Captured:
    received_s = time.monotonic() if received_s is None else received_s
    picture = np.full((16, 16), (sequence or 0) % 256, np.uint8)
    made = Frame.from_array(picture, format="gray", camera="till", sequence=sequence)
    return Captured(made, received_s, received_s - age_s)


class Scripted:
    """Gives what each connection's script holds: frames, errors to raise, functions to call first; None is the end."""

    def __init__(self, *connections: list[Any], live: bool = True) -> None:
        self.live = live
        self.connections = list(connections)
        self.opened, self.closed = 0, 0
        self.interrupted = threading.Event()
        self.script: Iterator[Any] = iter(())

    def open(self) -> None:
        self.opened += 1
        script = self.connections.pop(0)
        if isinstance(script, BaseException):
            raise script
        self.script = iter(script)

    def read(self) -> Captured | None:
        for step in self.script:
            if isinstance(step, BaseException):
                raise step
            if not callable(step):
                return step
            step()
        self.interrupted.wait(10.0)
        raise SourceError(Reason.GONE, "it was told to stop")

    def close(self) -> None:
        self.closed += 1

    def interrupt(self) -> None:
        self.interrupted.set()


class Till:
    def __init__(self, source: Scripted, service: Service | None = None, clock: Any = None) -> None:
        self.ledger = Ledger()
        self.mailbox = Mailbox(service or Service(), partial(self.ledger.settle, "till"))
        self.changes: list[StateChange] = []
        self.capture = Capture("till", source, self.mailbox, self.ledger, clock or SystemClock(), self.changes.append)
        self.capture.start()

    def wait_for(self, what: Callable[[], bool]) -> None:
        until_s = time.monotonic() + 20
        while not what():
            assert time.monotonic() < until_s, self.changes
            time.sleep(0.002)

    def stop(self) -> None:
        assert self.capture.stop(10.0)
        assert self.ledger.account("till").balanced

    def states(self) -> list[tuple[State, Reason | None]]:
        return [(one.state, one.reason) for one in self.changes]


def test_frames_are_numbered_as_the_ledger_counts_and_the_newest_waits():
    source = Scripted([frame(7), frame(7), DamagedFrameError(Reason.CORRUPT, "damaged"), frame(None)])
    till = Till(source)
    till.wait_for(lambda: till.ledger.account("till").captured == 4)
    till.wait_for(lambda: len(till.mailbox) == 1)
    till.stop()
    assert [one.sequence for one in till.mailbox.waiting()] == [3]
    assert till.ledger.counts("till") == {Fate.SUPERSEDED: 2, Fate.CORRUPT: 1}
    assert till.states() == [(State.LIVE, None), (State.ENDED, None)]


def test_a_camera_that_comes_back_under_its_name_goes_on_counting():
    till = Till(Scripted([frame(0)]))
    till.wait_for(lambda: len(till.mailbox) == 1)
    till.stop()
    mailbox = Mailbox(Service(), partial(till.ledger.settle, "till"))
    again = Capture("till", Scripted([frame(0)]), mailbox, till.ledger, SystemClock(), till.changes.append)
    again.start()
    till.wait_for(lambda: len(mailbox) == 1)
    assert again.stop(10.0)
    assert mailbox.waiting()[0].sequence == 1


class NoPixels:
    """A plane that cannot be looked at."""

    shape, dtype = (16, 16), "uint8"


def test_a_frame_that_cannot_be_looked_at_has_its_fate_and_ends_nothing():
    bad = frame(0)
    object.__setattr__(bad.frame, "planes", (NoPixels(),))
    source = Scripted([bad], [frame(1)])
    clock = FakeClock(1000.0)
    till = Till(source, clock=clock)
    till.wait_for(lambda: till.capture.state.state is State.BACKOFF)
    assert till.ledger.account("till").fates == {Fate.CORRUPT: 1}
    clock.wait_for_sleepers(1)
    clock.advance(1.0)
    till.wait_for(lambda: len(till.mailbox) == 1)
    till.stop()


def test_a_frame_in_the_memory_of_a_device_is_not_looked_at():
    there = frame(0)
    object.__setattr__(there.frame, "planes", (NoPixels(),))
    object.__setattr__(there.frame, "memory", MemoryKind.CUDA)
    till = Till(Scripted([there]))
    till.wait_for(lambda: len(till.mailbox) == 1)
    till.stop()


def test_what_is_old_after_opening_or_a_gap_is_stale_and_what_is_old_otherwise_is_not():
    """Ages in order: first the rest of an old connection, then a stall of three seconds whose frames come in a bunch."""
    script = [
        frame(0, 10.0, 0.9), frame(1, 10.0, 0.3), frame(2, 10.0, 0.2), frame(3, 10.04, 0.5),
        frame(4, 13.1, 3.0), frame(5, 13.1, 1.0), frame(6, 13.1, 0.1), frame(7, 13.2, 0.4),
    ]  # fmt: skip
    till = Till(Scripted(script), clock=FakeClock(13.0), service=Service(mode=Mode("every", 100), max_age_s=0.25))
    till.wait_for(lambda: till.ledger.account("till").captured == len(script))
    till.wait_for(lambda: len(till.mailbox) == 4)
    till.stop()
    assert [one.sequence for one in till.mailbox.waiting()] == [2, 3, 6, 7]
    assert till.ledger.counts("till") == {Fate.STALE: 4}


def test_a_lag_that_stays_does_not_starve_the_camera():
    """After a pause every frame is 0.4 s old, for ten seconds and through more pauses: for two seconds they are stale."""
    script = [frame(0, 10.0, 0.1)] + [frame(k, 12.0 + 0.3 * k, 0.4) for k in range(1, 31)]
    till = Till(Scripted(script), clock=FakeClock(13.0), service=Service(mode=Mode("every", 100), max_age_s=0.25))
    till.wait_for(lambda: till.ledger.account("till").captured == len(script))
    till.wait_for(lambda: len(till.mailbox) == 24)
    till.stop()
    assert till.ledger.counts("till") == {Fate.STALE: 7}


def test_what_frames_show_and_tell_is_watched():
    """The same picture for 20 s, with a clock that is an hour behind."""
    clock, shown = FakeClock(13.0), frame(7).frame
    behind_ns = clock.now_ns() - 3_600_000_000_000

    def same(k: int) -> Captured:
        told = replace(shown, sequence=k, captured_ns=behind_ns)
        return Captured(told, 13.0 + 0.25 * k, 13.0 + 0.25 * k)

    till = Till(Scripted([same(k) for k in range(80)]), clock=clock)
    till.wait_for(lambda: till.ledger.account("till").captured == 80)
    till.wait_for(lambda: till.capture.state.reason is Reason.FROZEN_PICTURE)
    till.stop()
    assert till.states() == [
        (State.LIVE, None), (State.LIVE, Reason.CLOCK_SKEW), (State.STALLED, Reason.FROZEN_PICTURE), (State.ENDED, None),
    ]  # fmt: skip


def test_pictures_that_come_as_files_are_let_in_undecoded_after_the_first_of_a_connection():
    pictures = Pictures()
    script = [pictures.captured(k, 13.0 + 0.04 * k) for k in range(6)]
    source = Scripted([*script[:3], SourceError(Reason.GONE, "reset")], script[3:])
    clock = FakeClock(13.0)
    till = Till(source, clock=clock, service=Service(mode=Mode("every", 100)))
    till.wait_for(lambda: till.capture.state.state is State.BACKOFF)
    clock.wait_for_sleepers(1)
    clock.advance(5.0)
    till.wait_for(lambda: len(till.mailbox) == 6)
    till.stop()
    assert pictures.decoded == [0, 3]
    assert [one.must_be_decoded for one in till.mailbox.waiting()] == [False, True, True, False, True, True]


def test_files_and_folders_are_not_doubted():
    pictures = Pictures(damaged(0))
    till = Till(Scripted([pictures.captured(0), None], live=False), Service(mode=EVERY))
    till.wait_for(lambda: till.capture.state.state is State.ENDED)
    assert pictures.decoded == []
    with pytest.raises(DamagedFrameError):
        till.mailbox.take().decoded()
    till.stop()


def test_a_camera_whose_first_pictures_are_damaged_is_not_live():
    pictures = Pictures(damaged(0, 1))
    hold = threading.Event()
    source = Scripted([pictures.captured(0), pictures.captured(1), lambda: hold.wait(10), pictures.captured(2)])
    till = Till(source)
    till.wait_for(lambda: till.ledger.counts("till") == {Fate.CORRUPT: 2})
    assert till.states() == []
    hold.set()
    till.wait_for(lambda: len(till.mailbox) == 1)
    till.stop()
    assert till.states()[0] == (State.LIVE, None)
    assert till.ledger.counts("till") == {Fate.CORRUPT: 2}


def test_a_damaged_picture_that_the_model_took_makes_the_camera_doubted_until_one_is_whole():
    """Frame 1 is let in, and turns out to be damaged when it is taken; 2 is found damaged as it comes; 3 is whole; 4 is let in as it is."""
    pictures, taken = Pictures(damaged(1, 2)), threading.Event()
    script = [pictures.captured(k, 13.0 + 0.04 * k) for k in range(5)]
    source = Scripted([*script[:2], lambda: taken.wait(10), *script[2:]])
    till = Till(source, clock=FakeClock(13.0), service=Service(mode=Mode("every", 100)))
    till.wait_for(lambda: len(till.mailbox) == 2)
    assert pictures.decoded == [0]
    till.mailbox.take()
    with pytest.raises(DamagedFrameError):
        till.mailbox.take().decoded()
    taken.set()
    till.wait_for(lambda: len(till.mailbox) == 2)
    till.stop()
    assert pictures.decoded == [0, 1, 2, 3]
    assert [one.sequence for one in till.mailbox.waiting()] == [3, 4]
    assert till.ledger.counts("till") == {Fate.CORRUPT: 1}  # the other is for whoever took it to settle


@pytest.mark.parametrize("damage", [False, True])
def test_a_camera_that_sends_damage_alone_stalls_as_soon_as_somebody_saw_it(damage):
    """From the second frame on all are damaged. Who takes none cannot know it."""
    pictures = Pictures(damaged(*range(1, 100)))
    script: list[Any] = [pictures.captured(k, 13.0 + 0.1 * k) for k in range(60)]
    clock = FakeClock(13.0)
    seen = threading.Event()
    between = [step for one in script[2:] for step in (lambda: clock.advance(0.1), one)]
    till = Till(
        Scripted([*script[:2], lambda: seen.wait(10), *between]), clock=clock, service=Service(mode=Mode("every", 100))
    )
    till.wait_for(lambda: len(till.mailbox) == 2)
    if damage:
        till.mailbox.take()
        with pytest.raises(DamagedFrameError):
            till.mailbox.take().decoded()
    seen.set()
    till.wait_for(lambda: till.ledger.account("till").captured == 60)
    till.wait_for(lambda: (State.STALLED, Reason.CORRUPT) in till.states() or not damage)
    till.stop()
    corrupt = till.ledger.counts("till").get(Fate.CORRUPT, 0)
    assert corrupt == (58 if damage else 0)
    assert ((State.STALLED, Reason.CORRUPT) in till.states()) == damage


def test_a_frozen_picture_is_seen_by_the_bytes_of_its_files():
    pictures = Pictures()
    script = [pictures.captured(k, 13.0 + 0.25 * k, level=7) for k in range(80)]
    till = Till(Scripted(script), clock=FakeClock(13.0))
    till.wait_for(lambda: till.capture.state.reason is Reason.FROZEN_PICTURE)
    till.stop()
    assert pictures.decoded == [0]
    assert (State.STALLED, Reason.FROZEN_PICTURE) in till.states()


class Careless(Scripted):
    """Fails to close."""

    def close(self) -> None:
        raise OSError("the handle is gone")


def test_a_source_that_fails_to_close_is_opened_again():
    source = Careless([frame(0), SourceError(Reason.GONE, "reset")], [frame(1)])
    till = Till(source)
    till.wait_for(lambda: source.opened == 2)
    till.stop()


def test_a_failing_camera_is_tried_again_by_the_clock():
    clock = FakeClock(1000.0)
    unreachable = SourceError(Reason.UNREACHABLE, "nothing answers")
    source = Scripted(unreachable, unreachable, [frame(0, 1002.0)])
    till = Till(source, clock=clock)
    for tries in (1, 2):
        till.wait_for(lambda: sum(one.state is State.BACKOFF for one in till.changes) == tries)  # noqa: B023
        clock.wait_for_sleepers(1)
        clock.advance(0.1)
        assert source.opened == tries
        clock.advance(2.0)
    till.wait_for(lambda: till.capture.state.state is State.LIVE)
    till.stop()
    assert till.states()[:1] + till.states()[-2:] == [
        (State.BACKOFF, Reason.UNREACHABLE), (State.LIVE, None), (State.ENDED, None),
    ]  # fmt: skip
    assert all("tried again in" in one.words for one in till.changes if one.state is State.BACKOFF)


def test_stopping_does_not_wait_for_the_next_try():
    till = Till(Scripted(SourceError(Reason.REFUSED, "password")))  # tried again after a minute
    till.wait_for(lambda: till.capture.state.state is State.BACKOFF)
    till.stop()


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (InputError("the URL cannot be one"), State.DISABLED, None),
        (ValueError("rtsp://till:secret@host"), State.BACKOFF, Reason.GONE),
        (SourceError(Reason.UNSUPPORTED, "a fax"), State.BACKOFF, Reason.UNSUPPORTED),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["open", "read"])
def test_no_error_ends_the_thread_unseen_and_none_of_others_is_repeated(error, state, reason, at_once):
    till = Till(Scripted(error if at_once else [error]))
    till.wait_for(lambda: bool(till.changes))
    assert (till.changes[-1].state, till.changes[-1].reason) == (state, reason)
    assert "secret" not in repr(till.changes)
    till.stop()


def test_a_file_waits_for_room_and_loses_nothing():
    source = Scripted([*map(frame, range(30)), None], live=False)
    till = Till(source, Service(mode=EVERY, max_age_s=float("inf")))
    till.wait_for(lambda: len(till.mailbox) == EVERY.depth)
    taken = []
    while len(taken) < 30:
        till.wait_for(lambda: len(till.mailbox) > 0)
        taken.append(till.mailbox.take().sequence)
        till.ledger.settle("till", taken[-1], Fate.SERVED)
    till.wait_for(lambda: till.capture.state.state is State.ENDED)
    assert taken == list(range(30))
    assert source.closed >= 1
    till.stop()
    assert till.ledger.counts("till") == {Fate.SERVED: 30}


def test_a_file_that_waits_for_room_can_be_stopped():
    till = Till(Scripted([*map(frame, range(30))], live=False), Service(mode=EVERY))
    till.wait_for(lambda: len(till.mailbox) == EVERY.depth)
    till.stop()


def test_the_source_is_closed_before_it_is_opened_again_and_at_the_end():
    source = Scripted([frame(0), SourceError(Reason.GONE, "reset")], [frame(1)])
    till = Till(source)
    till.wait_for(lambda: source.opened == 2 and till.ledger.account("till").captured == 2)
    assert source.closed == 1
    till.stop()
    assert source.closed >= 2
    assert till.states() == [
        (State.LIVE, None), (State.BACKOFF, Reason.GONE), (State.CONNECTING, Reason.GONE), (State.LIVE, None), (State.ENDED, None),
    ]  # fmt: skip


def test_no_thread_is_left():
    before = threading.active_count()
    tills = [Till(Scripted([frame(0)])) for _ in range(20)]
    for till in tills:
        till.stop()
    assert threading.active_count() == before


def test_a_frozen_picture_is_seen_while_each_is_doubted():
    """Each is decoded as it comes, since the one before turned out to be damaged: what it shows is looked at all the same."""
    pictures = Pictures()
    frames = [pictures.captured(k, 13.0 + 0.25 * k, level=7) for k in range(80)]
    script = [step for one in frames for step in (one, lambda one=one: one.frame.picture.on_damage())]
    till = Till(Scripted(script), clock=FakeClock(13.0))
    till.wait_for(lambda: till.capture.state.reason is Reason.FROZEN_PICTURE)
    till.wait_for(lambda: till.ledger.account("till").captured == 80)
    till.stop()
    assert pictures.decoded == list(range(80))
