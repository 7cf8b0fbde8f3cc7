"""Several rankings of the same products made one: reciprocal rank fusion.

Cormack, Clarke and Büttcher, Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods, SIGIR 2009. Only ranks
count, so that a cosine and a BM25 score need no common scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

K = 60  # of the paper: how soon a place further down counts less


def fuse(rankings: Sequence[Scores], weights: Sequence[float] | None = None) -> Scores:
    """[products], 0…1: 1 for what is first in all of them, 0 for what none of them ranks.

    ``rankings``: scores [products] each, more is better; NaN is not ranked. Equal scores have equal ranks.

    >>> fuse([np.array([3.0, 2.0, np.nan]), np.array([0.1, 0.9, 0.5])]).round(3).tolist()
    [0.984, 0.992, 0.492]
    """
    shares = np.ones(len(rankings)) if weights is None else np.asarray(weights, np.float64)
    parts = [share * (K + 1) / (K + ranks_of(one)) for share, one in zip(shares, rankings, strict=True)]
    total: Scores = np.sum(parts, axis=0) / shares.sum()
    return total


def ranks_of(scores: Scores) -> Scores:
    """1 for the best; equal scores share the best of their ranks; infinite for NaN."""
    ranks = np.full(len(scores), np.inf)
    ranked = np.flatnonzero(~np.isnan(scores))
    ordered = np.sort(-scores[ranked])
    ranks[ranked] = 1.0 + np.searchsorted(ordered, -scores[ranked])
    return ranks
