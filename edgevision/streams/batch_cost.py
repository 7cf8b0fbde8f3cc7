"""What a batch costs: t(n) = b + a·n, learned from the batches that were run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from operator import mul

WINDOW = 50  # batches that are remembered
# Frames a second of full batches against single frames, from which batches are worth their greater age. A judgement: batches
# of 4 gave 0.8 to 1.2 times the frames on a CPU, and each result was four times as long under way; a GPU was not tried.
MIN_GAIN = 1.3
_HICCUP = 4.0
_FIT_EVERY = 8  # batches, once there are many: a line through 50 of them costs more than taking a frame
_MANY = 16
_MIN_VARIANCE = 0.05  # of batch sizes in the window, from which a line through them says something


class BatchCost:
    """The cost of one model's batches in seconds, by least squares over the last 50. Not thread-safe.

    ``seed``: batches measured before, as (frames, seconds). Until batches of two sizes are known, all of the cost is taken to be the
    frames' (b = 0); later, while all batches have one size, the last known ratio of b to a is kept. ``before_s``: what goes by before a batch runs, such as
    for decoding: added to ``seconds()``, and to nothing else.

    >>> cost = BatchCost([(1, 0.011), (8, 0.018)])
    >>> round(cost.fixed_s, 3), round(cost.per_frame_s, 3), round(cost.seconds(4), 3)
    (0.01, 0.001, 0.014)
    """

    def __init__(self, seed: Iterable[tuple[int, float]] = ()) -> None:
        self.before_s = 0.0
        self.fixed_s = 0.0
        self.per_frame_s = 0.0
        self._batches: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._has_line = False
        self._added = 0
        for frames, seconds in seed:
            self.add(frames, seconds)

    def add(self, frames: int, seconds: float) -> None:
        """A batch was run."""
        self._batches.append((frames, seconds))
        self._added += 1
        if self._added <= _MANY or self._added % _FIT_EVERY == 0:
            self._fit()

    def seconds(self, frames: float) -> float:
        """What a batch of so many frames will take; 0 while nothing is known."""
        return self.before_s + self.run_s(frames)

    def run_s(self, frames: float) -> float:
        """What the model will take for it."""
        return self.fixed_s + self.per_frame_s * frames

    def gains_from(self, max_batch: int) -> bool:
        """Whether batches of ``max_batch`` serve clearly more frames a second than single frames do. True while unknown."""
        if not self._has_line or max_batch == 1:
            return max_batch > 1
        return max_batch * self.run_s(1) >= MIN_GAIN * self.run_s(max_batch)

    def _fit(self) -> None:
        sizes, seconds = self._without_hiccups()
        count = len(sizes)
        mean_n, mean_t = sum(sizes) / count, sum(seconds) / count
        variance = sum(map(mul, sizes, sizes)) / count - mean_n**2
        if variance < _MIN_VARIANCE:
            self._scale(mean_n, mean_t)
            return
        slope = (sum(map(mul, sizes, seconds)) / count - mean_n * mean_t) / variance
        self.per_frame_s = min(max(slope, 0.0), mean_t / mean_n)  # neither b nor a is negative
        self.fixed_s = mean_t - self.per_frame_s * mean_n
        self._has_line = True

    def _without_hiccups(self) -> tuple[list[int], list[float]]:
        """Frames and seconds, none longer than four times the median (of more frames than the median batch: in proportion)."""
        sizes = [n for n, _ in self._batches]
        seconds = [t for _, t in self._batches]
        middle = (len(sizes) - 1) // 2
        usual_t = sorted(seconds)[middle]
        if max(seconds) > _HICCUP * usual_t:
            usual_n = sorted(sizes)[middle]
            seconds = [min(t, _HICCUP * usual_t * max(1.0, n / usual_n)) for n, t in zip(sizes, seconds, strict=True)]
        return sizes, seconds

    def _scale(self, mean_n: float, mean_t: float) -> None:
        """One size alone: its cost is known, how it divides is not."""
        predicted = self.run_s(mean_n)
        if not self._has_line or predicted <= 0:
            self.fixed_s, self.per_frame_s = 0.0, mean_t / mean_n
            return
        self.fixed_s *= mean_t / predicted
        self.per_frame_s *= mean_t / predicted
