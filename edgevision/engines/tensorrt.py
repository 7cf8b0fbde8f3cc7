"""TensorRT and TensorRT-RTX: a graph, or an engine built from one, on an NVIDIA GPU.

Everything is allocated when a slot is made: pinned host memory, device memory, the scratch memory of its layers. A
submission puts copy in → layers → copy out into the slot's own stream and returns; from the second one of a batch size
on as one CUDA graph, captured once. An event tells when it is done.

A graph is captured from an execution context that serves one batch size only: NVIDIA says that changing the shapes of
a context invalidates what was captured from it. The contexts of a slot share its scratch memory.

**Not yet run on a GPU**: so far its calls are checked against the real bindings' names and signatures, and its work
against a fake driver and a fake TensorRT. ``pytest tests/gpu`` is ready for the day.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from edgevision.closing import CLOSE_TIMEOUT_S
from edgevision.cuda.engine_driver import EngineDriver, open_engine_driver
from edgevision.engines.base import Engine, EngineOptions, Layer, Slot
from edgevision.engines.engine_key import Device, EngineKey
from edgevision.engines.graph_check import require_fixed_axes
from edgevision.engines.guard import raised_by_handler
from edgevision.engines.tensorrt_build import build_engine, explain, load_tensorrt, make_logger, version_of
from edgevision.engines.tensorrt_layers import read_layers
from edgevision.engines.tensorrt_slot import Batch, TensorRtSlot, capture, launch, make_slot
from edgevision.errors import DeviceError, EngineError
from edgevision.fork import never_free, tell_after_fork
from edgevision.frames import MemoryKind
from edgevision.tensors import TensorInfo

_DTYPES = {
    "FLOAT": "float32", "HALF": "float16", "INT8": "int8", "UINT8": "uint8", "INT32": "int32", "INT64": "int64",
    "BOOL": "bool",
}  # fmt: skip


def is_engine_file(data: bytes) -> bool:
    """Whether these are the bytes of an engine ("ftrt", "vtrt", …), not of an ONNX graph."""
    return data[1:4] == b"trt"


class TensorRtEngine(Engine):
    """One engine on one device, from an engine's own bytes, or from an ONNX graph: built now, which takes minutes, for
    batches of up to 8 (``runtime.engine_cache`` keeps what it builds, and knows a bundle's batch sizes).

    ``kind``: ``tensorrt`` or ``tensorrt-rtx``. ``options.threads`` does not matter here. ``trt`` and ``driver`` are for
    tests. Raises EngineError, MissingExtraError.
    """

    has_device_slots = True
    opens_after_fork = False  # a CUDA context does not survive a fork, and the driver makes no other there

    def __init__(
        self, graph: bytes | Path, options: EngineOptions, version: str, *, kind: str = "tensorrt", trt: Any = None,
        driver: EngineDriver | None = None,
    ) -> None:  # fmt: skip
        if options.precision != "float32":
            raise EngineError(
                f"{kind} runs a graph as it is written, precision 'float32'; got '{options.precision}'. "
                "For half precision give it a float16 graph"
            )
        data = graph if isinstance(graph, bytes) else graph.read_bytes()
        self.name, self.version, self.options = kind, version, options
        self._trt: Any = trt or load_tensorrt(kind, lean=is_engine_file(data))
        self._driver = driver or open_engine_driver()
        self._logger = make_logger(self._trt)
        self._changed = threading.Condition()
        self._closed = False
        self._running = 0  # calls of run() that wait
        self._slots: list[TensorRtSlot] = []
        self._frees: list[list[Callable[[], None]]] = []  # of each slot
        self._waiting: SimpleQueue[tuple[Future[None], TensorRtSlot] | None] = SimpleQueue()
        self._waiter: threading.Thread | None = None
        with self._driver.current():
            if not is_engine_file(data):
                data = build_engine(data, self._trt).engine_file
            self._runtime: Any = self._trt.Runtime(self._logger)
            self._engine: Any = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise self._failed("cannot load the engine")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        is_input = {n: self._engine.get_tensor_mode(n) == self._trt.TensorIOMode.INPUT for n in names}
        self.inputs = tuple(self._info(name) for name in names if is_input[name])
        self.outputs = tuple(self._info(name) for name in names if not is_input[name])
        self._profiles = self._read_profiles()
        tell_after_fork(self)

    # ---- what the engine is ----

    def _info(self, name: str) -> TensorInfo:
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in _DTYPES:
            raise EngineError(f"tensor '{name}' has type {kind}; supported are {sorted(_DTYPES)}")
        shape = tuple(side if side >= 0 else None for side in self._engine.get_tensor_shape(name))
        require_fixed_axes(name, shape)
        return TensorInfo(name, _DTYPES[kind], shape)

    def _read_profiles(self) -> list[tuple[int, int]]:
        """Least and greatest batch of each optimisation profile."""
        first = self.inputs[0]
        if first.shape[0] is not None:
            return [(first.shape[0], first.shape[0])]
        shapes = [
            self._engine.get_tensor_profile_shape(first.name, i) for i in range(self._engine.num_optimization_profiles)
        ]
        if not shapes:
            raise EngineError("the engine has no optimisation profile and a dynamic batch; build it again")
        return [(int(least[0]), int(greatest[0])) for least, _, greatest in shapes]

    @property
    def driver(self) -> EngineDriver:
        """Of its device: for preprocessing that writes into its slots."""
        return self._driver

    def device(self) -> Device:
        """The device it runs on."""
        return describe_device(self._driver, {self.name: version_of(self._trt)})

    def key(self, version_compatible: bool = False) -> EngineKey:
        """The key of an engine that was built here, now."""
        return key_for(self.device(), self.name, version_compatible)

    def layers(self) -> tuple[Layer, ...]:
        """From TensorRT's engine inspector. Raises EngineError where the engine does not say (see ``read_layers``)."""
        self._check_open()
        if not hasattr(self._trt, "EngineInspector"):
            raise EngineError("TensorRT's lean runtime does not say what it runs; ask where the engine was built")
        with self._changed, self._driver.current():
            self._check_open()
            return read_layers(self._call("does not say what it runs", self._inspect))

    def _inspect(self) -> str:
        stream, event = self._driver.stream(None), self._driver.sleeping_event()
        try:
            # Types are told for known shapes only. A context may go when what it put into the stream is done.
            context = self._context(self._profiles[0][0], self._driver.handle(stream))
            inspector = self._engine.create_engine_inspector()
            inspector.execution_context = context
            information = str(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))
            self._driver.record(event, stream)
            self._driver.synchronize(event)
            return information
        finally:
            self._driver.free_event(event)
            self._driver.free_stream(stream)

    # ---- memory ----

    def slots(self, batch: int, count: int = 1, *, memory: MemoryKind = MemoryKind.HOST) -> tuple[TensorRtSlot, ...]:
        """New slots, zeroed. ``memory`` CUDA: inputs are ``DeviceTensor``s, for preprocessing on the device to fill.

        Raises EngineError where the engine was not built for such a batch, or memory runs out.
        """
        self._check_open()
        if batch < 1 or count < 1:
            raise EngineError(f"slots need a batch and a count of at least 1, got batch {batch}, count {count}")
        least, greatest = min(low for low, _ in self._profiles), max(high for _, high in self._profiles)
        if self.inputs[0].shape[0] is not None and batch != greatest:
            raise EngineError(
                f"the graph was exported for batches of exactly {greatest}, asked for {batch}; "
                "export it with a dynamic batch axis"
            )
        if not least <= batch <= greatest:
            raise EngineError(
                f"the engine was built for batches of {least}…{greatest}, asked for {batch}; "
                "build it again with that batch size"
            )
        with self._changed, self._driver.current():
            self._check_open()
            return tuple(self._call("cannot make a slot", lambda: self._slot(batch, memory)) for _ in range(count))

    def _slot(self, batch: int, memory: MemoryKind) -> TensorRtSlot:
        self._frees.append([])
        slot = make_slot(self._driver, self, batch, memory, self._scratch_bytes(), self._frees[-1])
        self._slots.append(slot)
        # Run it once, over zeros, and capture it: the first frame is as quick as the next.
        prepared = self._prepared(slot, batch)
        if not launch(self._driver, slot, prepared):
            raise self._failed("failed while running")
        self._driver.synchronize(slot.event)
        if prepared.capturable:
            capture(self._driver, slot, prepared)
            self._take_errors()  # of what cannot be captured, and need not
        return slot

    def _scratch_bytes(self) -> int:
        return max(1, int(self._engine.device_memory_size_v2))

    def _context(self, items: int, stream_handle: int) -> Any:
        """A context for ``items`` items, without memory for its layers."""
        context = self._engine.create_execution_context(self._trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            raise self._failed("cannot make an execution context")
        if self.inputs[0].shape[0] is None:
            place = next(i for i, (low, high) in enumerate(self._profiles) if low <= items <= high)
            done = context.set_optimization_profile_async(place, stream_handle)
            for info in self.inputs:
                done = context.set_input_shape(info.name, (items, *(int(s or 0) for s in info.shape[1:]))) and done
            if not done:
                raise self._failed(f"refuses a batch of {items}")
        return context

    def _items(self, slot: TensorRtSlot, n_valid: int) -> int:
        """How many items run for ``n_valid``: a power of two, so that graphs and contexts stay few."""
        if self.inputs[0].shape[0] is not None:
            return slot.batch
        return min(1 << (n_valid - 1).bit_length(), slot.batch)

    def _prepared(self, slot: TensorRtSlot, items: int) -> Batch:
        if items not in slot.batches:
            stream = self._driver.handle(slot.stream)
            context = self._context(items, stream)
            context.set_device_memory(slot.scratch, self._scratch_bytes())
            for name, address in slot.addresses.items():
                if not context.set_tensor_address(name, address):
                    raise self._failed(f"refuses the buffer of '{name}'")
            can = getattr(context, "is_stream_capturable", None)  # TensorRT-RTX asks to be asked
            capturable = self._driver.has_graphs and (can is None or bool(can(stream)))
            slot.batches[items] = Batch(items, context, capturable)
        return slot.batches[items]

    # ---- running ----

    def submit(self, slot: Slot, n_valid: int | None = None, future: Future[None] | None = None) -> Future[None]:
        """Put the work into the slot's stream and return. The future, done with the work, raises EngineError."""
        future = future or Future()
        future.set_running_or_notify_cancel()
        with self._changed:
            ours = self._start(slot, n_valid)
            if self._waiter is None:
                self._waiter = threading.Thread(target=self._wait, name=f"edgevision-{self.name}", daemon=True)
                self._waiter.start()
            self._waiting.put((future, ours))
        return future

    def run(self, slot: Slot, n_valid: int | None = None) -> None:
        """Submit, and wait in the calling thread. Raises EngineError when the engine fails."""
        with self._changed:
            ours = self._start(slot, n_valid)
            self._running += 1
        try:
            with self._driver.current():
                self._call("failed while running", lambda: self._driver.synchronize(ours.event))
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def wait_for(self, slot: Slot, event: Any) -> None:
        """See ``TensorRtSlot.wait_for``."""
        assert isinstance(slot, TensorRtSlot)
        with self._changed, self._driver.current():
            self._check_open()
            self._call("cannot wait for an event", lambda: self._driver.wait_for(event, slot.stream))

    def _start(self, slot: Slot, n_valid: int | None) -> TensorRtSlot:
        self._check_open()
        if not isinstance(slot, TensorRtSlot) or slot.owner is not self:
            raise EngineError("expected a slot of this engine, got another's; take it from engine.slots()")
        n = slot.batch if n_valid is None else n_valid
        if not 1 <= n <= slot.batch:
            raise EngineError(f"n_valid is within 1…{slot.batch} for this slot, got {n}")
        with self._driver.current():
            if not self._call("failed while starting", lambda: self._launch(slot, n)):
                raise self._failed("failed while starting")
        return slot

    def _launch(self, slot: TensorRtSlot, n_valid: int) -> bool:
        return launch(self._driver, slot, self._prepared(slot, self._items(slot, n_valid)))

    def _wait(self) -> None:
        """Complete futures in the order of their submission. The waiter thread's work."""
        while (item := self._waiting.get()) is not None:
            future, slot = item
            try:
                with self._driver.current():
                    self._driver.synchronize(slot.event)
            except Exception as error:
                future.set_exception(EngineError(f"{self.name} failed while running: {error}"))
            else:
                future.set_result(None)

    # ---- the end ----

    def close(self) -> None:
        """Finish what was submitted, then give the memory back. Slots' host arrays stay readable, and cannot run.

        Waits ``CLOSE_TIMEOUT_S`` for each of what threads run and what was submitted; what is not done by then keeps its
        memory.
        """
        with self._changed:
            if self._closed or self.inherited:
                return
            self._closed = True
            self._waiting.put(None)
            ended = self._changed.wait_for(lambda: self._running == 0, CLOSE_TIMEOUT_S)
        if self._waiter is not None and self._waiter is not threading.current_thread():
            self._waiter.join(CLOSE_TIMEOUT_S)
            ended = ended and not self._waiter.is_alive()
        if not ended:  # the device may be writing still: its memory stays until the process ends
            return
        with self._driver.current():
            for slot in self._slots:
                with contextlib.suppress(DeviceError):  # a device that failed has nothing more to finish
                    self._driver.synchronize(slot.event)
            for frees in self._frees:
                while frees:
                    with contextlib.suppress(DeviceError):
                        frees.pop()()
            self._slots.clear()
            self._engine = self._runtime = None  # in this order

    def _call(self, what: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except EngineError:
            raise
        except Exception as error:  # DeviceError, and whatever pybind11 makes of C++'s
            if raised_by_handler(error):
                raise
            raise explain(self._trt, what, [*self._take_errors(), str(error)]) from error

    def _failed(self, what: str) -> EngineError:
        return explain(self._trt, what, self._take_errors())

    def _take_errors(self) -> Sequence[str]:
        errors, self._logger.errors = self._logger.errors, []
        return tuple(errors)

    def after_fork(self) -> None:
        """See ``Engine.after_fork``."""
        super().after_fork()
        self._changed = threading.Condition()
        for slot in self._slots:
            never_free(slot)

    def _check_open(self) -> None:
        self.check_inherited()
        if self._closed:
            raise EngineError("the engine is closed; open it again to run more")


def describe_device(driver: EngineDriver, engines: Mapping[str, str]) -> Device:
    """The driver's device, with the engines installed here (kind → version)."""
    with driver.current():
        return Device(driver.device_name(), driver.compute_capability(), driver.version(), dict(engines))


def key_for(device: Device, kind: str, version_compatible: bool = False) -> EngineKey:
    """The key of an engine of ``kind`` built on ``device``."""
    return EngineKey(kind, device.engines[kind], device.compute_capability, device.driver, version_compatible)
