"""Sums of events that fade: what happened one half-life ago counts half."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

Vector = npt.NDArray[np.float64]
DAY_S = 86_400.0
_REBASE = 40.0  # half-lives after which all sums are brought to the present; 2^40 leaves most digits of a double
_OLDEST = 1000.0  # half-lives; what is older counts nothing, and would be no normal number


class Clock:
    """Weighs events so that adding one touches nothing that was added before.

    An event at ``time_s`` gets the weight ``2 ** ((time_s - base_s) / half_life_s)``; a sum of such weights, times ``now(now_s)``, is the
    sum with everything faded as of then. So an update costs the same however long the history is, and the order of events does not
    matter. Exponential forgetting: e.g. Koychev, Gradual Forgetting for Adaptation to Concept Drift, 2000.

    >>> clock = Clock(half_life_s=60.0, base_s=0.0)
    >>> clock.weight(0.0) * clock.now(120.0), clock.weight(120.0) * clock.now(120.0)
    (0.25, 1.0)
    """

    def __init__(self, half_life_s: float, base_s: float = 0.0) -> None:
        if not (math.isfinite(half_life_s) and half_life_s > 0):
            raise InputError(f"a half-life is a number of seconds above 0, got {half_life_s}")
        if not math.isfinite(base_s):
            raise InputError(f"a time is a number of seconds since 1970, got {base_s}")
        self.half_life_s, self.base_s = float(half_life_s), float(base_s)

    def weight(self, time_s: float) -> float:
        """Of an event at ``time_s``, in the units of the sums."""
        return self._power((time_s - self.base_s) / self.half_life_s)

    def now(self, now_s: float) -> float:
        """What turns sums into values as of ``now_s``."""
        return self._power((self.base_s - now_s) / self.half_life_s)

    def due(self, time_s: float) -> bool:
        """Whether ``time_s`` is so far on that the sums should be brought to it, or they would overflow some day."""
        return (time_s - self.base_s) / self.half_life_s > _REBASE

    @staticmethod
    def _power(half_lives: float) -> float:
        if not math.isfinite(half_lives):
            raise InputError("a time is a number of seconds since 1970")
        return 0.0 if half_lives < -_OLDEST else 2.0 ** min(half_lives, _OLDEST)


class FadingCounts:
    """A count for each product, in a clock's units. At most ``most`` are kept: where there are more, the smallest go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums: dict[int, float] = {}

    def add(self, id: int, weight: float) -> None:
        """In constant time: what has to go is sought only when there are twice as many as are kept."""
        self._sums[id] = self._sums.get(id, 0.0) + weight
        if len(self._sums) >= 2 * self._most:
            self.trim()

    def trim(self) -> None:
        """Keep the largest."""
        if len(self._sums) > self._most:
            largest = sorted(self._sums.items(), key=lambda pair: (-pair[1], pair[0]))
            self._sums = dict(largest[: self._most])

    def scale(self, factor: float) -> None:
        """Multiply all; what becomes 0 goes."""
        self._sums = {id: value * factor for id, value in self._sums.items() if value * factor > 0}

    def clear(self) -> None:
        """Forget all."""
        self._sums.clear()

    def __len__(self) -> int:
        return len(self._sums)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return iter(self._sums.items())
