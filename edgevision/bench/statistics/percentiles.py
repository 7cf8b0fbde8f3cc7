"""Percentiles with bounds: how much of a tail these samples can vouch for.

Three tools have three rules for a percentile. Here it is the nearest rank: the smallest sample that at least the share ``p`` of all
stayed within. Its upper bound is MLPerf's early stopping, its lower bound the order statistic of the same kind. Both are exact for
samples that do not depend on each other. Samples of one stretch of time often do: ``bounded_by_blocks`` takes whole blocks as the unit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

Numbers = npt.NDArray[np.integer[Any] | np.floating[Any]]


@dataclass(frozen=True)
class Bound:
    """A percentile, in the unit of the samples.

    ``low`` and ``high``: each holds with the confidence that was asked for; None where there are too few samples for it. ``enough``:
    whether there are as many samples as MLPerf asks for, which is ``needed``.
    """

    value: float
    low: float | None
    high: float | None
    enough: bool
    needed: int


def bounded(samples_ns: Numbers, p: float, confidence: float = 0.99) -> Bound:
    """The percentile ``p`` (0 < p < 1) of ``samples_ns`` [n], n ≥ 1, with a bound on either side.

    ``high`` is the estimate that MLPerf's load generator gives when it stops early: it counts how many samples may lie at or over a limit
    before chance (1 - ``confidence``) could explain so few of them if more than the share 1 - p really did; with t such samples allowed,
    the t-th highest is the bound. It asks for t ≥ 1 with the bound itself counted as over, hence for 64 samples at p90, 130 at p95 and
    662 at p99. ``low`` is the k-th lowest sample, with the largest k for which it exceeds the true percentile with a chance of at most
    1 - ``confidence``.

    >>> bounded(np.arange(1, 101), 0.9)
    Bound(value=90.0, low=82.0, high=98.0, enough=True, needed=64)
    """
    ordered = np.sort(_checked(samples_ns, p, confidence))
    n = len(ordered)
    over = _most_over(n, p, 1 - confidence)
    under = _ranks_below(n, p, 1 - confidence)
    return Bound(
        value=float(ordered[_rank(n, p) - 1]),
        low=float(ordered[under - 1]) if under else None,
        high=float(ordered[n - over]) if over else None,
        enough=over > 0,
        needed=needed_samples(p, confidence),
    )


def needed_samples(p: float, confidence: float = 0.99) -> int:
    """The fewest samples that ``bounded`` gives an upper bound for.

    >>> [needed_samples(p) for p in (0.5, 0.9, 0.95, 0.99)]
    [11, 64, 130, 662]
    """
    if not (0 < p < 1 and 0 < confidence < 1):
        raise InputError(f"expected 0 < p < 1 and 0 < confidence < 1, got {p} and {confidence}")
    least, most = 1, 2
    while not _most_over(most, p, 1 - confidence):
        least, most = most, 2 * most
    while least < most:
        middle = (least + most) // 2
        if _most_over(middle, p, 1 - confidence):
            most = middle
        else:
            least = middle + 1
    return least


def bounded_by_blocks(
    blocks_ns: Sequence[Numbers], p: float, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Bound:
    """The percentile ``p`` of all samples of ``blocks_ns``, bounded by a bootstrap over blocks, two-sided at ``confidence``.

    A machine is slower for seconds at a time, and then all samples of a block are: bounds that count samples are too narrow for what
    another run will show. Drawing whole blocks (with replacement, ``seed`` fixed) keeps that. Bounds are None under 5 blocks; ``needed``
    counts samples, as in ``bounded``.
    """
    blocks = [np.sort(_checked(block, p, confidence)) for block in blocks_ns if len(block)]
    samples = np.sort(np.concatenate(blocks)) if blocks else np.zeros(0)
    _checked(samples, p, confidence)
    rank, needed = _rank(len(samples), p), needed_samples(p)
    value = float(samples[rank - 1])
    if len(blocks) < 5:
        return Bound(value, None, None, False, needed)
    # Positions on a common grid of values make one resample a weighted count, which costs little however many samples there are.
    grid = samples[np.unique(np.linspace(0, len(samples) - 1, 1024).astype(np.int64))]
    counts = np.array([np.searchsorted(block, grid, side="right") for block in blocks])
    sizes = np.array([len(block) for block in blocks])
    drawn = np.random.default_rng(seed).multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), resamples)
    within = drawn @ counts / (drawn @ sizes)[:, None]
    found = np.sort(grid[np.minimum((within < p - 1e-12).sum(axis=1), len(grid) - 1)])
    tail = (1 - confidence) / 2
    low, high = found[math.floor(tail * (resamples - 1))], found[math.ceil((1 - tail) * (resamples - 1))]
    return Bound(value, min(float(low), value), max(float(high), value), len(samples) >= needed, needed)


def binomial_cdf(k: int, n: int, q: float) -> float:
    """The chance of at most ``k`` successes in ``n`` tries, each with the chance ``q`` (0 < q < 1)."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    # The greatest term is found in logarithms; its neighbours follow by ratios until they no longer count.
    odds = q / (1 - q)
    top = min(k, math.floor((n + 1) * q))
    log_top = (
        math.lgamma(n + 1)
        - math.lgamma(top + 1)
        - math.lgamma(n - top + 1)
        + top * math.log(q)
        + (n - top) * math.log1p(-q)
    )
    total = term = 1.0
    for i in range(top, 0, -1):
        term *= i / ((n - i + 1) * odds)
        total += term
        if term < 1e-17 * total:
            break
    term = 1.0
    for i in range(top + 1, k + 1):
        term *= (n - i + 1) * odds / i
        total += term
        if term < 1e-17 * total:
            break
    return min(1.0, math.exp(log_top) * total)


def _most_over(n: int, p: float, chance: float) -> int:
    """The largest t for which at most t of n samples lie over the true percentile with at most ``chance``; 0 where even 1 is too many."""
    return _last_below(n, 1 - p, chance)


def _ranks_below(n: int, p: float, chance: float) -> int:
    """The largest k for which the k-th lowest of n samples exceeds the true percentile with at most ``chance``; 0 where none does."""
    # It does when fewer than k samples lie at or under the percentile.
    return _last_below(n, p, chance, smallest=-1) + 1


@functools.lru_cache(maxsize=256)
def _last_below(n: int, q: float, chance: float, smallest: int = 0) -> int:
    """The largest k with P(at most k of n) ≤ ``chance``, by bisection; ``smallest`` where k = smallest + 1 is too many already."""
    low, high = smallest, n  # at most n of n is certain
    while high - low > 1:
        middle = (low + high) // 2
        if binomial_cdf(middle, n, q) <= chance:
            low = middle
        else:
            high = middle
    return low


def _rank(n: int, p: float) -> int:
    return max(1, math.ceil(n * p - 1e-9))  # n·p may come out a little above an integer


def _checked(samples: Numbers, p: float, confidence: float) -> Numbers:
    array = np.asarray(samples)
    if array.ndim != 1 or not len(array):
        raise InputError(f"expected samples [n] with n ≥ 1, got the shape {array.shape}; measure first")
    if not (0 < p < 1 and 0 < confidence < 1):
        raise InputError(f"expected 0 < p < 1 and 0 < confidence < 1, got {p} and {confidence}")
    return array
