"""Preprocessing with NumPy and OpenCV alone: the path that runs everywhere.

Resampling is two small matrix products in float32, one for each axis. Output rows are taken in blocks; a block reads
only the source rows that it has non-zero weights for. Colour order, grey and normalisation are linear too, so they are
folded into the matrix of the columns, and the picture is written into the tensor as it leaves that product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.frames import ColorEncoding, PixelFormat
from edgevision.preprocess.color import LIMITED, color_matrix, yuv_matrix
from edgevision.preprocess.geometry import Placement, Region, Taps
from edgevision.preprocess.spec import Layout, PreprocessSpec

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

# Output rows or columns in one product: wider wastes multiplications by zero, narrower wastes calls.
_BLOCK = 8
# OpenBLAS runs a product of at most 4·65536 multiplications on the calling thread. Larger ones go to its thread pool,
# which makes frames several times slower where cores are busy, and would break --threads 1.
_MAX_PRODUCT = 262_144
_ZERO = np.zeros((1, 1, 1), np.float32)


@dataclass(frozen=True, eq=False)
class _Block:
    """Outputs ``start … stop - 1`` of an axis = ``weights`` [outputs, sources] × the pixels ``sources`` (ascending)."""

    start: int
    stop: int
    sources: Indices
    weights: npt.NDArray[np.float64]


def _blocks(axis: Taps) -> list[_Block]:
    """Cut the taps of an axis into dense blocks that leave out every source pixel without weight."""
    blocks = []
    count, width = axis.weights.shape
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        weights = axis.weights[start:stop]
        index = axis.first[start:stop, None] + np.arange(width)
        output, tap = np.nonzero(weights)
        sources, column = np.unique(index[output, tap], return_inverse=True)
        dense = np.zeros((stop - start, len(sources)))
        dense[output, column.reshape(-1)] = weights[output, tap]
        blocks.append(_Block(start, stop, sources, dense))
    return blocks


def _as_slice(indices: Indices) -> slice | Indices:
    """A slice where ``indices`` are consecutive: it reads without copying."""
    consecutive = bool(np.all(np.diff(indices) == 1))
    return slice(int(indices[0]), int(indices[-1]) + 1) if consecutive else indices


@dataclass(frozen=True, eq=False)
class _PlaneReader:
    """Reads the wanted samples of one plane: its rows, its columns ``span``, of these the bytes ``offsets`` (or all)."""

    plane: int
    row_step: int  # rows of the picture to one row of the plane
    span: slice
    offsets: Indices | None
    channels: slice  # which of the picture's channels these samples are

    def read(self, planes: tuple[Any, ...], rows: slice | Indices) -> Bytes:
        """Samples of the picture's ``rows``: uint8 [rows, columns·channels], a view where nothing is left out."""
        part = np.asarray(planes[self.plane][rows, self.span])
        if self.offsets is None:
            return part
        return np.take(part.reshape(len(part), -1), self.offsets, axis=1)


