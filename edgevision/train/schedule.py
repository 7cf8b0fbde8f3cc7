"""What changes over a run, as functions of how far it is: ``progress`` 0…1 of the whole run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Linear rise over the first ``warmup`` share of the run, times a cosine from 1 to 0 over all of it.

    >>> [round(learning_rate_factor(p, 0.1), 3) for p in (0.05, 0.1, 0.5, 1.0)]
    [0.497, 0.976, 0.5, 0.0]
    """
    rise = min(1.0, progress / warmup) if warmup > 0 else 1.0
    return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def training_size(progress: float, size: int, shares: Sequence[float]) -> int:
    """Side of the training picture in pixels: each share of ``size`` in turn, for equal parts of the run.

    Rounded to a multiple of 32 (8 for models under 128 pixels), which strides divide evenly; at least 32.

    >>> [training_size(p, 224, (0.72, 0.86)) for p in (0.0, 0.49, 0.5, 1.0)]
    [160, 160, 192, 192]
    """
    share = shares[min(int(progress * len(shares)), len(shares) - 1)]
    if share == 1:
        return size
    grain = 32 if size >= 128 else 8
    return max(32, round(size * share / grain) * grain)


def ema_decay(step: int, decay: float) -> float:
    """Decay of the averaged weights after step ``step`` (from 0): short at first, so that the start is forgotten."""
    return min(decay, (step + 1) / (step + 10))


@dataclass
class RunClock:
    """How far a run is: the share of its steps or of its time, whichever is more.

    ``budget_s``: wall-clock seconds for everything (None = no limit), of which ``reserve_s`` are for what comes after
    the last step. ``spent_s``: seconds used before the run went on after a break.
    """

    steps: int
    budget_s: float | None = None
    reserve_s: float = 0.0
    spent_s: float = 0.0
    now: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    @property
    def elapsed_s(self) -> float:
        """Seconds of the run, breaks left out."""
        return self.spent_s + self.now() - self.started

    def progress(self, step: float) -> float:
        """0…1; 1 = the run is over."""
        share = step / self.steps
        if self.budget_s is not None:
            share = max(share, self.elapsed_s / max(1e-3, self.budget_s - self.reserve_s))
        return min(1.0, share)
