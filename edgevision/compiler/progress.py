"""Progress of a compile: what its steps say while they run, and what each of them costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

# (step, done, total): called often; total 0 = not known.
ProgressFn = Callable[[str, int, int], None]


def silent(step: str, done: int, total: int) -> None:
    """Show no progress."""


def ignore(seconds: Mapping[str, float]) -> None:
    """Do not care how long steps will take."""


class StepClock:
    """A ``ProgressFn`` that passes every call on and adds up the time of each step, in the order they began.

    A step lasts from its first call to the first call of another one; what comes between two calls of the same step
    belongs to it. ``clock``: seconds, for tests.
    """

    def __init__(self, progress: ProgressFn, clock: Callable[[], float] = time.perf_counter) -> None:
        self._progress = progress
        self._clock = clock
        self._spent: dict[str, float] = {}
        self._step: str | None = None
        self._since = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        """See ``ProgressFn``."""
        if step != self._step:
            self._close()
            self._step, self._since = step, self._clock()
            self._spent.setdefault(step, 0.0)
        self._progress(step, done, total)

    def steps(self) -> tuple[tuple[str, float], ...]:
        """(step, seconds) so far, the running one included."""
        self._close()
        return tuple(self._spent.items())

    def _close(self) -> None:
        now = self._clock()
        if self._step is not None:
            self._spent[self._step] += now - self._since
        self._since = now
