"""One variant, ready to run: frames → tensors in a slot → engine → raw scores. What ``Model`` is built on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bundle.manifest import Manifest, VariantEntry
from edgevision.engines import Engine, EngineOptions, Slot, open_engine
from edgevision.errors import EdgeVisionError, EngineError
from edgevision.frames import Frame
from edgevision.preprocess import Preprocessor, PreprocessSpec


@dataclass(frozen=True, eq=False)
class Scores:
    """``raw`` float n×k as the engine gave it, and the milliseconds that preparing and running took."""

    raw: npt.NDArray[Any]
    preprocess_ms: float
    infer_ms: float


class SlotPool:
    """At most ``capacity`` slots, made when they are first needed; whoever finds none waits for one."""

    def __init__(self, engine: Engine, batch: int, capacity: int) -> None:
        self._engine = engine
        self._batch = batch
        self._capacity = capacity
        self._made = 0
        self._free: list[Slot] = []
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """A slot for the time of the block. Raises EdgeVisionError once the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free or self._made < self._capacity)
            if self._closed:
                raise EdgeVisionError("the model is closed; load it again to predict")
            if self._free:
                slot = self._free.pop()
            else:
                (slot,) = self._engine.slots(self._batch)
                self._made += 1
        try:
            yield slot
        finally:
            with self._changed:
                self._free.append(slot)
                self._changed.notify_all()

    def close(self) -> None:
        """Refuse further use, and wait until every slot has come back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._free) == self._made)
            self._free.clear()
            self._made = 0


class Runner:
    """A graph in an engine with the preprocessing it needs. Thread-safe.

    ``columns``: how many scores the graph must give for an item. ``max_batch`` is the graph's own where its batch is
    fixed. Up to ``in_flight`` batches are prepared and run at once.
    """

    def __init__(
        self, graph: bytes, engine: str, options: EngineOptions, spec: PreprocessSpec, columns: int, max_batch: int = 1,
        in_flight: int = 2,
    ) -> None:  # fmt: skip
        self.engine = open_engine(engine, graph, options)
        try:
            self._input, self._output, fixed = _check_graph(self.engine, spec, columns)
        except EngineError:
            self.engine.close()
            raise
        self.max_batch = fixed or max_batch
        self._preprocess = Preprocessor(spec)
        self._pool = SlotPool(self.engine, self.max_batch, in_flight)

    def run(self, frames: Sequence[Frame]) -> Scores:
        """Prepare and run 1…``max_batch`` frames as one batch."""
        with self._pool.slot() as slot:
            started = time.perf_counter()
            tensor = slot.inputs[self._input]
            for place, frame in enumerate(frames):
                self._preprocess.run(frame, tensor[place])
            prepared = time.perf_counter()
            self.engine.run(slot, len(frames))
            ended = time.perf_counter()
            raw = np.array(slot.outputs[self._output][: len(frames)])  # a copy: the slot is the next one's to fill
        return Scores(raw, 1e3 * (prepared - started), 1e3 * (ended - prepared))

    def close(self) -> None:
        """Finish what runs, then give the memory back; closing twice is allowed."""
        self._pool.close()
        self.engine.close()


def open_runner(
    graph: bytes, manifest: Manifest, variant: VariantEntry, threads: int, max_batch: int = 1, in_flight: int = 2
) -> Runner:
    """The variant of a bundle, in its engine. Raises MissingExtraError or EngineError where it cannot run here."""
    return Runner(
        graph,
        variant.engine,
        EngineOptions(threads, variant.precision),
        manifest.preprocess,
        len(manifest.labels),
        max_batch,
        in_flight,
    )


def _check_graph(engine: Engine, spec: PreprocessSpec, columns: int) -> tuple[str, str, int | None]:
    """Names of the one input and the one output, and the batch where it is fixed."""
    if len(engine.inputs) != 1 or len(engine.outputs) != 1:
        raise EngineError(
            f"a classifier's graph has one input and one output, got {len(engine.inputs)} and {len(engine.outputs)}"
        )
    (tensor,), (scores,) = engine.inputs, engine.outputs
    if tensor.shape[1:] != spec.tensor_shape or tensor.dtype != spec.dtype.value:
        raise EngineError(
            f"the graph takes {tensor.dtype} items of shape {tensor.shape[1:]}, the preprocess spec makes "
            f"{spec.dtype.value} of shape {spec.tensor_shape}; compile the model again"
        )
    if scores.shape[1:] != (columns,):
        raise EngineError(
            f"the graph gives items of shape {scores.shape[1:]} and there are {columns} labels; compile the model with "
            "the labels it was trained on"
        )
    return tensor.name, scores.name, tensor.shape[0]
