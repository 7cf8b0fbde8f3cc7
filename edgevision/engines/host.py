"""What engines that compute in host memory share: slots of NumPy arrays, submission, closing."""

from __future__ import annotations

import threading
import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.closing import CLOSE_TIMEOUT_S
from edgevision.engines.base import Engine, EngineOptions, Slot
from edgevision.engines.guard import engine_errors, no_fork_meanwhile, raised_by_handler
from edgevision.engines.worker import Worker
from edgevision.errors import EngineError
from edgevision.fork import never_free, tell_after_fork
from edgevision.tensors import TensorInfo

HostArray = npt.NDArray[Any]
Launch = Callable[[], object]  # runs prepared items once, in the calling thread
CheckBatch = Callable[[int], None]  # raises EngineError for a number of items that the graph must not run with

ALIGNMENT_BYTES = 64  # a cache line, and the widest vector load; engines adopt such memory without a copy

# Operators that only move or convert data: they do not count as layers that do arithmetic.
MOVES = {
    "Cast", "Concat", "ConstantOfShape", "Convert", "DequantizeLinear", "Expand", "Flatten", "Gather",
    "GatherElements", "GatherND", "Identity", "Pad", "QuantizeLinear", "ReorderInput", "ReorderOutput", "Reshape",
    "Resize", "ScatterND", "Shape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Upsample",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class HostSlot(Slot):
    """A slot that knows its engine and keeps what the engine prepared, by number of items."""

    owner: HostEngine | None = None
    prepared: dict[int, Launch] = field(default_factory=dict)


class HostEngine(Engine):
    """Base of engines whose tensors are NumPy arrays. Subclasses say how to run the first ``n`` items of a slot.

    ``run`` works in the calling thread, so that it costs nothing on top of the engine; ``submit`` uses one worker
    thread, which keeps submissions in order and the CPU at ``options.threads``.
    """

    def __init__(
        self,
        name: str,
        version: str,
        options: EngineOptions,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        check_batch: CheckBatch,
    ) -> None:
        self.name = name
        self.version = version
        self.options = options
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._fixed_batch = _fixed_batch(self.inputs + self.outputs)
        self._check_batch = check_batch
        self._closed = False
        self._lock = threading.RLock()  # a signal handler may close while its thread is submitting
        self._worker: Worker | None = None
        self._slots: weakref.WeakSet[HostSlot] = weakref.WeakSet()
        tell_after_fork(self)

    @abstractmethod
    def _prepare(self, slot: HostSlot, n_valid: int) -> Launch:
        """Bind the slot's memory once; the result runs its first ``n_valid`` items each time it is called."""

    @abstractmethod
    def _release(self) -> None:
        """Drop everything of the engine's own. Called once."""

    def slots(self, batch: int, count: int = 1) -> tuple[HostSlot, ...]:
        """New slots, zeroed. Raises EngineError where the graph has another, fixed batch."""
        self._check_open()
        if batch < 1 or count < 1:
            raise EngineError(f"slots need a batch and a count of at least 1, got batch {batch}, count {count}")
        if self._fixed_batch is not None and batch != self._fixed_batch:
            raise EngineError(
                f"the graph was exported for batches of exactly {self._fixed_batch}, asked for {batch}; "
                "export it with a dynamic batch axis"
            )
        self._check_batch(batch)
        with engine_errors(
            lambda error: EngineError(f"no memory for {count} slots of {batch} items: {one_line(error)}")
        ):
            made = tuple(
                HostSlot(batch, _arrays(self.inputs, batch), _arrays(self.outputs, batch), owner=self)
                for _ in range(count)
            )
        self._slots.update(made)
        return made

    def submit(self, slot: Slot, n_valid: int | None = None, future: Future[None] | None = None) -> Future[None]:
        """Run on the worker thread, after what was submitted before. The future raises EngineError."""
        launch = self._launch(slot, n_valid)
        with self._lock:
            self._check_open()
            if self._worker is None:
                self._worker = Worker()
            return self._worker.submit(lambda: self._call(launch), future or Future())

    def run(self, slot: Slot, n_valid: int | None = None) -> None:
        """Run in the calling thread. Raises EngineError when the engine fails."""
        self._call(self._launch(slot, n_valid))

    def close(self) -> None:
        """Finish what was submitted, within ``CLOSE_TIMEOUT_S``, then give the memory back. Slots keep their arrays, and
        cannot run. A run that is under way in another thread keeps what it needs until it ends.
        """
        with self._lock:
            if self._closed or self.inherited:
                return
            self._closed = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close(CLOSE_TIMEOUT_S)
        with no_fork_meanwhile():
            for slot in list(self._slots):
                slot.prepared.clear()
            self._release()

    def after_fork(self) -> None:
        """See ``Engine.after_fork``."""
        super().after_fork()
        self._lock = threading.RLock()
        for slot in list(self._slots):
            never_free(slot)

    def _launch(self, slot: Slot, n_valid: int | None) -> Launch:
        self._check_open()
        if not isinstance(slot, HostSlot) or slot.owner is not self:
            raise EngineError("expected a slot of this engine, got another's; take it from engine.slots()")
        n = slot.batch if n_valid is None else n_valid
        if not 1 <= n <= slot.batch:
            raise EngineError(f"n_valid is within 1…{slot.batch} for this slot, got {n}")
        launch = slot.prepared.get(n)
        if launch is None:
            say = f"{self.name} cannot prepare {n} items"
            with no_fork_meanwhile(), engine_errors(lambda error: EngineError(f"{say}: {one_line(error)}")):
                self._check_batch(n)
                launch = slot.prepared[n] = self._prepare(slot, n)
        return launch

    def _call(self, launch: Launch) -> None:
        try:
            launch()
        except Exception as error:
            if raised_by_handler(error):
                raise
            raise EngineError(f"{self.name} failed while running the graph: {one_line(error)}") from error

    def _check_open(self) -> None:
        self.check_inherited()
        if self._closed:
            raise EngineError("the engine is closed; open it again to run more")


def aligned_zeros(shape: Sequence[int], dtype: str) -> HostArray:
    """A C-contiguous array of zeros whose first byte lies at a multiple of ``ALIGNMENT_BYTES``."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    raw = np.zeros(size + ALIGNMENT_BYTES, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT_BYTES
    return raw[start : start + size].view(kind).reshape(shape)


def load_error(engine: str, error: BaseException) -> EngineError:
    """What to raise when ``engine`` refuses a graph: its own words on one line, and what to do where that is clear."""
    cause = one_line(error)
    remedy = ""
    if "not a registered" in cause or "No conversion rule" in cause:
        remedy = "; export the model with standard ONNX operators only"
    return EngineError(f"{engine} cannot load the graph: {cause}{remedy}")


def one_line(error: BaseException, limit: int = 240) -> str:
    """An engine's message without its own stack, on one line."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    noise = ("Exception from ", "Check '", "Summary:", "FrontEnd API failed", "To facilitate ")
    text = " ".join(line for line in lines if line and not line.startswith(noise)) or type(error).__name__
    if text.startswith("[ONNXRuntimeError]"):  # "[ONNXRuntimeError] : 1 : FAIL : what happened"
        text = text.split(" : ", 3)[-1]
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _arrays(infos: Sequence[TensorInfo], batch: int) -> Mapping[str, HostArray]:
    return {
        info.name: aligned_zeros((batch, *(int(side or 0) for side in info.shape[1:])), info.dtype) for info in infos
    }


def _fixed_batch(infos: Sequence[TensorInfo]) -> int | None:
    sizes = {info.shape[0] for info in infos}
    return None if None in sizes else max((size for size in sizes if size is not None), default=None)
