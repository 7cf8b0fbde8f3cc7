"""Several rankings of the same products made one: the weighted sum of scores, each spread over 0…1.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) was measured beside it (benchmarks/gallery_text.py): neither was better beyond
the intervals. Scores are taken because ranks make a first of every list, however weak its reasons: of what means next to nothing, such as
English vectors of Chinese words, the first would count as much as the only product that has the word.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


def fuse(rankings: Sequence[Scores], weights: Sequence[float] | None = None) -> Scores:
    """[products], 0…1: 1 for what is best in all of them, 0 for what is worst in all.

    ``rankings``: scores [products] each, more is better, without NaN.

    >>> fuse([np.array([3.0, 2.0, 0.0]), np.array([0.1, 0.9, 0.5])]).round(2).tolist()
    [0.5, 0.83, 0.25]
    """
    shares = np.ones(len(rankings)) if weights is None else np.asarray(weights, np.float64)
    total = np.sum([share * spread(one) for share, one in zip(shares, rankings, strict=True)], axis=0)
    return np.asarray(total / shares.sum())


def spread(scores: Scores) -> Scores:
    """The scores from 0, the lowest, to 1, the highest; all 0 where none is higher than another."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return np.asarray((scores - low) / (high - low)) if high > low else np.zeros(len(scores))
