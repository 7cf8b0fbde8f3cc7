"""How far a ratio of two runs may be off: bootstrap over the rounds of each. The runs are not paired: nothing was measured together.

A round's block is drawn as a whole, because a machine is slower for seconds at a time and then all requests of a block are. Few rounds
make this interval too narrow; it is widened as Hesterberg (2015, doi:10.1080/00031305.2015.1089789) does: by Student's t in place of the
normal quantile, and by √(n / (n - 1)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEAST_ROUNDS = 5  # of each run: fewer say nothing about how rounds differ
RESAMPLES = 2000
_GRID = 4096  # places at which the distribution of latencies is read

Draws = npt.NDArray[np.float64]


def percentile_draws(
    blocks_ns: Sequence[npt.NDArray[np.int64]], p: float, rng: np.random.Generator
) -> tuple[float, Draws]:
    """ln of the percentile ``p`` of all samples, and of ``RESAMPLES`` draws of blocks with replacement, float64 [RESAMPLES].

    ``blocks_ns``: latencies > 0 of each block, none of them empty. Percentiles are read on a grid of at most 4,096 of the samples: exact
    for so many, and 1 / 4096 of the samples off for more.
    """
    samples = np.sort(np.concatenate(blocks_ns))
    grid = samples[np.unique(np.linspace(0, len(samples) - 1, _GRID).astype(np.int64))]
    counts = np.array([np.searchsorted(np.sort(block), grid, side="right") for block in blocks_ns], np.float64)
    sizes = np.array([len(block) for block in blocks_ns], np.float64)
    n = len(blocks_ns)
    drawn = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
    weights = np.concatenate([np.ones((1, n)), drawn])
    within = (weights @ counts) / (weights @ sizes)[:, None]
    places = np.minimum((within < p - 1e-12).sum(axis=1), len(grid) - 1)
    logs = np.log(np.maximum(grid[places], 1).astype(np.float64))
    return float(logs[0]), logs[1:]


def median_draws(values: Sequence[float], rng: np.random.Generator) -> tuple[float, Draws]:
    """The same of the median of ``values`` > 0, one of each block."""
    logs = np.log(np.asarray(values, np.float64))
    return float(np.median(logs)), np.asarray(
        np.median(logs[rng.integers(0, len(logs), (RESAMPLES, len(logs)))], axis=1)
    )


def ratio_limits(
    ratio: float, new: tuple[float, Draws], old: tuple[float, Draws], rounds: int, confidence: float
) -> tuple[float, float]:
    """The interval of ``ratio``, new / old. ``new``, ``old``: as the functions above return them; ``rounds``: of the run that has fewer."""
    off = (new[1] - old[1]) - (new[0] - old[0])
    tail = 0.5 - confidence / 2
    low, high = np.quantile(off, [tail, 1 - tail])
    wider = widening(rounds, confidence)
    return ratio * math.exp(wider * min(0.0, float(low))), ratio * math.exp(wider * max(0.0, float(high)))


def widening(n: int, confidence: float) -> float:
    """By how much an interval of a bootstrap over ``n`` ≥ 3 units is too narrow.

    >>> [round(widening(n, 0.95), 2) for n in (5, 10, 100)]
    [1.58, 1.22, 1.02]
    """
    normal = NormalDist().inv_cdf(0.5 + confidence / 2)
    return student_t(n - 1, confidence) / normal * math.sqrt(n / (n - 1))


def student_t(freedom: int, confidence: float) -> float:
    """The two-sided quantile of Student's t, by its expansion in 1 / ``freedom`` (Abramowitz and Stegun, 26.7.5); within 1 % from 4 on."""
    x = NormalDist().inv_cdf(0.5 + confidence / 2)
    v = freedom
    return (
        x
        + (x**3 + x) / (4 * v)
        + (5 * x**5 + 16 * x**3 + 3 * x) / (96 * v**2)
        + (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / (384 * v**3)
        + (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / (92160 * v**4)
    )
