"""Whether a figure grows: a straight line through measurements that a few odd ones do not bend."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_NORMAL_95 = 1.959964  # of the normal distribution: 95 % lie within so many standard deviations


class Slope(NamedTuple):
    """Growth for each unit of time, with its interval of 95 % confidence."""

    value: float
    low: float
    high: float


def theil_sen(times: npt.ArrayLike, values: npt.ArrayLike) -> Slope:
    """The median slope of all pairs of points, with Sen's interval.

    ``times``, ``values``: [n] numbers, n ≥ 3, times ascending. The points are taken for independent: give medians of pieces of
    a measurement whose neighbours are alike. Raises ValueError for fewer points.

    P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968): of the N slopes in their order,
    the interval reaches from number (N − C) / 2 to number (N + C) / 2 + 1, counted from 1, with C = 1.96 √(n (n − 1) (2n + 5) / 18).

    >>> theil_sen([0, 1, 2, 3, 4], [0, 2, 4, 6, 100]).value
    2.0
    """
    x, y = np.asarray(times, np.float64), np.asarray(values, np.float64)
    n = len(x)
    if n < 3:
        raise ValueError(f"a slope needs 3 points at least, got {n}")
    first, second = np.triu_indices(n, 1)
    apart = x[second] - x[first]
    slopes = np.sort((y[second] - y[first])[apart > 0] / apart[apart > 0])
    spread = _NORMAL_95 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2) - 1)
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return Slope(float(np.median(slopes)), float(slopes[low]), float(slopes[high]))


def medians(times: npt.ArrayLike, values: npt.ArrayLike, pieces: int) -> tuple[list[float], list[float]]:
    """Times and values in ``pieces`` of about equal length, one after the other: the median of each. Empty pieces are left out.

    >>> medians([0, 1, 2, 3], [5, 7, 1, 3], 2)
    ([0.5, 2.5], [6.0, 2.0])
    """
    x, y = np.asarray(times, np.float64), np.asarray(values, np.float64)
    groups = [group for group in np.array_split(np.arange(len(x)), pieces) if len(group)]
    return [float(np.median(x[group])) for group in groups], [float(np.median(y[group])) for group in groups]
