"""A spec that keeps its plans: frames of any size and format in, tensors out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgevision.errors import InputError
from edgevision.fork import tell_after_fork
from edgevision.frames import Frame, ImageArray, MemoryKind
from edgevision.preprocess.geometry import check_region
from edgevision.preprocess.plan import Plan, PlannedItem, Tensor, make_plan, run_planned
from edgevision.preprocess.spec import PreprocessSpec

_Key = tuple[object, ...]


class Preprocessor:
    """Prepares frames for one model. Threads may share it.

    Keeps the ``capacity`` plans used last, by size, format and encoding: a camera needs one, a folder of photos a few; and
    as many of regions.

    >>> from edgevision.preprocess import preset
    >>> prepare = Preprocessor(preset("lite"))
    >>> prepare.run(np.zeros((480, 640, 3), np.uint8)).shape
    (3, 224, 224)
    """

    def __init__(self, spec: PreprocessSpec, *, capacity: int = 32) -> None:
        if capacity < 1:
            raise InputError(f"a preprocessor keeps at least 1 plan, got capacity {capacity}")
        self.spec = spec
        self._capacity = capacity
        self._plans: OrderedDict[_Key, Plan] = OrderedDict()  # of whole frames
        self._crops: OrderedDict[_Key, Plan] = (
            OrderedDict()
        )  # of regions: a detector's come and go, and would push those out
        self._lock = threading.RLock()
        tell_after_fork(self)

    def after_fork(self) -> None:
        """In a child of ``fork``: a thread that is not here may have held the lock. Called by Python, not by you."""
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Callable[..., Preprocessor], tuple[PreprocessSpec, int]]:
        """Pickled by what it was made of; its plans are made again."""
        return _preprocessor_again, (self.spec, self._capacity)

    def plan(self, frame: Frame, region: Sequence[int] | None = None) -> Plan:
        """The plan for frames like ``frame``, made when it is first needed."""
        encoding = frame.encoding if frame.format.is_yuv else None  # without meaning elsewhere
        area = check_region(region, frame.height, frame.width)
        key = (frame.height, frame.width, frame.format, encoding, area)
        plans = self._plans if area == (0, 0, frame.width, frame.height) else self._crops
        with self._lock:
            if (plan := plans.get(key)) is not None:
                plans.move_to_end(key)
                return plan
        # Made outside the lock: threads with known sizes need not wait. Two may make the same plan; one is kept.
        plan = make_plan(self.spec, frame.height, frame.width, frame.format, frame.encoding, area)
        with self._lock:
            plan = plans.setdefault(key, plan)
            plans.move_to_end(key)
            while len(plans) > self._capacity:
                plans.popitem(last=False)
        return plan

    def run(
        self,
        frame: Frame | ImageArray,
        out: Tensor | None = None,
        *,
        region: Sequence[int] | None = None,
        threads: int = 1,
    ) -> Tensor:
        """Prepare ``frame``, or its ``region`` (x, y, width, height), into ``out`` and give ``out`` back.

        ``frame`` is a Frame or an H×W×3 uint8 BGR array; ``out`` has ``spec.tensor_shape`` and ``spec.dtype``, and is made
        where it is None. A mirrored or otherwise scattered view is copied first. Raises InputError for anything else.
        """
        frame = packed_frame(frame)
        if out is None:
            out = np.empty(self.spec.tensor_shape, self.spec.dtype.value)
        self.plan(frame, region).run(frame, out, threads=threads)
        return out

    def batch(
        self,
        frames: Sequence[Frame | ImageArray],
        out: Tensor | None = None,
        *,
        regions: Sequence[Sequence[int] | None] | None = None,
        threads: int = 1,
    ) -> Tensor:
        """Prepare ``frames`` into the first items of ``out``; give those items back, [len(frames), *tensor_shape].

        ``regions``: one for each frame (the same frame may come many times: a detector's crops), or None. ``out`` may have
        more items than there are frames: the rest are left as they are. ``threads`` share the frames and their rows.
        """
        if out is None:
            out = np.empty((len(frames), *self.spec.tensor_shape), self.spec.dtype.value)
        shape = self.spec.tensor_shape
        if not isinstance(out, np.ndarray) or len(out.shape) != 4 or out.shape[1:] != shape or len(out) < len(frames):
            got = f"shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
            raise InputError(f"out: expected room for {len(frames)} items of {shape}, got {got}")
        if len(frames) > 1 and abs(out.strides[0]) < out[0].nbytes:
            raise InputError(f"out: expected items that do not overlap, got strides {out.strides}")
        if regions is not None and len(regions) != len(frames):
            raise InputError(f"regions: expected one for each of {len(frames)} frames, got {len(regions)}")
        items = []
        for index, frame in enumerate(frames):
            packed = packed_frame(frame)
            plan = self.plan(packed, None if regions is None else regions[index])
            items.append(PlannedItem(plan, packed, out[index]))
        run_planned(items, threads)
        return out[: len(frames)]


def _preprocessor_again(spec: PreprocessSpec, capacity: int) -> Preprocessor:
    """Unpickle a preprocessor."""
    return Preprocessor(spec, capacity=capacity)


def packed_frame(frame: Frame | ImageArray) -> Frame:
    """A frame whose rows are packed: the one that came, or where its samples do not lie side by side, a copy."""
    if not isinstance(frame, Frame):
        frame = Frame.from_array(frame)
    if frame.memory is not MemoryKind.HOST:
        return frame
    for plane in frame.planes:
        if not isinstance(plane, np.ndarray):
            raise InputError(f"expected a frame in host memory to have NumPy arrays, got {type(plane).__name__}")
    if all(_has_packed_rows(plane) for plane in frame.planes):
        return frame
    return replace(frame, planes=tuple(np.ascontiguousarray(plane) for plane in frame.planes))


def _has_packed_rows(plane: ImageArray) -> bool:
    return plane.flags.c_contiguous or plane[0].flags.c_contiguous
