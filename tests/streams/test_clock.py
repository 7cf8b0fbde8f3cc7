"""The clocks: waiting by the system's, and by one that a test moves."""

from __future__ import annotations

import threading
import time

import pytest

from edgevision.streams.clock import FakeClock, SystemClock


def test_the_system_clock_tells_both_times():
    clock = SystemClock()
    assert abs(clock.now_s() - time.monotonic()) < 1
    assert abs(clock.now_ns() - time.time_ns()) < 1e9


@pytest.mark.parametrize("deadline_s", [float("-inf"), 0.0])
def test_a_deadline_that_has_passed_is_not_waited_for(deadline_s):
    for clock in (SystemClock(), FakeClock()):
        condition = threading.Condition()
        with condition:
            clock.wait_until(condition, deadline_s)


def test_the_system_clock_waits_and_is_woken():
    clock, condition, woken = SystemClock(), threading.Condition(), []

    def wait() -> None:
        with condition:
            clock.wait_until(condition, clock.now_s() + 3600)
            woken.append(1)

    thread = threading.Thread(target=wait)
    thread.start()
    while not woken:
        with condition:
            condition.notify_all()
    thread.join(10)
    with condition:
        before = clock.now_s()
        clock.wait_until(condition, before + 0.01)
        assert clock.now_s() >= before + 0.009


def sleeper(clock: FakeClock, deadlines: list[float | None]) -> tuple[threading.Thread, list[float]]:
    """A thread that waits for each deadline in turn, and notes when it went on."""
    woken: list[float] = []
    condition = threading.Condition()

    def wait() -> None:
        with condition:
            for deadline in deadlines:
                clock.wait_until(condition, deadline)
                woken.append(clock.now_s())

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread, woken


def test_a_fake_clock_wakes_whose_deadline_has_come_and_nobody_else():
    clock = FakeClock()
    early, early_woken = sleeper(clock, [1.0])
    late, late_woken = sleeper(clock, [3600.0])
    clock.wait_for_sleepers(2)
    clock.advance(0.5)
    assert early_woken == []
    clock.advance(0.5)
    early.join(10)
    assert (early_woken, late_woken) == ([1.0], [])
    clock.advance(3600)
    late.join(10)
    assert late_woken == [3601.0]


def test_a_fake_clock_runs_hours_at_once():
    clock = FakeClock()
    thread, woken = sleeper(clock, [3600.0 * hour for hour in range(1, 25)])
    for _ in range(24):
        clock.wait_for_sleepers(1)
        clock.advance(3600)
        while thread.is_alive() and len(woken) < clock.now_s() / 3600:
            time.sleep(0)
    thread.join(10)
    assert woken == [3600.0 * hour for hour in range(1, 25)]
    assert clock.now_ns() - FakeClock().now_ns() == 24 * 3600 * 10**9


def test_missing_sleepers_are_told():
    with pytest.raises(TimeoutError, match="0 threads sleep by the clock"):
        FakeClock().wait_for_sleepers(1, timeout_s=0.01)
