"""One variant, ready to run: items → tensors in a slot → engine → outputs by name. What ``Model`` is built on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from edgevision.bundle.manifest import Manifest, VariantEntry
from edgevision.calls.deadline import Deadline
from edgevision.closing import CLOSE_TIMEOUT_S
from edgevision.engines import Engine, EngineOptions, open_engine
from edgevision.errors import EngineError, InputError
from edgevision.frames import Frame
from edgevision.preprocess import PreprocessSpec
from edgevision.runtime.preparation import DevicePreparation, HostPreparation, Item, Preparation, PreparedItem
from edgevision.runtime.slots import PooledSlot, SlotPool
from edgevision.tasks.base import GoldenResult, Task, View
from edgevision.tasks.registry import make_task
from edgevision.tasks.results import Timing
from edgevision.tensors import Outputs

_ENGINE = 0  # the thread of a slot that an engine is working on

PreprocessOn = Literal["cpu", "cuda"]


@dataclass(frozen=True, eq=False)
class BatchOutputs:
    """What a batch gave: ``outputs`` by name, [n, …], the caller's own; how each item lay in its tensor; and the
    milliseconds that preparing and running took."""

    outputs: Outputs
    views: tuple[View, ...]
    preprocess_ms: float
    infer_ms: float

    @property
    def timing(self) -> Timing:
        """For results; decoding is not in it yet."""
        return Timing(self.preprocess_ms, self.infer_ms, 0.0, len(self.views))


class Runner:
    """A graph in an engine with the preprocessing that it needs. Thread-safe.

    ``task`` says whether the graph's outputs fit. ``max_batch`` is the graph's own where its batch is fixed. Up to
    ``in_flight`` batches are prepared and run at once. ``preprocess_on``: ``cuda`` needs an engine with slots on the device.

    Raises EngineError for a graph that does not fit spec or task; for ``cuda`` also MissingExtraError and DeviceError.
    """

    def __init__(
        self, graph: bytes, engine: str, options: EngineOptions, spec: PreprocessSpec, task: Task[Any],
        max_batch: int = 1, in_flight: int = 2, preprocess_on: PreprocessOn = "cpu",
    ) -> None:  # fmt: skip
        self.golden: GoldenResult | None = None  # of the golden frames, where they were run to open it
        self.engine = open_engine(engine, graph, options)
        try:
            input_name, fixed_batch = check_input(self.engine, spec)
            task.check(self.engine.outputs)
            self.max_batch = fixed_batch or max_batch
            self._preparation = _preparation(self.engine, spec, input_name, self.max_batch, preprocess_on)
        except BaseException:
            self.engine.close()
            raise
        self._given_up = False  # whether close() left the rest to the last batch
        self._pool = SlotPool(lambda: self._preparation.make_slot(self.max_batch), in_flight)

    def run(self, items: Sequence[Item | PreparedItem | Frame], deadline: Deadline | None = None) -> BatchOutputs:
        """Prepare and run 1…``max_batch`` items as one batch, in the calling thread. Raises InputError, EngineError, and
        DeadlineError where the deadline passes before the engine begins."""
        wanted = self._items(items)
        self.engine.check_inherited()
        slot = None
        try:
            slot = self._pool.take(deadline)
            started = time.perf_counter()
            views = self._preparation.fill(slot, wanted)
            prepared = time.perf_counter()
            self.engine.run(slot.slot, len(views))
            return _batch_outputs(slot, views, started, prepared)
        finally:
            if slot is not None:
                self._pool.give_back(slot)
            self._after_a_batch()

    def submit(self, items: Sequence[Item | PreparedItem | Frame]) -> Future[BatchOutputs]:
        """Prepare 1…``max_batch`` items in the calling thread, and return while the engine runs them.

        Waits for a slot where ``in_flight`` batches are under way. Raises InputError; the future raises EngineError.
        """
        wanted = self._items(items)
        self.engine.check_inherited()
        slot = self._pool.take()
        slot.thread = _ENGINE
        try:
            started = time.perf_counter()
            views = self._preparation.fill(slot, wanted)
            prepared = time.perf_counter()
        except BaseException:
            self._pool.give_back(slot)
            self._after_a_batch()
            raise
        found: Future[BatchOutputs] = Future()
        found.set_running_or_notify_cancel()

        def finish(done: Future[None]) -> None:
            result: BatchOutputs | None = None
            failure: BaseException | None = None
            try:
                done.result()
                result = _batch_outputs(slot, views, started, prepared)
            except BaseException as error:  # also where the submission was cancelled
                failure = error
            self._pool.give_back(slot)
            self._after_a_batch()
            if result is None:
                found.set_exception(failure)
            else:
                found.set_result(result)

        running: Future[None] = Future()
        running.add_done_callback(finish)  # before it is submitted: so the engine's thread calls it, never this one
        try:
            self.engine.submit(slot.slot, len(views), running)
        except EngineError:
            # The engine did not start. After anything else it may be writing to the slot, and ``finish`` gives it back.
            self._pool.give_back(slot)
            self._after_a_batch()
            raise
        return found

    def run_all(self, items: Sequence[Item | Frame]) -> Iterator[BatchOutputs]:
        """Run any number of items, in batches of ``max_batch``: while one runs, the next is prepared. In their order.

        A single batch runs in the calling thread, so that several threads' run at once: those that are submitted wait for each
        other. Raises InputError and EngineError as ``run`` does.
        """
        if 0 < len(items) <= self.max_batch:
            yield self.run(items)
            return
        running: deque[Future[BatchOutputs]] = deque()
        try:
            for start in range(0, len(items), self.max_batch):
                running.append(self.submit(items[start : start + self.max_batch]))
                if len(running) > 1:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            wait(running)  # a batch that nobody asked for any more still writes to its slot

    def refuse(self) -> None:
        """Begin no more batches. Returns at once."""
        self._pool.refuse()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Finish the batches that are running, then give the memory back; closing twice is allowed.

        Waits at most ``timeout_s`` seconds, and not for a batch of the calling thread (where a signal handler calls
        this): what is running then gives the memory back when it ends.
        """
        if self.engine.inherited:  # the slots of the parent's threads never come back, and nothing here may be freed
            return
        if not self._pool.close(timeout_s):
            self._given_up = True
            if not self._pool.close(0.0):  # looked at last: who gives a slot back does that first, and then looks here
                return
        self._release()

    def _after_a_batch(self) -> None:
        """Let the next one begin. Where ``close`` did not wait for this batch, and it was the last, release the engine."""
        self._pool.call_next()
        if self._given_up and self._pool.close(0.0):
            self._release()

    def _release(self) -> None:
        self._pool.drop()
        self._preparation.close()
        self.engine.close()

    def _items(self, items: Sequence[Item | PreparedItem | Frame]) -> list[Item | PreparedItem]:
        if not 1 <= len(items) <= self.max_batch:
            raise InputError(f"expected 1…{self.max_batch} items (max_batch), got {len(items)}")
        return [Item(item) if isinstance(item, Frame) else item for item in items]


