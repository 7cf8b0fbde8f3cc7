"""Grids of cells that cover the input tensor, one for each stride: what anchor-free heads count their rows by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgevision.errors import InputError
from edgevision.tasks.detect.arrays import Floats

Strides = tuple[int, ...]

MOST_LEVELS = 8
_LARGEST_STRIDE = 1024


def level_sizes(height: int, width: int, strides: Sequence[int]) -> list[tuple[int, int]]:
    """Rows and columns of each level; a cell that is only partly inside counts, as padded convolutions make one of it.

    >>> level_sizes(416, 416, (32, 64))
    [(13, 13), (7, 7)]
    """
    return [(-(-height // stride), -(-width // stride)) for stride in strides]


def cell_count(height: int, width: int, strides: Sequence[int]) -> int:
    """Cells of all levels.

    >>> cell_count(640, 640, (8, 16, 32))
    8400
    """
    return sum(rows * columns for rows, columns in level_sizes(height, width, strides))


def fitting_strides(count: int, size: tuple[int, int], choices: Iterable[Strides]) -> Strides | None:
    """The first of the ``choices`` whose cells in a tensor of this ``size`` (height, width) are ``count``, or None."""
    return next((strides for strides in choices if cell_count(*size, strides) == count), None)


def cell_points(height: int, width: int, strides: Sequence[int], offset: float) -> tuple[Floats, Floats]:
    """Where the cells of all levels are, level by level and row by row, in pixels of the tensor: x and y float32 [n, 2] of
    ((column + offset) · stride, (row + offset) · stride); and the stride of each, float32 [n, 1].

    >>> cell_points(16, 16, (8, 16), 0.5)[0].tolist()
    [[4.0, 4.0], [12.0, 4.0], [4.0, 12.0], [12.0, 12.0], [8.0, 8.0]]
    """
    points, sizes = [], []
    for stride, (rows, columns) in zip(strides, level_sizes(height, width, strides), strict=True):
        y, x = np.divmod(np.arange(rows * columns), columns)
        points.append((np.stack([x, y], axis=1) + offset) * stride)
        sizes.append(np.full((rows * columns, 1), stride))
    return np.concatenate(points).astype(np.float32), np.concatenate(sizes).astype(np.float32)


def read_strides(value: object, default: Strides) -> Strides:
    """The parameter ``strides``: whole numbers above 0 that grow. Raises InputError."""
    if value is None:
        return default
    if not isinstance(value, (list, tuple)) or not all(
        type(one) is int and 0 < one <= _LARGEST_STRIDE for one in value
    ):
        raise InputError(f"strides are a list of whole numbers 1…{_LARGEST_STRIDE}, got {value!r}")
    if not 0 < len(value) <= MOST_LEVELS or list(value) != sorted(set(value)):
        raise InputError(f"strides are 1…{MOST_LEVELS} different numbers, the smallest first, got {value!r}")
    return tuple(value)
