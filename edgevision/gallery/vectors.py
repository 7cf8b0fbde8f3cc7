"""Vectors as a gallery keeps them: finite, of length 1, float32."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

Vectors: TypeAlias = npt.NDArray[np.float32]

MIN_DIMENSION, MAX_DIMENSION = 2, 4096
UNIT_TOLERANCE = 1e-3  # of a length, in a file or of a query: float32 and int8 round
_ROUNDING = 2e-7  # of the length of a vector that was brought to length 1 in float32
_LEAST_LENGTH = 1e-12  # shorter vectors have no direction that could be trusted


def unit_rows(vectors: npt.ArrayLike, dimension: int) -> Vectors:
    """Rows of length 1: [n, dimension] float32, a copy. ``vectors``: [n, dimension], or one of [dimension]; any length but 0.

    Raises InputError for another shape, for what is no number, and for a row of zeros; it names the first such row.

    >>> unit_rows([[3.0, 4.0]], 2).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    try:
        given = np.asarray(vectors, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"expected vectors [n, {dimension}] of numbers, got {type(vectors).__name__}") from None
    rows = given[None] if given.ndim == 1 and given.size else given
    if rows.ndim != 2 or rows.shape[1] != dimension:
        raise InputError(
            f"expected vectors [n, {dimension}], got {list(given.shape)}; the gallery and the vectors must come of one bundle"
        )
    with np.errstate(over="ignore"):
        length = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    bad = ~np.isfinite(length) | (length < _LEAST_LENGTH)
    if bad.any():
        raise InputError(_what_is_wrong(int(bad.argmax()), rows[int(bad.argmax())]))
    length[np.abs(length - 1) <= _ROUNDING] = 1.0  # what is of length 1 stays as it is, to the last bit
    return np.asarray(rows / length[:, None], np.float32)


def _what_is_wrong(place: int, row: npt.NDArray[np.float64]) -> str:
    if not np.isfinite(row).all():
        return f"vector {place} has a number that is not finite; check the picture and the embedder"
    if np.abs(row).max() < 1:
        return f"vector {place} is all zeros, so it points nowhere; check the picture and the embedder"
    return f"vector {place} is too long for its length to be a number; check the embedder"
