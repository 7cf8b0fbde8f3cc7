"""How items get into an engine's slot: on the CPU, or on the device that the engine runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from edgevision.engines import Engine, Slot
from edgevision.errors import InputError
from edgevision.frames import Frame, MemoryKind
from edgevision.preprocess import Plan, Preprocessor, PreprocessSpec, Region
from edgevision.preprocess.geometry import Placement
from edgevision.preprocess.plan import PlannedItem, run_planned
from edgevision.preprocess.preprocessor import packed_frame
from edgevision.runtime.slots import PooledSlot
from edgevision.tasks.base import View
from edgevision.tasks.results import FrameId

if TYPE_CHECKING:
    from edgevision.engines.tensorrt import TensorRtEngine


@dataclass(frozen=True, eq=False)
class Item:
    """What one place of a batch shows: a frame, or a region of it, in the frame's pixels."""

    frame: Frame
    region: Region | None = None


@dataclass(frozen=True, eq=False)
class PreparedItem:
    """What one place of a batch is given as it is: ``tensor``, of the spec's shape and type, which somebody prepared before. Results of it
    are in the tensor's own pixels."""

    tensor: npt.NDArray[Any]


class Preparation(Protocol):
    """Fills the inputs of slots."""

    def make_slot(self, batch: int) -> Slot:
        """A new slot of the engine, in the memory that this preparation writes."""

    def fill(self, slot: PooledSlot, items: Sequence[Item | PreparedItem]) -> tuple[View, ...]:
        """Prepare the items into the slot's first places; how each one's pixels lie there. Raises InputError."""

    def close(self) -> None:
        """Give back what it holds."""


class HostPreparation:
    """Prepares on the CPU, into slots in host memory.

    Where the plan of a place is the same as for the batch before, its padding is left alone: it is there already.
    """

    def __init__(self, engine: Engine, spec: PreprocessSpec, input_name: str) -> None:
        self._engine = engine
        self._input = input_name
        self._preprocessor = Preprocessor(spec)

    def make_slot(self, batch: int) -> Slot:  # noqa: D102 - as in Preparation, and so are those below
        (slot,) = self._engine.slots(batch)
        return slot

    def fill(self, slot: PooledSlot, items: Sequence[Item | PreparedItem]) -> tuple[View, ...]:  # noqa: D102
        tensor = slot.slot.inputs[self._input]
        work, views = [], []
        for place, item in enumerate(items):
            if isinstance(item, PreparedItem):
                _check_prepared(item, tensor[place])
                slot.padding.pop(place, None)  # it is written over
                tensor[place] = item.tensor
                views.append(_view_of_tensor(self._preprocessor.spec))
                continue
            frame = packed_frame(item.frame)
            if frame.memory is not MemoryKind.HOST:
                raise InputError(f"this engine takes frames in host memory, got {frame.memory.value}; copy it first")
            plan = self._preprocessor.plan(frame, item.region)
            padding = slot.padding.get(place)
            if padding is None or padding.plan is not plan:
                padding = slot.padding[place] = plan.prepare(tensor[place])
            work.append(PlannedItem(plan, frame, tensor[place], padding))
            views.append(view_of(frame, plan))
        run_planned(work)
        return tuple(views)

    def close(self) -> None:
        """Nothing to give back."""


class DevicePreparation:
    """Prepares with the CUDA kernels, into slots in device memory; the engine waits on the device, not here.

    Frames may be in host memory, from where they are copied, or in device memory. Raises MissingExtraError without
    cuda-bindings or pycuda, DeviceError without kernels for the device.
    """

    def __init__(self, engine: TensorRtEngine, spec: PreprocessSpec, input_name: str, max_batch: int) -> None:
        from edgevision.preprocess.cuda import CudaPreprocessor

        self._engine = engine
        self._input = input_name
        self._plans = Preprocessor(spec)
        self._cuda = CudaPreprocessor(spec, max_batch=max_batch, driver=engine.driver)

    def make_slot(self, batch: int) -> Slot:  # noqa: D102
        (slot,) = self._engine.slots(batch, memory=MemoryKind.CUDA)
        return slot

    def fill(self, slot: PooledSlot, items: Sequence[Item | PreparedItem]) -> tuple[View, ...]:  # noqa: D102
        pictures = [item for item in items if isinstance(item, Item)]
        if len(pictures) < len(items):
            raise InputError(
                "tensors that are prepared already are for engines in host memory; load with preprocess_on='cpu'"
            )
        views = tuple(view_of(item.frame, self._plans.plan(item.frame, item.region)) for item in pictures)
        frames, regions = [item.frame for item in pictures], [item.region for item in pictures]
        submitted = self._cuda.submit(frames, regions, out=slot.slot.inputs[self._input])
        self._engine.wait_for(slot.slot, submitted.event)
        return views

    def close(self) -> None:  # noqa: D102
        self._cuda.close()


def view_of(frame: Frame, plan: Plan) -> View:
    """How a frame's pixels lie in a tensor that ``plan`` made of it."""
    id = FrameId(frame.camera, frame.sequence, frame.captured_ns)
    spec = plan.spec
    return View(id, frame.height, frame.width, plan.region, plan.placement, spec.height, spec.width)


def _view_of_tensor(spec: PreprocessSpec) -> View:
    """How a tensor's pixels lie in itself."""
    whole = Region(0, 0, spec.width, spec.height)
    return View(
        FrameId(), spec.height, spec.width, whole, Placement(spec.height, spec.width, 0, 0), spec.height, spec.width
    )


def _check_prepared(item: PreparedItem, place: npt.NDArray[Any]) -> None:
    tensor = item.tensor
    if tensor.shape != place.shape or tensor.dtype != place.dtype:
        raise InputError(
            f"expected a prepared tensor of {place.dtype} and shape {place.shape}, got {tensor.dtype} and {tensor.shape}"
        )
