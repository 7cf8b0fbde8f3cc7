"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

JITTER = 0.2  # so that cameras which failed together are not tried together


@dataclass(frozen=True)
class Pace:
    """Waits of ``first_s``, twice as long after each failure, ``longest_s`` at most."""

    first_s: float
    longest_s: float


USUAL = Pace(0.5, 30.0)
# Once, after a connection that was fine: what broke is mostly the connection, and each frame that is missed may have shown a product.
AT_ONCE = Pace(0.1, 0.1)
# Where every try can lock an account, or asks for somebody to act.
CAREFUL = Pace(60.0, 900.0)


class Backoff:
    """Counts failures. ``uniform`` gives numbers from 0 to 1, and is there for tests.

    >>> backoff = Backoff(uniform=lambda: 0.5)
    >>> [backoff.wait_s() for _ in range(8)]
    [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    """

    def __init__(self, uniform: Callable[[], float] = random.random) -> None:
        self._uniform = uniform
        self._failures = 0

    def wait_s(self, pace: Pace = USUAL) -> float:
        """Count a failure; the seconds to wait after it, up to ``JITTER`` more or less than the pace says."""
        doubled = min(self._failures, 30)  # 2³⁰ is beyond every pace
        self._failures += 1
        wait_s = min(pace.first_s * (1 << doubled), pace.longest_s)
        return wait_s * (1 + JITTER * (2 * self._uniform() - 1))

    def reset(self) -> None:
        """All is well again."""
        self._failures = 0