def _plane_readers(format: PixelFormat, columns: Indices) -> tuple[_PlaneReader, ...]:
    """Readers that together give the picture's ``columns`` as B, G, R or Y, Cb, Cr or grey, channels innermost."""

    def reader(plane: int, step: int, size: int, pick: list[int], at: slice) -> _PlaneReader:
        """``size`` bytes make a group of ``step`` columns; ``pick`` are the bytes wanted of each column's group."""
        group = columns // step
        first, last = int(group[0]), int(group[-1]) + 1
        offsets = ((group - first) * size)[:, None] + np.array(pick)
        whole = np.array_equal(offsets.ravel(), np.arange((last - first) * size))
        return _PlaneReader(plane, step if plane else 1, slice(first, last), None if whole else offsets.ravel(), at)

    every = slice(None)
    if format is PixelFormat.BGR:
        return (reader(0, 1, 3, [0, 1, 2], every),)
    if format is PixelFormat.RGB:
        return (reader(0, 1, 3, [2, 1, 0], every),)
    if format is PixelFormat.BGRA:
        return (reader(0, 1, 4, [0, 1, 2], every),)
    if format is PixelFormat.GRAY:
        return (reader(0, 1, 1, [0], every),)
    if format is PixelFormat.NV12:
        return reader(0, 1, 1, [0], slice(0, 1)), reader(1, 2, 2, [0, 1], slice(1, 3))
    if format is PixelFormat.I420:
        return tuple(reader(p, 2 if p else 1, 1, [0], slice(p, p + 1)) for p in range(3))
    first = int(columns[0]) // 2 * 2  # YUYV: two columns share Y0 U Y1 V
    last = (int(columns[-1]) // 2 + 1) * 2
    luma = (columns - first) * 2
    pair = (columns - first) // 2 * 4
    return (_PlaneReader(0, 1, slice(first, last), np.stack([luma, pair + 1, pair + 3], axis=1).ravel(), every),)


class PortableKernel:
    """The arithmetic of one plan. Immutable once made; ``run`` keeps nothing between calls."""

    def __init__(
        self,
        spec: PreprocessSpec,
        format: PixelFormat,
        encoding: ColorEncoding,
        region: Region,
        placement: Placement,
        rows: Taps,
        columns: Taps,
    ) -> None:
        self._layout = spec.layout
        self._top, self._left = max(placement.top, 0), max(placement.left, 0)
        self._height, self._width = len(rows.first), len(columns.first)
        self._channels = 1 if format is PixelFormat.GRAY else 3

        mean, std = np.array(spec.mean), np.array(spec.std)
        self._bias = (-mean / std).astype(np.float32)[:, None, None]
        self._pad = ((spec.pad_value - mean) / std).astype(np.float32)[:, None, None]
        color = color_matrix(spec) / std[:, None]
        if format is PixelFormat.GRAY:
            color = color.sum(axis=1, keepdims=True)

        self._yuv = yuv_matrix(encoding) if format.is_yuv else None
        self._yuv_foot = 16 if encoding in LIMITED else 0

        self._row_blocks = [
            (b.start, b.stop, _as_slice(b.sources + region.y), b.weights.astype(np.float32)) for b in _blocks(rows)
        ]
        column_blocks = _blocks(columns)
        used = np.unique(np.concatenate([b.sources for b in column_blocks]))
        if len(used) > 0.75 * (used[-1] - used[0] + 1):  # reading columns nobody needs is quicker than picking
            used = np.arange(used[0], used[-1] + 1)
        self._used_columns = len(used)
        self._readers = _plane_readers(format, used + region.x)
        self._column_blocks = [_column_matrix(b, np.searchsorted(used, b.sources), color) for b in column_blocks]

    def run(self, planes: tuple[Any, ...], out: npt.NDArray[np.generic]) -> None:
        """Prepare one frame into ``out`` (checked by the plan)."""
        lines = np.empty((self._height, self._used_columns * self._channels), np.float32)
        for start, stop, rows, weights in self._row_blocks:
            _multiply(weights, self._read(planes, rows), lines[start:stop])

        tensor = out if self._layout is Layout.NCHW else out.transpose(2, 0, 1)
        self._fill_borders(tensor)
        bottom = self._top + self._height
        for start, stop, first, matrix in self._column_blocks:
            part = np.empty((self._height, matrix.shape[1]), np.float32)
            _multiply(lines[:, first : first + len(matrix)], matrix, part)
            channels_first = part.reshape(self._height, -1, stop - start).transpose(1, 0, 2)
            target = tensor[:, self._top : bottom, self._left + start : self._left + stop]
            _assign(channels_first, self._bias, target)

    def _read(self, planes: tuple[Any, ...], rows: slice | Indices) -> Floats:
        """Pixels of the frame's ``rows``: float32 [rows, columns·channels], B, G, R or grey."""
        if self._yuv is None:
            samples = self._readers[0].read(planes, rows)
            return samples.astype(np.float32).reshape(len(samples), -1)
        import cv2

        if len(self._readers) == 1:
            yuv = self._readers[0].read(planes, rows).reshape(-1, self._used_columns, 3)
        else:
            every_row = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            yuv = np.empty((len(every_row), self._used_columns, 3), np.uint8)
            for reader in self._readers:
                samples = reader.read(planes, rows if reader.row_step == 1 else every_row // reader.row_step)
                yuv[..., reader.channels] = samples.reshape(*yuv.shape[:2], -1)
        if self._yuv_foot:
            np.maximum(yuv[..., 0], self._yuv_foot, out=yuv[..., 0])
        matrix, bias = self._yuv
        bgr = cv2.transform(yuv.astype(np.float32), np.column_stack([matrix, bias]))
        np.clip(bgr, 0.0, 255.0, out=bgr)
        return np.asarray(bgr, np.float32).reshape(len(yuv), -1)

    def _fill_borders(self, tensor: npt.NDArray[np.generic]) -> None:
        bottom, right = self._top + self._height, self._left + self._width
        for border in (
            tensor[:, : self._top],
            tensor[:, bottom:],
            tensor[:, self._top : bottom, : self._left],
            tensor[:, self._top : bottom, right:],
        ):
            if border.size:
                _assign(self._pad, _ZERO, border)


def _column_matrix(block: _Block, first_used: Indices, color: npt.NDArray[np.float64]) -> tuple[int, int, int, Floats]:
    """Start, stop, first value and matrix of a block of columns.

    The matrix takes values of a row, [columns·channels in], to [channels out · columns]: weight × colour matrix.
    """
    low, high = int(first_used[0]), int(first_used[-1]) + 1
    weights = np.zeros((block.stop - block.start, high - low))
    weights[:, first_used - low] = block.weights
    matrix = np.einsum("xs,oc->scox", weights, color)
    sources, channels_in, channels_out, outputs = matrix.shape
    flat = matrix.reshape(sources * channels_in, channels_out * outputs).astype(np.float32)
    return block.start, block.stop, low * channels_in, flat


def _multiply(a: Floats, b: Floats, out: Floats) -> None:
    """``out = a @ b`` in products small enough to stay on this thread, cut along the longer free axis."""
    rows, depth = a.shape
    columns = b.shape[1]
    if rows * depth * columns <= _MAX_PRODUCT:
        np.matmul(a, b, out=out)
    elif columns >= rows:
        step = max(_MAX_PRODUCT // (rows * depth), 1)
        for start in range(0, columns, step):
            np.matmul(a, b[:, start : start + step], out=out[:, start : start + step])
    else:
        step = max(_MAX_PRODUCT // (columns * depth), 1)
        for start in range(0, rows, step):
            np.matmul(a[start : start + step], b, out=out[start : start + step])


def _assign(values: Floats, bias: Floats, target: npt.NDArray[np.generic]) -> None:
    """Store ``values + bias`` (float32) in the target's dtype. Integers: rounded half to even, then saturated."""
    if target.dtype == np.float32:
        np.add(values, bias, out=target)
        return
    total = values + bias
    if target.dtype != np.float16:
        limits = np.iinfo(target.dtype.str)
        total = np.clip(np.rint(total), limits.min, limits.max)
    with np.errstate(over="ignore"):  # float16 beyond 65504 is infinite, as IEEE 754 says
        target[...] = total
