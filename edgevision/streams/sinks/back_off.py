"""How long to wait before something is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S, LONGEST_S = 0.5, 30.0
JITTER = 0.2


class BackOff:
    """Pauses that double from ``first_s`` to ``longest_s`` seconds, each up to 20 % shorter or longer.

    The jitter keeps many devices from coming back at the same moment when a server returns.

    >>> pauses = BackOff(draw=lambda low, high: (low + high) / 2)
    >>> [pauses.next() for _ in range(3)]
    [0.5, 1.0, 2.0]
    """

    def __init__(
        self,
        first_s: float = FIRST_S,
        longest_s: float = LONGEST_S,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._draw = draw
        self._next_s = first_s

    def next(self) -> float:
        """Seconds to wait now."""
        pause = self._next_s
        self._next_s = min(2 * pause, self._longest_s)
        return pause * self._draw(1 - JITTER, 1 + JITTER)

    def longest(self) -> float:
        """Seconds to wait where trying soon again would do harm, such as after a wrong password."""
        self._next_s = self._longest_s
        return self.next()

    def reset(self) -> None:
        """It worked."""
        self._next_s = self._first_s
