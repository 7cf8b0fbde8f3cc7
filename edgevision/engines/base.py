"""The engine contract: something that runs tensors through a network, in memory that it owns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from edgevision.errors import EngineError
from edgevision.fork import never_free
from edgevision.frames import MemoryKind
from edgevision.tensors import TensorInfo


@dataclass(frozen=True)
class Layer:
    """A layer as the engine runs it: its own name and kind of it, and the precision of what it reads.

    ``precision``: ``int8``, ``float32``, ``bfloat16`` or ``float16``. ``sources``: names of the graph's nodes that were
    fused into it, as far as the engine tells.
    """

    name: str
    kind: str
    precision: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineOptions:
    """``threads``: intra-op threads, at least 1. ``precision``: ``float32`` (run the graph as it is written; int8 lives
    in its Q/DQ nodes) or ``bfloat16`` (let the engine round float layers). ``cache``: take what the engine compiles from
    our cache, and keep it there (OpenVINO; ``engines/blob_cache.py``); off where loading is what is measured."""

    threads: int = 1
    precision: str = "float32"
    cache: bool = False


@dataclass(frozen=True, eq=False)
class Slot:
    """Buffers of one batch in flight, owned by the engine: write ``inputs``, submit, read ``outputs``.

    Arrays have ``batch`` as their first axis. A slot serves one submission at a time: it is the caller's from the
    future's completion until the next submit.
    """

    batch: int
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    memory: MemoryKind = MemoryKind.HOST


class Engine(ABC):
    """One graph, loaded. Thread-safe: different slots may be submitted from different threads at once."""

    name: str  # "onnxruntime", "openvino", …
    version: str
    options: EngineOptions
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    has_device_slots: bool = False  # whether slots can have their inputs in device memory
    runs_side_by_side: bool = True  # whether runs from several threads gain cores; else they wait for each other
    inherited: bool = False  # whether a parent of this process opened it: then it cannot run here
    opens_after_fork: bool = True  # whether a child can open it again

    @abstractmethod
    def slots(self, batch: int, count: int = 1) -> tuple[Slot, ...]:
        """``count`` new slots for up to ``batch`` items each; their inputs are zeroed."""

    @abstractmethod
    def submit(self, slot: Slot, n_valid: int | None = None, future: Future[None] | None = None) -> Future[None]:
        """Run the first ``n_valid`` (default: all) items of the slot. Outputs past them are undefined.

        ``future``: complete this one instead of a new one. Callbacks added before the call run in the engine's thread.
        """

    def run(self, slot: Slot, n_valid: int | None = None) -> None:
        """Submit and wait. Raises EngineError when the engine fails."""
        self.submit(slot, n_valid).result()

    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The layers that do arithmetic, read back from what really runs; those that only move data are left out."""

    def layer_precisions(self) -> dict[str, int]:
        """How many of ``layers`` run in which precision."""
        return dict(Counter(layer.precision for layer in self.layers()))

    @abstractmethod
    def close(self) -> None:
        """Give the memory back. Further calls raise EngineError; closing twice is allowed."""

    def after_fork(self) -> None:
        """In a child of ``fork``: the engine's own threads are not here. Use no more of it, and never free it."""
        self.inherited = True
        never_free(self)

    def check_inherited(self) -> None:
        """Raise EngineError where a parent of this process opened the engine."""
        if self.inherited:
            what = (
                "open it again in this process" if self.opens_after_fork else "start the process with 'spawn', not fork"
            )
            raise EngineError(
                f"{self.name} was opened before this process was forked, and what it runs on is not here; {what}"
            )

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
