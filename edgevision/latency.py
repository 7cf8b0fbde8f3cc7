"""Latency: candidates measured in turns, so that whatever disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError


@dataclass(frozen=True, eq=False)
class Samples:
    """Durations of one candidate, one for each round, in the order of the rounds. Nothing is left out.

    ``ns`` int64 [n], nanoseconds. ``preempted`` int64 [n]: how often the operating system took the measuring thread
    off its core during the call; None where it does not tell. (An engine's own threads are not seen.)
    """

    ns: npt.NDArray[np.int64]
    preempted: npt.NDArray[np.int64] | None = None

    @property
    def n(self) -> int:
        """Rounds measured."""
        return len(self.ns)

    @property
    def undisturbed(self) -> float | None:
        """Share of the calls, 0…1, that kept their core throughout; None where unknown."""
        return None if self.preempted is None else float((self.preempted == 0).mean())

    def percentile_ms(self, p: float) -> float:
        """The smallest measured duration that at least the share ``p`` (0 < p ≤ 1) of calls stayed within.

        Nearest rank: ``sorted[ceil(n·p) - 1]``, always one of the measurements.
        """
        if not 0.0 < p <= 1.0:
            raise InputError(f"expected a percentile as a share 0 < p ≤ 1, got {p}")
        rank = max(1, math.ceil(self.n * p - 1e-9))  # n·p may come out a little above an integer
        return float(np.sort(self.ns)[rank - 1]) / 1e6

    @property
    def p50_ms(self) -> float:
        """Half the calls took this long or less."""
        return self.percentile_ms(0.50)

    @property
    def p90_ms(self) -> float:
        """Nine calls in ten took this long or less."""
        return self.percentile_ms(0.90)

    @property
    def p99_ms(self) -> float:
        """99 calls in a hundred took this long or less."""
        return self.percentile_ms(0.99)


@dataclass(frozen=True)
class Ratio:
    """Median of the per-round ratios, with the limits of its bootstrap interval."""

    median: float
    low: float
    high: float
    confidence: float
    n: int


def measure_interleaved(
    candidates: Mapping[str, Callable[[], object]], rounds: int = 100, warmup: int = 5, seed: int = 0
) -> dict[str, Samples]:
    """Call every candidate once a round, in an order shuffled anew (by ``seed``) each round.

    ``warmup`` rounds go before and are not kept. Python's garbage collector rests meanwhile. Whatever a candidate
    raises ends the measurement.

    >>> samples = measure_interleaved({"sum": lambda: sum(range(100)), "max": lambda: max(range(100))}, rounds=10)
    >>> samples["sum"].n
    10
    """
    if not candidates or rounds < 1 or warmup < 0:
        raise InputError(f"expected candidates, rounds ≥ 1 and warmup ≥ 0; got {len(candidates)}, {rounds}, {warmup}")
    shuffle = random.Random(seed).shuffle
    order = list(candidates)
    ns = {name: np.zeros(rounds, dtype=np.int64) for name in order}
    preempted = {name: np.zeros(rounds, dtype=np.int64) for name in order}
    switches = switch_counter()
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for step in range(-warmup, rounds):
            shuffle(order)
            for name in order:
                call = candidates[name]
                switched = switches() if switches else 0
                start = time.perf_counter_ns()
                call()
                stop = time.perf_counter_ns()
                if step >= 0:
                    ns[name][step] = stop - start
                    preempted[name][step] = (switches() if switches else 0) - switched
    finally:
        if collecting:
            gc.enable()
    return {name: Samples(ns[name], preempted[name] if switches else None) for name in candidates}


def paired_ratio(a: Samples, b: Samples, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Ratio:
    """How many times as long ``a`` takes as ``b``, from rounds measured together: median of ``a / b`` over rounds.

    The interval is the percentile bootstrap over rounds, with a fixed seed.
    """
    if a.n != b.n:
        raise InputError(f"expected samples of the same rounds, got {a.n} and {b.n}; measure both in one run")
    if (b.ns <= 0).any():
        raise InputError("a call was too quick for the clock to see; time several calls together")
    if not 0.0 < confidence < 1.0 or resamples < 1:
        raise InputError(f"expected 0 < confidence < 1 and resamples ≥ 1, got {confidence} and {resamples}")
    ratios = a.ns / b.ns
    rng = np.random.default_rng(seed)
    medians = np.median(ratios[rng.integers(0, a.n, (resamples, a.n))], axis=1)
    low, high = np.quantile(medians, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Ratio(float(np.median(ratios)), float(low), float(high), confidence, a.n)


def within_noise(samples: Samples, quickest: Samples) -> bool:
    """Whether what these rounds show leaves open that ``samples`` is as quick as ``quickest``.

    It does where the paired interval of their ratio reaches 1. There is no fixed share: 2 % beyond doubt are slower, and
    5 % within the noise are not.
    """
    return paired_ratio(samples, quickest).low <= 1


def switch_counter() -> Callable[[], int] | None:
    """Counts this thread's involuntary context switches so far, where the system tells."""
    try:
        import resource

        who = resource.RUSAGE_THREAD
    except (ImportError, AttributeError):  # Windows; macOS
        return None
    return lambda: resource.getrusage(who).ru_nivcsw
