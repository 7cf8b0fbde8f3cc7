"""Intervals by drawing pictures again, for metrics that are no count of right answers.

B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993). Percentile intervals are too narrow for few pictures; theirs are
widened by √(n / (n − 1)), what the spread of n drawn pictures lacks (T. Hesterberg, "What Teachers Should Know About the
Bootstrap", The American Statistician 69 (2015) 371-386).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError


def draw_weights(pictures: int, draws: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each picture is in each draw of ``pictures`` pictures: float64 [draws, pictures], whole numbers.

    >>> draw_weights(5, 3, 0).sum(axis=1).tolist()
    [5.0, 5.0, 5.0]
    """
    if pictures < 1 or draws < 1:
        raise InputError(f"expected at least one picture and one draw, got {pictures} and {draws}")
    rng = np.random.default_rng(seed)
    return rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=draws).astype(np.float64)


def interval(
    estimate: float, drawn: npt.NDArray[np.floating], pictures: int, confidence: float, most: float = 100.0,
    groups: npt.NDArray[np.int64] | None = None,
) -> tuple[float, float]:  # fmt: skip
    """The interval of ``estimate`` from its values in draws; never without the estimate. Draws that are NaN do not count.

    ``most``: the largest value that there can be, on either side of 0. Where no draw counts, or there is one picture, nothing
    is known, and the interval is -``most`` … ``most``. Draws that are all equal say no more than that no picture differs: a change
    that a share p of all pictures have stays out of ``pictures`` of them with the chance (1 - p)ⁿ, so that the interval reaches as
    far as the share with which that chance is what ``confidence`` leaves (C. J. Clopper, E. S. Pearson, Biometrika 26 (1934)).
    ``groups`` int64 [groups]: of a metric that is the mean over groups, how many pictures tell each; it reaches as far as the mean of theirs.

    A tail that no draw reaches, such as 1 in a million, is that of a normal distribution with the draws' deviation.

    >>> [round(end, 2) for end in interval(1.0, np.linspace(0.0, 2.0, 101), 1000, 0.5)]
    [0.5, 1.5]
    """
    if not 0.0 < confidence < 1.0:
        raise InputError(f"expected a confidence between 0 and 1, such as 0.95, got {confidence}")
    known, tail = drawn[~np.isnan(drawn)], (1 - confidence) / 2
    if not len(known) or pictures < 2:
        return -most, most
    if known.min() == known.max():
        told_by = np.array([pictures]) if groups is None else groups
        unseen = most * float(np.mean(1 - tail ** (1 / told_by)))
        return max(-most, estimate - unseen), min(most, estimate + unseen)
    wider = math.sqrt(pictures / (pictures - 1))
    low, high = np.quantile(known, [tail, 1 - tail])
    if tail * len(known) < 1:
        reach = NormalDist().inv_cdf(1 - tail) * float(known.std(ddof=1))
        low, high = min(low, estimate - reach), max(high, estimate + reach)
    lower, upper = (estimate + wider * (end - estimate) for end in (low, high))
    return max(-most, min(estimate, float(lower))), min(most, max(estimate, float(upper)))
