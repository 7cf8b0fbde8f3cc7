"""Counters and histograms of a stream, as plain numbers. Sinks expose them; nothing here knows how.

What is measured for each frame, in seconds:

``queue``: it came → taken by the batcher. ``decode``: a picture that came as a file → its pixels. ``model``: the model got its batch → its answer,
for the whole batch. ``age_at_take``: captured → taken. ``age``: captured → result.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgevision.streams.sink_status import SinkStatus

Stage = Literal["decode", "queue", "model", "age_at_take", "age"]
# Upper bounds in seconds: 1, 2 and 5 of each power of ten, and what a deadline of 250 ms needs between.
BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BATCH_BOUNDS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


@dataclass(frozen=True)
class HistogramCounts:
    """A histogram as of one moment. ``counts[i]``: values over ``bounds[i - 1]`` up to ``bounds[i]``; one more for those above."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def up_to(self) -> list[tuple[str, int]]:
        """Each bound as text, "+Inf" last, with how many values are within it: as Prometheus has buckets.

        >>> HistogramCounts((0.1, 1.0), (2, 0, 1), 3.2).up_to()
        [('0.1', 2), ('1.0', 2), ('+Inf', 3)]
        """
        bounds = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))

    def quantile(self, share: float) -> float | None:
        """The bound that at least ``share`` (0…1) of the values are within; infinite over the last bound; None without values."""
        wanted = share * self.count
        so_far = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            so_far += count
            if so_far and so_far >= wanted:
                return bound
        return None


class Histogram:
    """Values counted by size. Thread-safe; adding one costs about a microsecond.

    >>> histogram = Histogram((0.1, 0.2))
    >>> for value in (0.05, 0.1, 0.15, 9.0):
    ...     histogram.add(value)
    >>> histogram.read().counts
    (2, 1, 1)
    """

    def __init__(self, bounds: Iterable[float] = BOUNDS_S) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Count a value."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def read(self) -> HistogramCounts:
        """As of now."""
        with self._lock:
            return HistogramCounts(self._bounds, tuple(self._counts), self._sum)


class CameraMetrics:
    """What is measured of one camera: a histogram for each stage. Get it once, and keep it."""

    def __init__(self) -> None:
        self.stages: Mapping[Stage, Histogram] = {
            stage: Histogram() for stage in ("decode", "queue", "model", "age_at_take", "age")
        }

    def add(self, stage: Stage, seconds: float) -> None:
        """Count one frame's time in a stage."""
        self.stages[stage].add(seconds)


class Metrics:
    """All that is measured of a stream. Counters only grow; a reader takes differences.

    ``batch_sizes``: frames of each batch. ``busy_s``: seconds that the model was at work, of all its parallel calls together.
    ``model_failures``: calls of the model that raised or hung. ``sinks``: reads how every sink is now.
    """

    def __init__(self) -> None:
        self.sinks: Callable[[], Sequence[SinkStatus]] = tuple
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        self._cameras: dict[str, CameraMetrics] = {}
        self._lock = threading.Lock()
        self._busy_s = 0.0
        self._model_failures = 0

    def camera(self, name: str) -> CameraMetrics:
        """One camera's, made where it is new. It goes on counting when a camera is removed and added again."""
        with self._lock:
            return self._cameras.setdefault(name, CameraMetrics())

    @property
    def cameras(self) -> dict[str, CameraMetrics]:
        """All cameras there have been, by name."""
        with self._lock:
            return dict(self._cameras)

    @property
    def busy_s(self) -> float:
        """Seconds that the model was at work."""
        return self._busy_s

    @property
    def model_failures(self) -> int:
        """Calls of the model that raised or hung."""
        return self._model_failures

    def add_batch(self, frames: int, seconds: float) -> None:
        """A batch was run."""
        self.batch_sizes.add(frames)
        with self._lock:
            self._busy_s += seconds

    def add_model_failure(self) -> None:
        """The model raised, or hung."""
        with self._lock:
            self._model_failures += 1
