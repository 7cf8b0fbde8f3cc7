from __future__ import annotations

import pytest

from edgevision.streams.camera_state import State
from edgevision.streams.health import CAREFUL, FROZEN_S, Health
from edgevision.streams.reasons import Reason


class Life:
    """A camera whose time is moved by hand."""

    def __init__(self, live: bool = True) -> None:
        self.now = 100.0
        self.health = Health(live=live, now_s=self.now, uniform=lambda: 0.5)
        self.picture = 0

    def open(self, announced: float | None = 25.0) -> None:
        self.health.connecting(self.now)
        self.health.opened(self.now, announced)

    def run(self, seconds: float, fps: float, *, moving: bool = True, stamped: bool = True, speed: float = 1.0) -> None:
        """Frames that come steadily. ``moving``: their pictures differ; ``stamped``: their times go on."""
        begin = self.now
        for k in range(1, int(seconds * fps) + 1):
            self.now = begin + k / fps
            self.health.arrived(self.now, self.now - 0.05 if stamped else begin)
            self.picture += moving
            self.health.pictured(self.now, self.picture)
            self.health.clocked(self.now, None, speed)

    def wait(self, seconds: float) -> None:
        """Nothing comes."""
        self.now += seconds
        self.health.check(self.now)

    def told(self) -> list[tuple[State, Reason | None]]:
        return [(one.state, one.reason) for one in self.health.take_changes()]


def live(fps: float = 25.0, announced: float | None = 25.0, seconds: float = 20.0) -> Life:
    life = Life()
    life.open(announced)
    life.run(seconds, fps)
    return life


def test_a_camera_is_live_from_its_first_frame_on():
    life = Life()
    life.open()
    life.wait(29.0)
    assert life.health.state.state is State.CONNECTING
    life.run(0.04, 25)
    assert life.told() == [(State.LIVE, None)]


@pytest.mark.parametrize(("fps", "quiet_s"), [(25.0, 1.9), (1.0, 4.9), (0.5, 9.8)])
def test_silence_is_a_stall_after_two_seconds_or_five_periods(fps, quiet_s):
    life = live(fps, None, 40)
    life.wait(quiet_s)
    assert life.health.state.state is State.LIVE
    life.wait(0.3)
    assert life.health.state.state is State.STALLED
    assert life.health.state.reason is Reason.SILENT
    assert f"{quiet_s + 0.3:.1f} s" in life.health.state.words
    life.run(1 / fps, fps)
    assert life.told()[-2:] == [(State.STALLED, Reason.SILENT), (State.LIVE, None)]


def test_the_same_picture_for_long_is_a_stall_and_worth_one_new_connection():
    life = live()
    life.run(FROZEN_S - 0.5, 25, moving=False)
    assert life.health.state.state is State.LIVE
    life.run(1, 25, moving=False)
    assert (life.health.state.state, life.health.state.reason) == (State.STALLED, Reason.FROZEN_PICTURE)
    assert not life.health.must_reopen(life.now)
    life.run(25, 25, moving=False)
    assert life.health.must_reopen(life.now)
    life.health.failed(life.now, Reason.FROZEN_PICTURE, "the same picture")
    life.open()
    life.run(60, 25, moving=False)
    assert life.health.state.state is State.STALLED
    assert not life.health.must_reopen(life.now)  # it is what the camera sees, or a new connection does not help
    life.run(1, 25)
    assert life.health.state.state is State.LIVE
    life.run(40, 25, moving=False)
    assert life.health.must_reopen(life.now)


def test_time_stamps_that_stand_still_are_no_new_frames():
    life = live()
    life.run(2.3, 25, stamped=False)
    assert (life.health.state.state, life.health.state.reason) == (State.STALLED, Reason.FROZEN_PICTURE)
    assert not life.health.must_reopen(life.now)
    assert Reason.WRONG_RATE not in {reason for _, reason in life.told()}


