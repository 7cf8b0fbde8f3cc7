"""How well a score separates two groups."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def auroc(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> float | None:
    """Area under the ROC curve, 0…1: the chance that a positive scores higher than a negative, ties counting half.

    The Mann–Whitney statistic, exact, in O(n log n). None when either group is empty.

    >>> auroc([0.9, 0.8], [0.8, 0.1])
    0.875
    """
    high = np.asarray(positives, dtype=np.float64).ravel()
    low = np.sort(np.asarray(negatives, dtype=np.float64).ravel())
    if not high.size or not low.size:
        return None
    below = np.searchsorted(low, high, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(low, high, side="right").sum(dtype=np.int64)
    return float((int(below) + int(not_above)) / (2 * high.size * low.size))
