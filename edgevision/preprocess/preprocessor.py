"""A spec that keeps its plans: frames of any size and format in, tensors out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.frames import Frame, ImageArray
from edgevision.preprocess.plan import Plan, make_plan
from edgevision.preprocess.spec import PreprocessSpec

_Key = tuple[object, ...]


class Preprocessor:
    """Prepares frames for one model. Threads may share it.

    Keeps the ``capacity`` plans used last, by size, format, encoding and region: a camera needs one, a folder of photos
    a few.

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
        self._plans: OrderedDict[_Key, Plan] = OrderedDict()
        self._lock = threading.Lock()

    def plan(self, frame: Frame, region: Sequence[int] | None = None) -> Plan:
        """The plan for frames like ``frame``, made when it is first needed."""
        encoding = frame.encoding if frame.format.is_yuv else None  # without meaning elsewhere
        key = (frame.height, frame.width, frame.format, encoding, None if region is None else tuple(region))
        with self._lock:
            if (plan := self._plans.get(key)) is not None:
                self._plans.move_to_end(key)
                return plan
        # Made outside the lock: threads with known sizes need not wait. Two may make the same plan; one is kept.
        plan = make_plan(self.spec, frame.height, frame.width, frame.format, frame.encoding, region)
        with self._lock:
            plan = self._plans.setdefault(key, plan)
            self._plans.move_to_end(key)
            while len(self._plans) > self._capacity:
                self._plans.popitem(last=False)
        return plan

    def run(
        self,
        frame: Frame | ImageArray,
        out: npt.NDArray[np.generic] | None = None,
        *,
        region: Sequence[int] | None = None,
    ) -> npt.NDArray[np.generic]:
        """Prepare ``frame``, or its ``region`` (x, y, width, height), into ``out`` and give ``out`` back.

        ``frame`` is a Frame or an H×W×3 uint8 BGR array; ``out`` has ``spec.tensor_shape`` and ``spec.dtype``, and is made
        where it is None. Raises InputError for anything else.
        """
        if not isinstance(frame, Frame):
            frame = Frame.from_array(frame)
        if out is None:
            out = np.empty(self.spec.tensor_shape, self.spec.dtype.value)
        self.plan(frame, region).run(frame, out)
        return out

    def batch(
        self, frames: Sequence[Frame | ImageArray], out: npt.NDArray[np.generic] | None = None
    ) -> npt.NDArray[np.generic]:
        """Prepare ``frames`` into the first items of ``out``; give those items back, [len(frames), *tensor_shape].

        ``out`` may have more items than there are frames: the rest are left as they are.
        """
        if out is None:
            out = np.empty((len(frames), *self.spec.tensor_shape), self.spec.dtype.value)
        if out.ndim != 4 or len(out) < len(frames):
            raise InputError(
                f"out: expected room for {len(frames)} items of {self.spec.tensor_shape}, got shape {out.shape}"
            )
        for frame, item in zip(frames, out, strict=False):
            self.run(frame, item)
        return out[: len(frames)]
