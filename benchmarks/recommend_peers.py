"""What a user would take instead: popularity, a shopper's own favourites, item-kNN, EASE, and ``implicit`` where it is installed.

Each gets every shopper's history of the training time, which EdgeVision's own basket counts do not: those know baskets, not shoppers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Ranker = Callable[[Sequence[Sequence[int]]], Scores]
"""From a shopper's baskets (places of products), oldest first, to a score for every product [n]."""


def popularity(matrix: npt.NDArray[np.float32]) -> Ranker:
    """The same for everybody. ``matrix``: how often each shopper bought each product, [shoppers, n]."""
    total = matrix.sum(axis=0, dtype=np.float64)
    return lambda baskets: total


def favourites(matrix: npt.NDArray[np.float32]) -> Ranker:
    """What the shopper bought most often, then what everybody does: hard to beat for groceries (Li et al., A Next Basket Recommendation
    Reality Check, 2023, G-P-TopFreq)."""
    total = matrix.sum(axis=0, dtype=np.float64)
    share = total / (total.max() + 1)
    n = matrix.shape[1]
    return lambda baskets: np.asarray(_counts(baskets, n) + share)


def item_knn(matrix: npt.NDArray[np.float32], neighbours: int = 100) -> Ranker:
    """Cosine of the columns, with the nearest of each product alone (Sarwar et al., 2001)."""
    return _by_items(_nearest_alone(_cosines(matrix), neighbours))


def ease(matrix: npt.NDArray[np.float32], strength: float) -> Ranker:
    """Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019: the closed form."""
    seen = (matrix > 0).astype(np.float64)
    gram = seen.T @ seen
    gram[np.diag_indices_from(gram)] += strength
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return _by_items(weights)


def with_favourites(ranker: Ranker, n: int, share: float) -> Ranker:
    """A peer that knows nothing of buying again gets it: both as shares of their best, ``share`` for the favourites."""

    def rank(baskets: Sequence[Sequence[int]]) -> Scores:
        own, other = _counts(baskets, n), ranker(baskets)
        mixed = share * own / max(own.max(), 1e-12) + (1 - share) * other / max(np.abs(other).max(), 1e-12)
        return np.asarray(mixed, np.float64)

    return rank


def implicit_als(matrix: npt.NDArray[np.float32], factors: int = 64) -> Ranker | None:
    """Alternating least squares of ``implicit``; None where it is not installed."""
    if find_spec("implicit") is None or find_spec("scipy") is None:
        return None
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    model = AlternatingLeastSquares(factors=factors, regularization=0.05, iterations=15, random_state=0, num_threads=1)
    model.fit(csr_matrix(matrix), show_progress=False)
    items = np.asarray(model.item_factors, np.float64)
    n = matrix.shape[1]

    def rank(baskets: Sequence[Sequence[int]]) -> Scores:
        row = csr_matrix(_counts(baskets, n)[None].astype(np.float32))
        return np.asarray(items @ model.recalculate_user(0, row).astype(np.float64).ravel())

    return rank


def implicit_bm25(matrix: npt.NDArray[np.float32]) -> Ranker | None:
    """The BM25-weighted item-kNN of ``implicit``; None where it is not installed."""
    if find_spec("implicit") is None or find_spec("scipy") is None:
        return None
    from implicit.nearest_neighbours import BM25Recommender
    from scipy.sparse import csr_matrix

    model = BM25Recommender(K=100, num_threads=1)
    model.fit(csr_matrix(matrix), show_progress=False)
    similarity = model.similarity
    n = matrix.shape[1]

    def rank(baskets: Sequence[Sequence[int]]) -> Scores:
        return np.asarray((csr_matrix(_counts(baskets, n)[None]) @ similarity).toarray(), np.float64).ravel()

    return rank


def _counts(baskets: Sequence[Sequence[int]], n: int) -> Scores:
    counts = np.zeros(n)
    for basket in baskets:
        counts[list(basket)] += 1
    return counts


def _cosines(matrix: npt.NDArray[np.float32]) -> Scores:
    seen = (matrix > 0).astype(np.float64)
    gram = seen.T @ seen
    length = np.sqrt(np.maximum(np.diag(gram), 1e-12))
    cosines = gram / length[:, None] / length[None]
    np.fill_diagonal(cosines, 0.0)
    return np.asarray(cosines)


def _nearest_alone(similarities: Scores, neighbours: int) -> Scores:
    kept = np.zeros_like(similarities)
    for row, values in enumerate(similarities):
        best = np.argpartition(-values, min(neighbours, len(values) - 1))[:neighbours]
        kept[row, best] = values[best]
    return kept


def _by_items(weights: Scores) -> Ranker:
    def rank(baskets: Sequence[Sequence[int]]) -> Scores:
        bought = sorted({item for basket in baskets for item in basket})
        return np.asarray(weights[bought].sum(axis=0))

    return rank