def test_time_stamps_that_stand_still_for_long_are_worth_a_new_connection():
    life = live()
    life.run(7.5, 25, stamped=False)
    assert life.health.must_reopen(life.now)


def test_nothing_but_damage_is_a_stall_and_worth_a_new_connection():
    life = live()
    for _ in range(60):
        life.now += 0.04
        life.health.damaged(life.now)
    assert (life.health.state.state, life.health.state.reason) == (State.STALLED, Reason.CORRUPT)
    assert not life.health.must_reopen(life.now)
    life.now += 6
    life.health.damaged(life.now)
    assert life.health.must_reopen(life.now)


@pytest.mark.parametrize(("after_s", "again"), [(29.0, False), (31.0, True)])
def test_a_key_frame_may_take_half_a_minute_to_come(after_s, again):
    life = Life()
    life.open()
    life.health.damaged(life.now + after_s)
    assert life.health.must_reopen(life.now + after_s) is again
    assert life.health.state.state is State.CONNECTING


@pytest.mark.parametrize(
    ("fps", "announced", "wrong"),
    [(22.4, 25.0, True), (25.0, 25.0, False), (24.0, 25.0, False), (30.0, 25.0, True), (25.0, None, False)],
)
def test_a_wrong_rate_is_said_once_and_nothing_else_changes(fps, announced, wrong):
    life = live(fps, announced, 60)
    assert life.told() == [(State.LIVE, None)] + [(State.LIVE, Reason.WRONG_RATE)] * wrong
    assert life.health.state.since_s == pytest.approx(100 + 1 / fps)
    if wrong:
        assert f"announces 25 frames a second and sends {fps}" in life.health.state.words


def test_a_bunch_after_a_stall_is_no_wrong_rate():
    """75 frames within 0.6 s, as a network gives them back: captured 40 ms apart all the same."""
    life = live()
    life.wait(3.0)
    for k in range(75):
        life.health.arrived(life.now + 0.008 * k, life.now - 3 + 0.04 * k)
    life.now += 0.6
    life.run(20, 25)
    assert Reason.WRONG_RATE not in {reason for _, reason in life.told()}


def test_time_stamps_at_another_speed_are_said():
    life = Life()
    life.open(None)
    life.run(20, 25, speed=0.9)
    assert life.health.state.reason is Reason.WRONG_RATE
    assert "0.90 times" in life.health.state.words


WRONG, WELL = Reason.WRONG_RATE, None


@pytest.mark.parametrize(
    ("spells", "reasons"),
    [
        # frames a second of 25 that are announced, and the speed of time stamps; what is said after each spell
        ([(30, 1.0), (25, 1.0), (30, 1.0)], [WRONG, WELL, WRONG]),
        ([(28, 1.0), (27, 1.0), (28, 1.0), (25, 1.0)], [WRONG, WRONG, WRONG, WELL]),  # at the edge of a tenth
        ([(25, 0.9), (25, 1.0)], [WRONG, WELL]),
        ([(25, 0.97), (25, 0.985), (25, 0.995)], [WRONG, WRONG, WELL]),
        ([(30, 0.9), (30, 1.0), (25, 1.0)], [WRONG, WRONG, WELL]),  # two causes, and one does not take back the other
        ([(30, 0.9), (25, 0.9), (25, 1.0)], [WRONG, WRONG, WELL]),
    ],
)
def test_a_wrong_rate_is_taken_back(spells, reasons):
    life = Life()
    life.open(25.0)
    seen = []
    for fps, speed in spells:
        life.run(20, fps, speed=speed)
        seen.append(life.health.state.reason)
        assert ("time stamps run" in life.health.state.words) == (
            speed == 0.9 or (speed, fps) == (0.97, 25) or speed == 0.985
        )
    assert seen == reasons


