"""A frame as 80 × 60 cells: their brightness, and their colour. Nothing is converted that is not looked at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.frames import Frame, ImageArray, MemoryKind, PixelFormat
from edgevision.preprocess.color import LIMITED

Grid = npt.NDArray[np.float32]

CELLS = 80  # along the longer side
LEAST_TINTED = 0.05  # of full white: darker, and colour is noise
_SAMPLES = 4  # across a cell at least: enough for noise to average out, and large frames cost no more than small ones
_PLACES = {PixelFormat.BGR: (0, 1, 2), PixelFormat.BGRA: (0, 1, 2), PixelFormat.RGB: (2, 1, 0)}  # of blue, green, red


class Cells(NamedTuple):
    """``brightness`` [rows, columns], 0…1 of full white. ``tint`` [rows, columns, 2]: Cb and Cr, each divided by the brightness, which a shadow
    leaves as they are; None of grey frames."""

    brightness: Grid
    tint: Grid | None


def cells_of(frame: Frame) -> Cells:
    """The cells of a frame. Of YUV frames the planes are read as they are.

    Raises InputError for a frame in the memory of a device.
    """
    if frame.memory is not MemoryKind.HOST:
        raise InputError("expected a frame in host memory, got one on a CUDA device; copy it to the host first")
    longer = max(frame.width, frame.height)
    size = (max(1, round(CELLS * frame.width / longer)), max(1, round(CELLS * frame.height / longer)))
    planes, format = frame.planes, frame.format
    if format in _PLACES:
        return _of_colors(_shrunk(planes[0], size), _PLACES[format])
    luma = planes[0][..., 0] if format is PixelFormat.YUYV else planes[0]
    brightness = _shrunk(luma, size)
    if format.is_yuv and frame.encoding in LIMITED:
        brightness = (brightness - np.float32(16)) / np.float32(219)
    else:
        brightness = brightness / np.float32(255)
    if format is PixelFormat.GRAY:
        return Cells(brightness, None)
    chroma = {
        PixelFormat.NV12: lambda: (planes[1][..., 0], planes[1][..., 1]),
        PixelFormat.I420: lambda: (planes[1], planes[2]),
        PixelFormat.YUYV: lambda: (planes[0][:, 0::2, 1], planes[0][:, 1::2, 1]),
    }[format]()
    scale = np.float32(255) * np.maximum(brightness, np.float32(LEAST_TINTED))
    return Cells(brightness, np.stack([(_shrunk(one, size) - np.float32(128)) / scale for one in chroma], axis=2))


def _of_colors(small: Grid, places: tuple[int, int, int]) -> Cells:
    """BT.601, as cameras are by default."""
    blue, green, red = (small[..., place] / np.float32(255) for place in places)
    brightness = np.float32(0.114) * blue + np.float32(0.587) * green + np.float32(0.299) * red
    scale = np.maximum(brightness, np.float32(LEAST_TINTED))
    tint = np.stack(
        [np.float32(0.564) * (blue - brightness) / scale, np.float32(0.713) * (red - brightness) / scale], axis=2
    )
    return Cells(brightness, tint)


def _shrunk(plane: ImageArray, size: tuple[int, int]) -> Grid:
    """The mean of each cell, in the plane's own levels."""
    import cv2

    step = max(1, max(plane.shape[:2]) // (_SAMPLES * CELLS))
    sampled = np.ascontiguousarray(plane[::step, ::step])
    return np.asarray(cv2.resize(sampled, size, interpolation=cv2.INTER_AREA), np.float32)
