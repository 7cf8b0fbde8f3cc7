"""What ranks say, whatever the noise looks like: Spearman's correlation with time, and the signed-rank interval."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

Floats = npt.NDArray[np.float64]

_EXACT = 160  # values up to which the signed-rank distribution is counted out; above, its normal limit is as good


def ranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing the mean of theirs."""
    _, inverse, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)


def spearman(x: Floats, y: Floats) -> tuple[float, float]:
    """Spearman's rank correlation of two arrays [n], and its two-sided p-value by Student's t with n - 2 degrees of freedom.

    (0, 1) where one of them does not vary, or n < 4. Source: the usual approximation t = ρ·√((n - 2)/(1 - ρ²)).
    """
    if len(x) != len(y):
        raise InputError(f"expected arrays of the same length, got {len(x)} and {len(y)}")
    n = len(x)
    a, b = ranks(x), ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    if n < 4 or size == 0:
        return 0.0, 1.0
    rho = max(-1.0, min(1.0, float(a @ b) / size))
    if abs(rho) > 1 - 1e-12:
        return rho, 2 / math.factorial(n) if n < 20 else 0.0
    return rho, student_p(rho * math.sqrt((n - 2) / (1 - rho * rho)), n - 2)


def student_p(t: float, freedom: int) -> float:
    """The chance that Student's t with ``freedom`` ≥ 1 degrees of freedom is as far from 0 as ``t``, on either side.

    By the finite sums for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    theta = math.atan(abs(t) / math.sqrt(freedom))
    cos2, sin = math.cos(theta) ** 2, math.sin(theta)
    term, total = 1.0, 0.0
    if freedom % 2 == 0:
        for k in range(freedom // 2):
            total += term
            term *= cos2 * (2 * k + 1) / (2 * k + 2)
        inside = sin * total
    else:
        for k in range((freedom - 1) // 2):
            total += term
            term *= cos2 * (2 * k + 2) / (2 * k + 3)
        inside = 2 / math.pi * (theta + sin * math.cos(theta) * total)
    return max(0.0, 1.0 - inside)


def signed_rank_interval(values: Floats, error: float) -> tuple[float, float, float]:
    """The centre of ``values`` [n] with its interval: Hodges-Lehmann's estimate, and the lowest and highest centre that Wilcoxon's
    signed-rank test does not reject at ``error``, two-sided.

    It holds for any distribution that is symmetric about its centre, and a straggler counts no more than its rank. The limits are
    infinite where n is too small for ``error``: 2 / 2ⁿ is the least that n values can speak for. O(n²) memory: the means of all pairs.
    """
    n = len(values)
    if not n or not 0 < error < 1:
        raise InputError(f"expected at least one value and 0 < error < 1, got {n} and {error}")
    array = np.asarray(values, np.float64)
    first, second = np.triu_indices(n)
    means = np.sort((array[first] + array[second]) / 2)
    centre = float(np.median(means))
    cut = _critical(n, error)
    if cut < 0:
        return centre, -math.inf, math.inf
    # Means below the centre θ and the rank sum below it are the same number: θ is rejected where at most ``cut`` means lie below it.
    return centre, float(means[cut]), float(means[len(means) - 1 - cut])


def _critical(n: int, error: float) -> int:
    """The largest rank sum w with P(W ≤ w) ≤ error / 2 for n values without ties; -1 where even 0 is too likely."""
    if n <= _EXACT:
        return int(np.searchsorted(_rank_sums(n), error / 2 * (1 + 1e-12), side="right")) - 1
    mean, deviation = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return math.floor(mean - normal_quantile(1 - error / 2) * deviation - 0.5)


@functools.lru_cache(maxsize=_EXACT)
def _rank_sums(n: int) -> Floats:
    """P(W ≤ w) for w = 0, 1, …: each rank is in the sum or not, with a chance of a half."""
    chances = np.ones(1)
    for rank in range(1, n + 1):
        wider = np.zeros(len(chances) + rank)
        wider[: len(chances)] += chances / 2
        wider[rank:] += chances / 2
        chances = wider
    return np.cumsum(chances)


def normal_quantile(share: float) -> float:
    """The value that the share ``share`` (0 < share < 1) of a standard normal distribution lies under, by bisection of ``erf``."""
    low, high = -40.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        if 0.5 * math.erfc(-middle / math.sqrt(2)) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