def test_a_wrong_clock_is_said_and_taken_back():
    life = live()
    life.health.clocked(life.now, 3600.0, None)
    assert (life.health.state.state, life.health.state.reason) == (State.LIVE, Reason.CLOCK_SKEW)
    assert "3600 s behind" in life.health.state.words
    life.health.clocked(life.now, -7.2, None)
    assert "behind" in life.health.state.words  # words stay while the reason does
    life.health.clocked(life.now, 0.4, None)
    assert life.health.state.reason is None
    life.health.clocked(life.now, -7.2, None)
    assert "7 s ahead of" in life.health.state.words


@pytest.mark.parametrize(
    ("reason", "waits"),
    [
        (Reason.UNREACHABLE, [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (Reason.REFUSED, [60, 120, 240, 480, 900, 900]),
        (Reason.UNTRUSTED, [60, 120, 240, 480, 900, 900]),
    ],
)
def test_a_failure_is_waited_for_longer_each_time(reason, waits):
    life = Life()
    for wait in waits:
        life.health.connecting(life.now)
        life.health.failed(life.now, reason, "why")
        assert (life.health.state.state, life.health.state.reason) == (State.BACKOFF, reason)
        assert life.health.retry_s - life.now == pytest.approx(wait)
        life.now = life.health.retry_s


@pytest.mark.parametrize(("seconds", "wait"), [(11.0, 0.1), (5.0, 4.0)])
def test_only_a_camera_that_was_live_for_a_while_begins_with_short_waits_again(seconds, wait):
    life = Life()
    for _ in range(3):
        life.health.failed(life.now, Reason.UNREACHABLE, "why")
    life.open()
    life.run(seconds, 25)
    life.health.failed(life.now, Reason.SILENT, "why")
    assert life.health.retry_s - life.now == pytest.approx(wait)
    assert life.told()[-2:] == [(State.STALLED, Reason.SILENT), (State.BACKOFF, Reason.SILENT)]


def test_a_camera_that_was_live_is_tried_without_longer_waits_for_half_a_minute():
    """It answers to nothing for a minute, and each try takes two seconds: the first at once, 0.5 s between them, and only later 1, 2, 4 …"""
    life = live()
    life.health.failed(life.now, Reason.SILENT, "no frames come")
    lost_s, waits = life.now, []
    while life.now - lost_s < 60:
        waits.append((life.now - lost_s, life.health.retry_s - life.now))
        life.now = life.health.retry_s
        life.health.connecting(life.now)
        life.now += 2.0
        life.health.failed(life.now, Reason.UNREACHABLE, "nothing answers in time")
    assert waits[0][1] == pytest.approx(0.1)
    assert {wait_s for since_s, wait_s in waits[1:] if since_s < 30} == {0.5}
    assert [wait_s for since_s, wait_s in waits if since_s >= 30][:4] == [1, 2, 4, 8]


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.UNTRUSTED])
def test_a_camera_that_was_live_and_refuses_is_tried_carefully(reason):
    life = live()
    life.health.failed(life.now, reason, "no")
    waits = [life.health.retry_s - life.now]
    life.now += 5.0
    life.health.failed(life.now, reason, "no")
    waits.append(life.health.retry_s - life.now)
    assert waits == pytest.approx([60, 120])


def test_the_try_at_once_makes_no_later_wait_longer():
    life = live()
    life.health.failed(life.now, Reason.GONE, "it ended the stream")
    assert life.health.retry_s - life.now == pytest.approx(0.1)
    life.health.failed(life.now, Reason.REFUSED, "no")
    assert life.health.retry_s - life.now == pytest.approx(60)


def test_a_file_never_stalls():
    life = Life(live=False)
    life.open()
    life.run(1, 25, moving=False, stamped=False)
    life.wait(3600)
    assert life.health.state.state is State.LIVE
    assert not life.health.must_reopen(life.now)
    life.health.ended(life.now)
    assert life.health.state.state is State.ENDED


def test_what_time_does_not_mend_is_not_tried_again():
    life = Life()
    life.health.disabled(life.now, None, "the URL cannot be one")
    assert life.told() == [(State.DISABLED, None)]
    assert CAREFUL.longest_s < float("inf")
