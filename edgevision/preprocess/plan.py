"""Plans: everything about a preprocess spec and one kind of frame that can be worked out before the first frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgevision import _native
from edgevision.errors import InputError
from edgevision.frames import ColorEncoding, Frame, MemoryKind, PixelFormat, plane_shapes
from edgevision.preprocess.geometry import Placement, Region, check_region, place
from edgevision.preprocess.spec import PreprocessSpec

Tensor = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Says that the padding of one item of memory is written already. Made by ``Plan.prepare``.

    Holds on to that memory. Whoever writes over the padding must prepare again.
    """

    plan: Plan
    out: Tensor = field(repr=False)
    address: int


@dataclass(frozen=True, eq=False)
class Plan:
    """How frames of one size, format and encoding become tensors of ``spec``. Made by ``make_plan``.

    A plan never changes: any number of threads may run it at once, each with an ``out`` of its own.

    The resized picture lies in the tensor as ``placement`` says, and what it does not cover is ``spec.pad_value``.
    ``loops`` names the instruction set that does the work; they all give the same bits.
    """

    spec: PreprocessSpec
    height: int
    width: int
    format: PixelFormat
    encoding: ColorEncoding
    region: Region
    placement: Placement
    loops: str
    native: _native.Plan = field(repr=False)

    def run(self, frame: Frame, out: Tensor, *, prepared: Prepared | None = None, threads: int = 1) -> None:
        """Prepare ``frame`` into ``out``: one item of the batch, C-contiguous, ``spec.tensor_shape``, ``spec.dtype``.

        Writes every element of ``out``; with ``prepared``, which ``prepare(out)`` gave, all but the padding. ``threads``
        share the rows. Allocates nothing of a frame's or a tensor's size, and releases the GIL. Raises InputError if frame, ``out`` or ``prepared`` are not
        as planned; rows of the frame may lie anywhere, also upside down, but their samples must be packed.
        """
        self.check_frame(frame)
        self.native.run(frame.planes, out, 0 if prepared is None else self.check_prepared(prepared), threads)

    def prepare(self, out: Tensor) -> Prepared:
        """Write the padding into ``out`` once, so that ``run`` can leave it alone as long as nobody else writes there.

        >>> from edgevision.preprocess import Fit, PreprocessSpec
        >>> plan = make_plan(PreprocessSpec(640, 640, Fit.LETTERBOX), 1080, 1920)
        >>> slot = np.empty(plan.spec.tensor_shape, np.float32)
        >>> token = plan.prepare(slot)
        >>> plan.run(Frame.from_array(np.zeros((1080, 1920, 3), np.uint8)), slot, prepared=token)
        """
        return Prepared(self, out, self.native.prepare(out))

    def __reduce__(self) -> tuple[Callable[..., Plan], tuple[object, ...]]:
        """Pickled by what it was made of: where it is unpickled, it is made again."""
        return _plan_again, (self.spec, self.height, self.width, self.format, self.encoding, self.region)

    def check_frame(self, frame: Frame) -> None:
        """Raise InputError unless ``frame`` is in host memory and of the planned size, format and encoding."""
        if not isinstance(frame, Frame):
            raise InputError(f"expected a Frame, got {type(frame).__name__}; Frame.from_array makes one of an array")
        if frame.memory is not MemoryKind.HOST:
            raise InputError(f"expected a frame in host memory, got {frame.memory.name}; copy it to the host first")
        if (frame.height, frame.width, frame.format) != (self.height, self.width, self.format):
            raise InputError(
                f"this plan is for {self.format.name} frames of {self.height}×{self.width} pixels (height×width), "
                f"got {frame.format.name} of {frame.height}×{frame.width}; make a plan for those"
            )
        if self.format.is_yuv and frame.encoding is not self.encoding:
            raise InputError(
                f"this plan is for colour encoding {self.encoding.value}, got {frame.encoding.value}; "
                "make a plan for that"
            )

    def check_prepared(self, prepared: Prepared) -> int:
        """The address that ``prepared`` speaks of. Raises InputError where another plan made it."""
        if not isinstance(prepared, Prepared):
            raise InputError(f"prepared: expected what this plan's prepare() gave, got {type(prepared).__name__}")
        if prepared.plan is not self:
            raise InputError(
                "prepared: expected what this plan's prepare() gave, got another plan's; prepare with this one"
            )
        return prepared.address


def make_plan(
    spec: PreprocessSpec,
    height: int,
    width: int,
    format: PixelFormat = PixelFormat.BGR,
    encoding: ColorEncoding = ColorEncoding.BT601_LIMITED,
    region: Sequence[int] | None = None,
    *,
    loops: str = "",
) -> Plan:
    """Plan ``spec`` for frames of ``height``×``width`` pixels, or for the ``region`` (x, y, width, height) of them.

    ``encoding`` matters for YUV formats only. ``loops``: one of ``_native.available_loops()``; the fastest that this CPU
    has where empty. Raises InputError for a size the format cannot have, or a region outside the frame.

    >>> from edgevision.preprocess import preset
    >>> plan = make_plan(preset("imagenet"), 480, 640)
    >>> tensor = np.empty(plan.spec.tensor_shape, np.float32)
    >>> plan.run(Frame.from_array(np.zeros((480, 640, 3), np.uint8)), tensor)
    """
    plane_shapes(format, height, width)  # raises for sizes the format cannot have
    area = check_region(region, height, width)
    at = place(spec, area.height, area.width)
    native = _native.Plan(
        size=(spec.height, spec.width),
        placement=(at.height, at.width, at.top, at.left),
        filter=spec.filter.value,
        color=spec.color.value,
        mean=spec.mean,
        std=spec.std,
        pad_value=spec.pad_value,
        layout=spec.layout.value,
        dtype=spec.dtype.value,
        frame=(height, width),
        format=format.value,
        encoding=encoding.value,
        region=tuple(area),
        loops=loops,
    )
    return Plan(spec, height, width, format, encoding, area, at, native.loops, native)


@dataclass(frozen=True, eq=False)
class PlannedItem:
    """A frame to be prepared into ``out`` as ``plan`` says: see ``Plan.run``."""

    plan: Plan
    frame: Frame
    out: Tensor
    prepared: Prepared | None = None


def run_planned(items: Sequence[PlannedItem], threads: int = 1) -> None:
    """``Plan.run`` of many items, in one call of the kernels; ``threads`` share the items and their rows.

    No two items may have memory of ``out`` in common. Raises InputError as ``Plan.run`` does, before anything is written.
    """
    work = []
    for item in items:
        item.plan.check_frame(item.frame)
        padding = 0 if item.prepared is None else item.plan.check_prepared(item.prepared)
        work.append((item.plan.native, item.frame.planes, item.out, padding))
    _native.run_batch(work, threads)


def _plan_again(
    spec: PreprocessSpec, height: int, width: int, format: PixelFormat, encoding: ColorEncoding, region: Region
) -> Plan:
    """Unpickle a plan: in the loops that are fastest here."""
    return make_plan(spec, height, width, format, encoding, region)
