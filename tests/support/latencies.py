"""Samples of latency that say what a test wants them to say."""

from __future__ import annotations

import numpy as np

from edgevision.latency import Samples


def steady(p50_ms: float, p90_ms: float | None = None) -> Samples:
    """Forty rounds without noise, with that p50 and p90 (default: the same)."""
    return Samples(np.rint(1e6 * np.array([p50_ms] * 32 + [p90_ms or p50_ms] * 8)).astype(np.int64))


def noisy(p50_ms: float, noise: float, seed: int, rounds: int = 40) -> Samples:
    """Rounds around ``p50_ms``, log-normal: ``noise`` is the share that a round is off by. Half are above, half below."""
    rng = np.random.default_rng(seed)
    off = np.abs(rng.normal(0, noise, rounds)) * rng.permutation(np.resize([1, -1], rounds))
    return Samples(np.rint(1e6 * p50_ms * np.exp(off)).astype(np.int64))
