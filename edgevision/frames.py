"""Frames: planes of pixels and what is known about them."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

ImageArray = npt.NDArray[np.uint8]


class PixelFormat(Enum):
    """How pixels lie in memory; every sample is uint8.

    ``BGR RGB`` one plane H×W×3, ``BGRA`` one plane H×W×4 (alpha ignored), ``GRAY`` one plane H×W, ``NV12`` planes
    Y H×W and UV H/2×W/2×2, ``I420`` planes Y H×W, U and V H/2×W/2, ``YUYV`` one plane H×W×2 (Y0 U Y1 V).
    H and W are even for NV12 and I420, W is even for YUYV.
    """

    BGR = "bgr"
    RGB = "rgb"
    BGRA = "bgra"
    GRAY = "gray"
    NV12 = "nv12"
    I420 = "i420"
    YUYV = "yuyv"

    @property
    def is_yuv(self) -> bool:
        """Whether samples are luma and chroma."""
        return self in (PixelFormat.NV12, PixelFormat.I420, PixelFormat.YUYV)


class ColorEncoding(Enum):
    """Matrix and range of YUV samples; without meaning for the other formats. Cameras default to BT.601 limited."""

    BT601_LIMITED = "bt601-limited"
    BT601_FULL = "bt601-full"
    BT709_LIMITED = "bt709-limited"
    BT709_FULL = "bt709-full"


class MemoryKind(Enum):
    """Where planes live, and so which array protocol they speak: ``HOST`` = NumPy, ``CUDA`` = DLPack on the device."""

    HOST = "host"
    CUDA = "cuda"


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture from a camera or file.

    ``planes`` are arrays (they carry pointer, strides and owner; strides may be larger than the row). A frame never
    copies its planes: whoever made them must not write to them while the frame is in use.
    ``format``, ``encoding`` and ``memory`` may be given by their values, such as "nv12".
    ``sequence`` counts frames of one camera; ``captured_ns`` is wall-clock time in nanoseconds since 1970, or None.
    """

    planes: tuple[Any, ...]
    height: int
    width: int
    format: PixelFormat = PixelFormat.BGR
    encoding: ColorEncoding = ColorEncoding.BT601_LIMITED
    memory: MemoryKind = MemoryKind.HOST
    camera: str | None = None
    sequence: int | None = None
    captured_ns: int | None = None

    def __post_init__(self) -> None:
        for name, kind in (("format", PixelFormat), ("encoding", ColorEncoding), ("memory", MemoryKind)):
            object.__setattr__(self, name, _member(kind, name, getattr(self, name)))
        for name in ("height", "width"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        if not isinstance(self.planes, (tuple, list)):
            raise InputError(f"planes are a tuple of arrays, got {type(self.planes).__name__}; for one write (x,)")
        object.__setattr__(self, "planes", tuple(self.planes))
        for plane in self.planes:
            if not hasattr(plane, "shape") or not hasattr(plane, "dtype"):
                raise InputError(f"planes are uint8 arrays, got {type(plane).__name__}; pass numpy.asarray(x, 'uint8')")
        expected = plane_shapes(self.format, self.height, self.width)
        got = tuple(tuple(plane.shape) for plane in self.planes)
        if got != expected:
            raise InputError(
                f"a {self.format.name} frame of {self.height}×{self.width} pixels has planes of shape {expected}, "
                f"got {got}"
            )
        for plane in self.planes:
            if plane.dtype is not _UINT8 and str(plane.dtype).removeprefix("torch.") != "uint8":
                raise InputError(f"a frame holds uint8 samples, got {plane.dtype}; scale to 0…255 and convert first")

    @classmethod
    def from_array(cls, image: ImageArray, *, format: PixelFormat | str = PixelFormat.BGR, **known: Any) -> Frame:
        """Wrap one packed array: BGR, RGB (H×W×3), BGRA (H×W×4), GRAY (H×W) or YUYV (H×W×2), uint8.

        >>> Frame.from_array(np.zeros((480, 640, 3), np.uint8), camera="till-3").width
        640
        """
        if not isinstance(image, np.ndarray) or image.ndim < 2:
            what = f"array of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"expected an H×W×3 uint8 BGR array, got {what}")
        return cls((image,), int(image.shape[0]), int(image.shape[1]), _member(PixelFormat, "format", format), **known)


_Kind = TypeVar("_Kind", bound=Enum)

_UINT8 = np.dtype(np.uint8)
# Of a pixel, where all samples lie in one plane. By value: an enum takes longer to look up.
_SAMPLES = {"bgr": 3, "rgb": 3, "bgra": 4, "yuyv": 2}


def _member(kind: type[_Kind], name: str, value: object) -> _Kind:
    """The member that ``value`` is or names. Raises InputError, which lists them."""
    if isinstance(value, kind):
        return value
    try:
        return kind(value.lower() if isinstance(value, str) else value)
    except ValueError:
        raise InputError(f"{name} is one of {[one.value for one in kind]}, got {value!r}") from None


def _whole(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"{name} is a whole number of pixels, got {value!r}") from None


def plane_shapes(format: PixelFormat, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of the planes of a ``height``×``width`` frame. Raises InputError for sizes the format cannot have."""
    if height < 1 or width < 1:
        raise InputError(f"a frame is at least 1×1 pixels, got {height}×{width}")
    if format in (PixelFormat.NV12, PixelFormat.I420) and (height % 2 or width % 2):
        raise InputError(f"{format.name} needs an even height and width, got {height}×{width}")
    if format is PixelFormat.YUYV and width % 2:
        raise InputError(f"YUYV needs an even width, got {width}")
    full = (height, width)
    if format is PixelFormat.NV12:
        return full, (height // 2, width // 2, 2)
    if format is PixelFormat.I420:
        return full, (height // 2, width // 2), (height // 2, width // 2)
    return (full if format is PixelFormat.GRAY else (*full, _SAMPLES[format.value]),)