def open_runner(
    graph: bytes, manifest: Manifest, variant: VariantEntry, threads: int, max_batch: int = 1, in_flight: int = 2,
    preprocess_on: PreprocessOn = "cpu", cache: bool = False,
) -> Runner:  # fmt: skip
    """The variant of a bundle, in its engine. ``cache``: see ``EngineOptions``. Raises MissingExtraError or EngineError where it cannot run here."""
    return Runner(
        graph, variant.engine, EngineOptions(threads, variant.precision, cache), manifest.preprocess,
        make_task(manifest.task_of(variant)), max_batch, in_flight, preprocess_on,
    )  # fmt: skip


def check_input(engine: Engine, spec: PreprocessSpec) -> tuple[str, int | None]:
    """Name of the one input, and the batch where it is fixed. Raises EngineError unless the spec's tensors fit it."""
    if len(engine.inputs) != 1:
        raise EngineError(f"expected a graph with one input, the picture, got {len(engine.inputs)} inputs")
    (tensor,) = engine.inputs
    if tensor.shape[1:] != spec.tensor_shape or tensor.dtype != spec.dtype.value:
        raise EngineError(
            f"the graph takes {tensor.dtype} items of shape {tensor.shape[1:]}, the preprocess spec makes "
            f"{spec.dtype.value} of shape {spec.tensor_shape}; compile the model again"
        )
    return tensor.name, tensor.shape[0]


def _preparation(
    engine: Engine, spec: PreprocessSpec, input_name: str, max_batch: int, preprocess_on: PreprocessOn
) -> Preparation:
    if preprocess_on == "cpu":
        return HostPreparation(engine, spec, input_name)
    if not engine.has_device_slots:
        raise EngineError(
            f"{engine.name} takes its input from host memory, so that frames cannot be prepared with CUDA for it; "
            "leave preprocess_on at 'cpu', or take a TensorRT variant"
        )
    from edgevision.engines.tensorrt import TensorRtEngine

    return DevicePreparation(cast("TensorRtEngine", engine), spec, input_name, max_batch)


def _batch_outputs(slot: PooledSlot, views: tuple[View, ...], started: float, prepared: float) -> BatchOutputs:
    """The outputs copied, for the slot is the next batch's to fill."""
    ended = time.perf_counter()
    outputs = {name: np.array(array[: len(views)]) for name, array in slot.slot.outputs.items()}
    return BatchOutputs(outputs, views, 1e3 * (prepared - started), 1e3 * (ended - prepared))
