"""Time as the streams see it, so that tests can run hours of it in milliseconds.

Two kinds, never mixed: names that end in ``_s`` are seconds of the monotonic clock, for schedules; names that end in ``_ns`` are UTC
nanoseconds since 1970, for people.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """What threads of a stream look at, and wait by."""

    def now_s(self) -> float:
        """Seconds of the monotonic clock."""

    def now_ns(self) -> int:
        """UTC nanoseconds since 1970."""

    def wait_until(self, condition: threading.Condition, deadline_s: float | None) -> None:
        """Wait on ``condition``, which the caller holds, until it is notified or ``deadline_s`` has come; None: no deadline.

        May return early: whoever waits looks again at what it waits for, and at the clock.
        """


class SystemClock:
    """The machine's clocks."""

    def now_s(self) -> float:  # noqa: D102 - as in Clock, and so are those below
        return time.monotonic()

    def now_ns(self) -> int:  # noqa: D102
        return time.time_ns()

    def wait_until(self, condition: threading.Condition, deadline_s: float | None) -> None:  # noqa: D102
        if deadline_s is None:
            condition.wait()
        elif (left_s := deadline_s - time.monotonic()) > 0:
            condition.wait(min(left_s, threading.TIMEOUT_MAX))


@dataclass(eq=False)
class _Waiter:
    condition: threading.Condition
    deadline_s: float | None


class FakeClock:
    """A clock that stands still until a test moves it.

    >>> clock = FakeClock()
    >>> clock.advance(90.0)
    >>> clock.now_s()
    90.0
    """

    def __init__(self, now_s: float = 0.0, utc_offset_ns: int = 1_800_000_000_000_000_000) -> None:
        self._now_s = now_s
        self._utc_offset_ns = utc_offset_ns
        self._changed = threading.Condition()
        self._waiters: list[_Waiter] = []
        self._sleeps = 0

    def now_s(self) -> float:  # noqa: D102 - as in Clock, and so are those below
        return self._now_s

    def now_ns(self) -> int:  # noqa: D102
        return self._utc_offset_ns + round(self._now_s * 1e9)

    def wait_until(self, condition: threading.Condition, deadline_s: float | None) -> None:  # noqa: D102
        waiter = _Waiter(condition, deadline_s)
        with self._changed:
            if deadline_s is not None and deadline_s <= self._now_s:
                return
            self._waiters.append(waiter)
            self._sleeps += 1
            self._changed.notify_all()
        try:
            condition.wait()  # ``advance`` takes the condition to wake us: so it cannot come before this
        finally:
            with self._changed:
                self._waiters.remove(waiter)

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake every thread whose deadline has come."""
        self.advance_to(self._now_s + seconds)

    def advance_to(self, now_s: float) -> None:
        """Let time pass until ``now_s``."""
        with self._changed:
            self._now_s = now_s
            due = [one for one in self._waiters if one.deadline_s is not None and one.deadline_s <= self._now_s]
        for waiter in due:
            with waiter.condition:
                waiter.condition.notify_all()

    @property
    def sleeps(self) -> int:
        """How often a thread went to sleep by this clock, so far."""
        return self._sleeps

    def next_deadline_s(self) -> float | None:
        """The earliest that a thread sleeps until; None where all sleep until they are notified."""
        with self._changed:
            return min((one.deadline_s for one in self._waiters if one.deadline_s is not None), default=None)

    def wait_for_sleeps(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait, in real time, until threads went to sleep ``count`` times in all. Raises TimeoutError.

        >>> clock.wait_for_sleeps(clock.sleeps + 1)  # doctest: +SKIP
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._sleeps >= count, timeout_s):
                raise TimeoutError(f"threads went to sleep {self._sleeps} times within {timeout_s} s, not {count}")

    def wait_for_sleepers(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait, in real time, until ``count`` threads sleep by this clock. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._waiters) >= count, timeout_s):
                raise TimeoutError(f"{len(self._waiters)} threads sleep by the clock after {timeout_s} s, not {count}")
