"""How often frames of a camera come, and when the next is expected: from what came, never from the rate it announces."""

from __future__ import annotations

import math
from collections import deque

WINDOW = 64  # arrivals that are remembered
TRUSTED = 8  # arrivals before anything is said
MAX_LATE = 3  # periods without a frame: more is a pause
_SMOOTHING = 1 / 16


class Arrivals:
    """The arrivals of one camera's frames. Not thread-safe.

    ``deviation_s``: how far the time between two frames is from the period, in the mean of the last ones. ``next_s``: when the next
    frame is expected, if none was late; infinite where nothing is known.

    >>> arrivals = Arrivals()
    >>> for i in range(10):
    ...     arrivals.add(0.04 * i)
    >>> round(arrivals.period_s, 3), round(arrivals.next_s, 3)
    (0.04, 0.4)
    """

    def __init__(self) -> None:
        self.deviation_s = 0.0
        self.next_s = math.inf
        self._times: deque[float] = deque(maxlen=WINDOW)

    def add(self, now_s: float) -> None:
        """A frame came. After a pause of more than three periods counting begins anew: the pause tells nothing of the rate."""
        if self._times:
            period_s = self.period_s
            since_s = now_s - self._times[-1]
            if period_s is not None:
                if since_s > MAX_LATE * period_s:
                    self._times.clear()
                    self.deviation_s = 0.0
                else:
                    self.deviation_s += _SMOOTHING * (abs(since_s - period_s) - self.deviation_s)
        self._times.append(now_s)
        period_s = self.period_s
        self.next_s = math.inf if period_s is None else now_s + period_s

    @property
    def last_s(self) -> float | None:
        """When the last frame came."""
        return self._times[-1] if self._times else None

    @property
    def period_s(self) -> float | None:
        """Seconds from one frame to the next: the span of the last 64 arrivals over their number less one. None: too few yet."""
        count = len(self._times)
        if count < TRUSTED:
            return None
        return (self._times[-1] - self._times[0]) / (count - 1)
