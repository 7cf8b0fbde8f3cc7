"""The nearest vectors, surely: every vector is looked at, most of them only as int8 (``kernels/search.h`` says how)."""

from __future__ import annotations

import numpy as np

from edgevision import _native
from edgevision.errors import InputError
from edgevision.gallery.index.base import Mask, Places, check_found, checked_query, checked_vectors
from edgevision.gallery.vectors import Vectors

_BLOCK = 1 << 16  # vectors to a block of the int8 copy
_SMALL_BLOCK = 1 << 10  # a last block below this is copied to add to it, a larger one is left alone


class ExactIndex:
    """Compares a query with every vector. ``vectors``: [n, d] float32 of length 1; kept, not copied, and not to be changed.

    Beside them it keeps an int8 copy, about a quarter of their size. The answer is the same as without it, to the last bit,
    on every CPU.

    >>> index = ExactIndex(np.eye(3, dtype=np.float32))
    >>> places, similarities = index.search(np.array([[0.6, 0.8, 0.0]], np.float32), 2)
    >>> places.tolist(), similarities.round(3).tolist()
    ([[1, 0]], [[0.800000011920929, 0.6000000238418579]])
    """

    def __init__(self, vectors: Vectors, scan: str = "") -> None:
        self._vectors = checked_vectors(vectors)
        self._rows = _coded(self._vectors, scan)

    @property
    def vectors(self) -> Vectors:
        """See ``VectorIndex``."""
        return self._vectors

    @property
    def bytes(self) -> int:
        """See ``VectorIndex``."""
        return self._rows.bytes

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Places, Vectors]:
        """See ``VectorIndex``."""
        queries, k, allowed = checked_query(queries, k, allowed, self._vectors)
        places = np.empty((len(queries), k), np.int64)
        similarities = np.empty((len(queries), k), np.float32)
        check_found(self._rows.search(queries, allowed, None, places, similarities), queries)
        return places, similarities

    def extended(self, vectors: Vectors) -> ExactIndex:
        """See ``VectorIndex``."""
        new = checked_more(vectors, self._vectors)
        sizes = self._rows.block_rows
        last = len(sizes) - 1 if sizes and sizes[-1] < _SMALL_BLOCK else len(sizes)
        more = ExactIndex.__new__(ExactIndex)
        more._vectors = new
        more._rows = self._rows.extended(new, np.full(len(new) - len(self._vectors), last, np.int64))
        return more

    def __reduce__(self) -> tuple[type[ExactIndex], tuple[object, ...]]:
        """Pickled by its vectors."""
        return ExactIndex, (self._vectors,)


def checked_more(vectors: Vectors, before: Vectors) -> Vectors:
    """``vectors``, of which the first are those of ``before``. Raises InputError; only the others are looked at closely."""
    count, dimension = before.shape
    if (
        not isinstance(vectors, np.ndarray)
        or vectors.ndim != 2
        or vectors.shape[1] != dimension
        or len(vectors) < count
    ):
        got = str(vectors.shape) if isinstance(vectors, np.ndarray) else type(vectors).__name__
        raise InputError(
            f"expected the {count} vectors of {dimension} numbers that are there, and more of them, got {got}"
        )
    if vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
        raise InputError(f"expected vectors [n, {dimension}], a dense NumPy array of float32, got {vectors.dtype}")
    checked_vectors(vectors[count:])
    return vectors


def _coded(vectors: Vectors, scan: str) -> _native.CodedRows:
    count = len(vectors)
    offsets = np.array([*range(0, count, _BLOCK), count], np.int64)
    return _native.CodedRows(vectors, mean_of(vectors), offsets, np.arange(count, dtype=np.int64), scan)


def mean_of(vectors: Vectors) -> Vectors:
    """Their mean [d]; zeros of none. Vectors of one embedder often point into one half of the space: less it, they are shorter."""
    if not len(vectors):
        return np.zeros(vectors.shape[1], np.float32)
    return np.asarray(vectors.mean(axis=0, dtype=np.float32), np.float32)
