"""Whether a target becomes slower or quicker while it is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevision.bench.statistics.percentiles import Numbers
from edgevision.bench.statistics.ranks import spearman
from edgevision.errors import InputError


@dataclass(frozen=True)
class Drift:
    """``rho``: Spearman's correlation with time, -1…1. ``p``: how likely chance alone makes one as strong. ``change``: the last over the
    first figure along the typical slope (the median of the slopes of all pairs, Theil and Sen), such as 1.05 for 5 % more. ``n``: figures.
    """

    rho: float
    p: float
    change: float
    n: int


def drifts(samples: Sequence[float] | Numbers) -> Drift:
    """Look for a drift in ``samples``, one figure > 0 for each round (such as its median latency), in the order of time.

    The p-value takes rounds as independent. Noise with a memory longer than a round looks like a drift more often than that: what a
    reader should act on is a small p together with a change that matters.

    >>> round(drifts([10.0, 10.2, 10.1, 10.4, 10.5, 10.6, 10.8, 10.7]).change, 2)
    1.08
    """
    values = np.asarray(samples, np.float64)
    if values.ndim != 1 or (values <= 0).any():
        raise InputError("expected figures > 0, one for each round")
    n = len(values)
    if n < 2:
        return Drift(0.0, 1.0, 1.0, n)
    if n > 400:  # slopes of all pairs: neighbours are put together, which leaves a slope as it is
        full = n // (n // 200) * (n // 200)
        values = np.median(values[:full].reshape(-1, n // 200), axis=1)
    logs = np.log(values)
    first, second = np.triu_indices(len(logs), 1)
    slope = float(np.median((logs[second] - logs[first]) / (second - first)))
    rho, p = spearman(np.arange(len(values), dtype=np.float64), values)
    return Drift(rho, p, math.exp(slope * (len(values) - 1)), n)
