"""What every index is, and the checks they share."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.gallery.vectors import UNIT_TOLERANCE, Vectors

Places: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


class VectorIndex(Protocol):
    """Finds the vectors that are nearest by cosine. Immutable, and so shared by threads."""

    @property
    def vectors(self) -> Vectors:
        """[n, d] float32 of length 1: what it was made of, not copied."""

    @property
    def bytes(self) -> int:
        """Memory that it takes beside the vectors."""

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Places, Vectors]:
        """(places int64 [q, m], similarities float32 [q, m]), best first, equal ones by place.

        ``queries``: [q, d] float32 of length 1. ``k`` ≥ 1: how many are wanted. ``allowed``: [n] bool, which vectors count;
        None: all. m = ``k``, or the number of vectors that count where these are fewer. Raises InputError for another shape or
        dtype, and for a query that is not of length 1.
        """

    def extended(self, vectors: Vectors) -> VectorIndex:
        """An index of ``vectors`` [m, d], of which the first n are those of this one: only the others cost time."""


def checked_vectors(vectors: object) -> Vectors:
    """``vectors`` themselves. Raises InputError unless they are [n, d] float32 of length 1, dense in memory."""
    rows = _checked(vectors, "vectors [n, d]")
    if rows.shape[1] == 0:
        raise InputError(f"expected vectors [n, d] of at least one number, got shape {rows.shape}")
    _check_lengths(rows, "vector")
    return rows


def checked_query(queries: object, k: object, allowed: object, vectors: Vectors) -> tuple[Vectors, int, Mask | None]:
    """What ``search`` was given, with ``k`` bounded by the number of vectors that count. Raises InputError. Lengths are the kernel's to
    look at: see ``check_found``."""
    rows = _checked(queries, "queries [q, d]")
    count, dimension = vectors.shape
    if rows.shape[1] != dimension:
        raise InputError(f"expected queries [q, {dimension}], got {rows.shape}; both must come of one bundle")
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise InputError(f"k is a whole number from 1, got {k!r}")
    if allowed is None:
        return rows, min(int(k), count), None
    if not isinstance(allowed, np.ndarray) or allowed.dtype != np.bool_ or allowed.shape != (count,):
        got = f"{allowed.dtype} {allowed.shape}" if isinstance(allowed, np.ndarray) else type(allowed).__name__
        raise InputError(f"expected allowed [{count}], a NumPy array of bool, got {got}")
    mask = np.ascontiguousarray(allowed)
    return rows, min(int(k), int(np.count_nonzero(mask))), mask


def check_found(wrong: int, queries: Vectors) -> None:
    """Raise InputError where the kernel found ``wrong``, a query that is not of length 1; -1: none."""
    if wrong >= 0:
        _refuse_length("query", wrong, queries[wrong])


def _checked(array: object, what: str) -> Vectors:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim != 2:
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"expected {what}, a NumPy array of float32, got {got}")
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.array(array, order="C")


def _check_lengths(rows: Vectors, what: str) -> None:
    """In portions, for the squares of a large table would take as much memory again."""
    portion = max(1, (1 << 22) // rows.shape[1])
    for start in range(0, len(rows), portion):
        squares: npt.NDArray[Any] = np.einsum("nd,nd->n", rows[start : start + portion], rows[start : start + portion])
        wrong = ~(np.abs(squares - 1.0) <= 2 * UNIT_TOLERANCE)  # of NaN, too
        if wrong.any():
            place = start + int(wrong.argmax())
            _refuse_length(what, place, rows[place])


def _refuse_length(what: str, place: int, row: Vectors) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        length = float(np.linalg.norm(row.astype(np.float64)))
    raise InputError(f"expected vectors of length 1, {what} {place} has length {length:.4g}; divide each by its length")
