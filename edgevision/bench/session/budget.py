"""How much time is left. Whoever wants to begin something asks before it does."""

from __future__ import annotations

import time
from collections.abc import Callable

_FOR_THE_END = 0.05  # of the budget: figures, doubts, closing, the file
_MOST_FOR_THE_END = 0.15


class Budget:
    """``minutes`` from now on. ``clock``: seconds.

    >>> now = [0.0]
    >>> budget = Budget(1.0, clock=lambda: now[0])
    >>> now[0] = 30.0
    >>> budget.left_s, budget.allows(20.0), budget.allows(40.0)
    (27.0, True, False)
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._whole_s = minutes * 60
        self._usable_s = self._whole_s * (1 - _FOR_THE_END)

    def keep_back(self, seconds: float) -> None:
        """More time that the end will take, up to ``_MOST_FOR_THE_END`` of all."""
        most_s = self._whole_s * (1 - _MOST_FOR_THE_END)
        self._usable_s = max(most_s, self._usable_s - seconds)

    @property
    def spent_s(self) -> float:
        """Seconds since the begin."""
        return self._clock() - self._began

    @property
    def left_s(self) -> float:
        """Seconds in which something may still begin, 0 at least."""
        return max(0.0, self._usable_s - self.spent_s)

    @property
    def whole_s(self) -> float:
        """All of it."""
        return self._whole_s

    def allows(self, seconds: float) -> bool:
        """Whether something that takes so long would end in time."""
        return self.spent_s + seconds <= self._usable_s
