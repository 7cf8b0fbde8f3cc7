"""A TensorRT slot: its memory on both sides, and its work as copies and layers in a stream, or as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from edgevision.cuda.engine_driver import EngineDriver
from edgevision.engines.base import Slot
from edgevision.engines.host import HostArray
from edgevision.errors import DeviceError
from edgevision.frames import MemoryKind
from edgevision.tensors import TensorInfo


class SlotOwner(Protocol):
    """The engine that a slot belongs to, so far as the slot needs it."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    def wait_for(self, slot: Slot, event: Any) -> None:
        """What is submitted to ``slot`` from now on begins after ``event``."""


class DeviceTensor:
    """A buffer in device memory, for whoever speaks ``__cuda_array_interface__``. Valid until the engine is closed."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: str) -> None:
        self.address, self.shape, self.dtype = address, shape, dtype
        self.__cuda_array_interface__ = {
            "data": (address, False), "shape": shape, "typestr": np.dtype(dtype).str, "strides": None, "version": 3,
        }  # fmt: skip


@dataclass(eq=False)
class Batch:
    """How a slot runs one number of items. ``ran``: once at least; ``graph``: captured, if ``capturable``."""

    items: int
    context: Any
    capturable: bool
    ran: bool = False
    graph: Any = None


@dataclass(frozen=True, eq=False)
class TensorRtSlot(Slot):
    """Inputs in pinned host memory or, with ``memory`` CUDA, ``DeviceTensor``s; outputs in pinned host memory.

    ``frees`` gives back what it holds besides, last first.
    """

    owner: SlotOwner | None = field(default=None, repr=False)
    stream: Any = None
    event: Any = None
    addresses: Mapping[str, int] = field(default_factory=dict)
    scratch: int = 0
    batches: dict[int, Batch] = field(default_factory=dict)
    frees: list[Callable[[], None]] = field(default_factory=list)

    def wait_for(self, event: Any) -> None:
        """What is submitted from now on begins after ``event``, such as ``CudaPreprocessor.submit(…).event``."""
        assert self.owner is not None
        self.owner.wait_for(self, event)


def make_slot(
    driver: EngineDriver, owner: SlotOwner, batch: int, memory: MemoryKind, scratch_bytes: int,
    frees: list[Callable[[], None]],
) -> TensorRtSlot:  # fmt: skip
    """Allocate a slot, zeroed; ``frees`` fills up as memory is taken, also where that ends in a DeviceError."""
    stream = driver.stream(None)
    frees.append(lambda: driver.free_stream(stream))
    event = driver.sleeping_event()
    frees.append(lambda: driver.free_event(event))

    def allocate(size: int) -> int:
        address = driver.allocate(size)
        frees.append(lambda: driver.free(address))
        return address

    def tensors(infos: Sequence[TensorInfo], on_device: bool) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for info in infos:
            shape = (batch, *(int(side or 0) for side in info.shape[1:]))
            pinned = driver.kept_pinned(int(np.prod(shape)) * np.dtype(info.dtype).itemsize)
            address = addresses[info.name] = allocate(pinned.nbytes)
            driver.copy_to_device(address, pinned, stream)  # zeros
            made[info.name] = DeviceTensor(address, shape, info.dtype)
            if not on_device:
                made[info.name] = pinned.view(info.dtype).reshape(shape)
            zeros.append(pinned)
        return made

    addresses: dict[str, int] = {}
    zeros: list[HostArray] = []  # kept until they have arrived
    inputs = tensors(owner.inputs, memory is MemoryKind.CUDA)
    outputs = tensors(owner.outputs, False)
    scratch = allocate(scratch_bytes)
    batches: dict[int, Batch] = {}
    frees.append(batches.clear)  # contexts go before their memory, and after their graphs
    driver.record(event, stream)
    driver.synchronize(event)
    return TensorRtSlot(batch, inputs, outputs, memory, owner, stream, event, addresses, scratch, batches, frees)


def launch(driver: EngineDriver, slot: TensorRtSlot, batch: Batch) -> bool:
    """Put a batch's work into the slot's stream, and its event behind it. False where TensorRT refused."""
    # The first time without a graph: only then has TensorRT done what it puts off until it knows the shapes.
    if batch.ran and batch.capturable and batch.graph is None:
        capture(driver, slot, batch)
    if batch.graph is not None:
        driver.launch_graph(batch.graph, slot.stream)
    elif not _put(driver, slot, batch):
        return False
    batch.ran = True
    driver.record(slot.event, slot.stream)
    return True


def capture(driver: EngineDriver, slot: TensorRtSlot, batch: Batch) -> None:
    """Make a CUDA graph of the batch's work, or find that it cannot be one (a layer that asks the host, …)."""
    batch.capturable = False
    done, graph = False, None
    driver.begin_capture(slot.stream)
    try:
        done = _put(driver, slot, batch)
    except DeviceError:
        pass
    finally:  # a stream that is being captured is good for nothing else
        try:
            graph = driver.end_capture(slot.stream)
        except DeviceError:
            done = False
    if graph is None:
        return
    if done:
        batch.graph, batch.capturable = graph, True
        slot.frees.append(lambda: driver.free_graph(graph))
    else:
        driver.free_graph(graph)


def _put(driver: EngineDriver, slot: TensorRtSlot, batch: Batch) -> bool:
    """Copy in → layers → copy out. False where TensorRT refused."""
    if slot.memory is MemoryKind.HOST:
        for name, array in slot.inputs.items():
            driver.copy_to_device(slot.addresses[name], _bytes(array, batch.items), slot.stream)
    if not batch.context.execute_async_v3(driver.handle(slot.stream)):
        return False
    for name, array in slot.outputs.items():
        driver.copy_to_host(_bytes(array, batch.items), slot.addresses[name], slot.stream)
    return True


def _bytes(array: HostArray, items: int) -> Any:
    """The first items as bytes, for the driver to copy."""
    return array[:items].reshape(-1).view(np.uint8)
