"""Plans: everything about a preprocess spec and one kind of frame that can be worked out before the first frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.frames import ColorEncoding, Frame, MemoryKind, PixelFormat, plane_shapes
from edgevision.preprocess.geometry import Placement, Region, Taps, check_region, place, taps
from edgevision.preprocess.portable import PortableKernel
from edgevision.preprocess.spec import PreprocessSpec


@dataclass(frozen=True, eq=False)
class Plan:
    """How frames of one size, format and encoding become tensors of ``spec``. Made by ``make_plan``.

    A plan never changes: any number of threads may run it at once, each with an ``out`` of its own.

    ``rows`` and ``columns`` are the taps of the visible part of the resized picture, in pixels of ``region``; its top
    left pixel lands at (max(placement.top, 0), max(placement.left, 0)) of the tensor, and what it does not cover is
    ``spec.pad_value``.
    """

    spec: PreprocessSpec
    height: int
    width: int
    format: PixelFormat
    encoding: ColorEncoding
    region: Region
    placement: Placement
    rows: Taps
    columns: Taps
    _kernel: PortableKernel = field(repr=False)

    def run(self, frame: Frame, out: npt.NDArray[np.generic]) -> None:
        """Prepare ``frame`` into ``out``: one item of the batch, C-contiguous, ``spec.tensor_shape``, ``spec.dtype``.

        Writes every element of ``out``. Raises InputError if frame or ``out`` are not as planned.
        """
        self._check_frame(frame)
        self._check_out(out)
        self._kernel.run(frame.planes, out)

    def _check_frame(self, frame: Frame) -> None:
        if frame.memory is not MemoryKind.HOST:
            raise InputError(f"expected a frame in host memory, got {frame.memory.name}; copy it to the host first")
        planned = (self.height, self.width, self.format)
        if (frame.height, frame.width, frame.format) != planned:
            raise InputError(
                f"this plan is for {self.format.name} frames of {self.height}×{self.width} pixels (height×width), "
                f"got {frame.format.name} of {frame.height}×{frame.width}; make a plan for those"
            )
        if self.format.is_yuv and frame.encoding is not self.encoding:
            raise InputError(
                f"this plan is for colour encoding {self.encoding.value}, got {frame.encoding.value}; "
                "make a plan for that"
            )

    def _check_out(self, out: npt.NDArray[np.generic]) -> None:
        expected = f"out: expected a writable C-contiguous {self.spec.dtype.value} array of {self.spec.tensor_shape}"
        if not isinstance(out, np.ndarray):
            raise InputError(f"{expected}, got {type(out).__name__}")
        if out.dtype != np.dtype(self.spec.dtype.value) or out.shape != self.spec.tensor_shape:
            raise InputError(f"{expected}, got {out.dtype} {out.shape}")
        if not out.flags.writeable:
            raise InputError(f"{expected}, got a read-only one")
        if not out.flags.c_contiguous:
            raise InputError(f"{expected}, got strides {out.strides}")


def make_plan(
    spec: PreprocessSpec,
    height: int,
    width: int,
    format: PixelFormat = PixelFormat.BGR,
    encoding: ColorEncoding = ColorEncoding.BT601_LIMITED,
    region: Sequence[int] | None = None,
) -> Plan:
    """Plan ``spec`` for frames of ``height``×``width`` pixels, or for the ``region`` (x, y, width, height) of them.

    ``encoding`` matters for YUV formats only. Raises InputError for a size the format cannot have, or a region outside
    the frame.

    >>> from edgevision.preprocess import preset
    >>> plan = make_plan(preset("imagenet"), 480, 640)
    >>> tensor = np.empty(plan.spec.tensor_shape, np.float32)
    >>> plan.run(Frame.from_array(np.zeros((480, 640, 3), np.uint8)), tensor)
    """
    plane_shapes(format, height, width)  # raises for sizes the format cannot have
    area = check_region(region, height, width)
    at = place(spec, area.height, area.width)
    rows = taps(area.height, at.height, spec.filter, max(-at.top, 0), min(at.height, spec.height))
    columns = taps(area.width, at.width, spec.filter, max(-at.left, 0), min(at.width, spec.width))
    kernel = PortableKernel(spec, format, encoding, area, at, rows, columns)
    return Plan(spec, height, width, format, encoding, area, at, rows, columns, kernel)
