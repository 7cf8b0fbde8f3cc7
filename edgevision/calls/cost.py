"""What a call costs, learnt from those before it."""

from __future__ import annotations

from collections import deque

# A measurement older than this is forgotten, so that a model which was slow for a while (another program had the cores) is
# tried again, and not refused for ever by what it once took.
REMEMBERED_S = 10.0
_CALLS = 32  # that are remembered: enough for a median, few enough to sort in a microsecond


class CallCost:
    """Seconds that a picture takes: the median of the last calls, none older than ten seconds.

    ``at_once``: calls that gain by running at once. A call that began beside others shared the cores with them, and its time
    counts by that share; so the expected time grows with the calls that are under way. There is no lock in it, for a
    signal handler may predict between any two steps of the main thread.

    >>> cost = CallCost(at_once=1)
    >>> cost.add(0.010, pictures=1, others=0, now_s=1.0)
    >>> cost.expected_s(pictures=1, others=2, now_s=1.0)  # two are before it
    0.03
    >>> cost.expected_s(pictures=1, others=0, now_s=20.0)  # nothing is known any more
    0.0
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._calls: deque[tuple[float, float]] = deque(maxlen=_CALLS)  # when it ended, seconds for a picture

    def add(self, seconds: float, pictures: int, others: int, now_s: float) -> None:
        """A call of ``pictures`` took so long; ``others`` were under way when it began."""
        if pictures:
            self._calls.append((now_s, seconds / pictures / self._share(others)))

    def expected_s(self, pictures: int, others: int, now_s: float) -> float:
        """What a call of ``pictures`` that begins now beside ``others`` will take; 0 while nothing is known."""
        recent = sorted(seconds for at_s, seconds in self._calls.copy() if at_s > now_s - REMEMBERED_S)
        return recent[len(recent) // 2] * pictures * self._share(others) if recent else 0.0

    def _share(self, others: int) -> float:
        """How many times as long a call takes beside ``others``."""
        return max(1.0, (others + 1) / self._at_once)
