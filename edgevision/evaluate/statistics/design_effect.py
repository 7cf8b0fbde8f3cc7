"""How much less photos say that answer for each other than as many photos that do not.

Intervals of shares (Tango's, Clopper's) take every photo for a draw of its own. Photos that are looked up among each other are not:
one photo may be the wrong answer of ten. Drawing photos again (bootstrap) is no way out: a photo that is drawn twice finds
itself. Leaving one out is: the jackknife takes each photo away, as a question and as an answer, and sees what changes. Its variance is
on average at least the true one (B. Efron, C. Stein, "The jackknife estimate of variance", The Annals of Statistics 9 (1981) 586-596),
so that intervals that are widened by it err on the safe side.

The *design effect* is that variance over the one of independent photos (L. Kish, "Survey Sampling", 1965); counts that are divided by it
say as much as so many independent photos (E. Korn, B. Graubard, "Confidence intervals for proportions with small expected number
of positive counts estimated from survey data", Survey Methodology 24 (1998) 193-201).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.statistics.retrieval import Places

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Photos:
    """n judged photos, int64 [n] each: numbers of contents, of which there are ``contents``. ``own``: the photo's; ``only_other``:
    that of the only other photo of its product, without which it is not judged any more, or -1."""

    own: Places
    only_other: Places
    contents: int


@dataclass(frozen=True, eq=False)
class Change:
    """What each photo's value gains, float64 [n], where the content ``without`` int64 [n] is not there to answer; -1 = none."""

    without: Places
    gain: Numbers


def design_effect(value: Numbers, changes: Sequence[Change], photos: Photos) -> float:
    """Variance of the mean of ``value`` by the jackknife, over that of as many independent photos; 1 where nothing varies.

    ``value`` float64 [n]: of each photo, such as 1 for right. ``changes``: what depends on other photos; several, where several
    models are answered by different ones.

    >>> four = Photos(own=np.arange(4), only_other=np.full(4, -1), contents=4)
    >>> round(design_effect(np.array([1.0, 0, 1, 0]), [], four), 3)  # nobody depends on anybody
    1.0
    >>> hub = Change(np.array([1, 0, 0, 0]), np.array([0.0, 1, -1, 1]))  # three depend on the first
    >>> design_effect(np.array([1.0, 0, 1, 0]), [hub], four) > 1
    True
    """
    n = len(value)
    independent = float(value.var()) / max(1, n - 1)
    if independent == 0.0:
        return 1.0
    total, count = _without_each(value, changes, photos)
    there = count > 0
    means = total[there] / count[there]
    m = len(means)
    return float((m - 1) / m * ((means - means.mean()) ** 2).sum()) / independent


def _without_each(value: Numbers, changes: Sequence[Change], photos: Photos) -> tuple[Numbers, Numbers]:
    """Sum of the values, and number of judged photos, without each content: float64 [contents]."""

    def summed(content: Places, amounts: Numbers) -> Numbers:
        return np.bincount(content, weights=amounts, minlength=photos.contents)

    one, bound = np.ones_like(value), photos.only_other >= 0
    partner = photos.only_other[bound]
    total = value.sum() - summed(photos.own, value) - summed(partner, value[bound])
    count = len(value) - summed(photos.own, one) - summed(partner, one[bound])
    for change in changes:
        # Whose only other photo is taken away is not judged any more: that its answer is gone does not matter then.
        turns = (change.without >= 0) & (change.without != photos.only_other)
        total = total + summed(change.without[turns], change.gain[turns])
    return total, count
