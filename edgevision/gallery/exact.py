"""The nearest vectors by looking at each: exact, in NumPy."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.gallery.vectors import Vectors

_PORTION = 1 << 24  # similarities in memory at once


class VectorIndex(Protocol):
    """Finds the vectors that are nearest by cosine."""

    def search(
        self, queries: Vectors, k: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.int64], Vectors]:
        """(places, similarities), each [q, k], best first, equal ones by place. ``queries``: [q, d] of length 1. ``allowed``: [n],
        which vectors count; None: all. Where there are fewer than ``k``, the rest is -1 and -inf, or the columns are not there.
        """


class ExactIndex:
    """Compares a query with every vector. ``vectors``: [n, d] float32 of length 1; not copied.

    >>> index = ExactIndex(np.eye(3, dtype=np.float32))
    >>> places, similarities = index.search(np.array([[0.6, 0.8, 0.0]], np.float32), 2)
    >>> places.tolist()
    [[1, 0]]
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def search(
        self, queries: Vectors, k: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.int64], Vectors]:
        """See ``VectorIndex``."""
        if k < 1:
            raise InputError(f"expected k ≥ 1, got {k}")
        chosen = np.arange(len(self._vectors)) if allowed is None else np.flatnonzero(allowed)
        vectors = self._vectors if allowed is None else self._vectors[chosen]
        k = min(k, len(chosen))
        places = np.empty((len(queries), k), np.int64)
        similarities = np.empty((len(queries), k), np.float32)
        step = max(1, _PORTION // max(1, len(chosen)))
        for start in range(0, len(queries) if k else 0, step):
            part = queries[start : start + step] @ vectors.T
            order = _best(part, k)
            similarities[start : start + step] = np.take_along_axis(part, order, axis=1)
            places[start : start + step] = chosen[order]
        return places, similarities


def make_index(vectors: Vectors) -> VectorIndex:
    """An index of these vectors, [n, d] float32 of length 1."""
    return ExactIndex(vectors)


def _best(similarities: Vectors, k: int) -> npt.NDArray[np.int64]:
    """Places [q, k] of the largest in each row, largest first, equal ones by place."""
    count = similarities.shape[1]
    if k * 4 >= count:
        return np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    # What equals the last that is kept may be kept or not by argpartition: take those of the lowest places.
    limit = -np.partition(-similarities, k - 1, axis=1)[:, k - 1 : k]
    order = np.empty((len(similarities), k), np.int64)
    for row, values in enumerate(similarities):
        candidates = np.flatnonzero(values >= limit[row])
        order[row] = candidates[np.argsort(-values[candidates], kind="stable")[:k]]
    return order
