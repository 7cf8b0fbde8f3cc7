"""A CUDA driver, fake, for engines: it does nothing before an event is waited for, which is as late as a device may be."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from edgevision.errors import DeviceError


class FakeDriver:
    """Streams of work that runs when an event behind it is waited for. ``calls``: what was asked, in order."""

    has_graphs = True
    takes_streams = True

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.memory: dict[int, np.ndarray] = {}
        self.pinned_blocks: dict[int, np.ndarray] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.events: dict[int, tuple[int, int]] = {}  # event → stream, length of its queue
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.done: dict[int, int] = {}
        self.capturing: dict[int, list[Callable[[], None]]] = {}
        self.failing: set[str] = set()
        self._inside = threading.local()
        self._next = 100

    def _called(self, name: str) -> None:
        assert getattr(self._inside, "depth", 0), f"{name} outside current()"
        self.calls.append(name)
        if name in self.failing:
            raise DeviceError(f"{name}: CUDA_ERROR_UNKNOWN")

    def _new(self) -> int:
        self._next += 1
        return self._next

    def put(self, stream: int, work: Callable[[], None]) -> None:
        assert stream in self.streams
        self.capturing.get(stream, self.streams[stream]).append(work)

    @contextmanager
    def current(self) -> Iterator[None]:
        depth = getattr(self._inside, "depth", 0)
        self._inside.depth = depth + 1
        try:
            yield
        finally:
            self._inside.depth = depth

    def version(self) -> int:
        return 12060

    def device_name(self) -> str:
        return "Fake GPU"

    def compute_capability(self) -> tuple[int, int]:
        return 8, 7

    def stream(self, handle: int | None) -> int:
        self._called("stream")
        stream = self._new()
        self.streams[stream], self.done[stream] = [], 0
        return stream

    def handle(self, stream: int) -> int:
        return stream

    def sleeping_event(self) -> int:
        self._called("sleeping_event")
        event = self._new()
        self.events[event] = (0, 0)
        return event

    def record(self, event: int, stream: int) -> None:
        self._called("record")
        assert stream not in self.capturing
        self.events[event] = (stream, len(self.streams[stream]))

    def wait_for(self, event: int, stream: int) -> None:
        self._called("wait_for")
        self.put(stream, lambda: self._finish(event))

    def synchronize(self, event: int) -> None:
        self._called("synchronize")
        self._finish(event)

    def _finish(self, event: int) -> None:
        stream, length = self.events[event]
        while self.done.get(stream, length) < length:
            self.done[stream] += 1
            self.streams[stream][self.done[stream] - 1]()

    def allocate(self, size: int) -> int:
        self._called("allocate")
        assert size > 0
        block = np.full(size + 255, 0xA5, np.uint8)
        address = -(-block.ctypes.data // 256) * 256
        self.memory[address] = block
        return address

    def free(self, address: int) -> None:
        self._called("free")
        del self.memory[address]

    def kept_pinned(self, size: int) -> np.ndarray:
        self._called("kept_pinned")
        block = np.zeros(size + 255, np.uint8)
        start = -block.ctypes.data % 256
        memory = block[start : start + size]
        self.pinned_blocks[memory.ctypes.data] = memory
        return memory

    def _is_pinned(self, array: np.ndarray) -> bool:
        start = array.ctypes.data
        return any(a <= start and start + array.nbytes <= a + b.nbytes for a, b in self.pinned_blocks.items())

    def copy_to_device(self, address: int, source: np.ndarray, stream: int) -> None:
        self._called("copy_to_device")
        assert self._is_pinned(source)
        assert address in self.memory
        self.put(stream, lambda: ctypes.memmove(address, source.ctypes.data, source.nbytes))

    def copy_to_host(self, target: np.ndarray, address: int, stream: int) -> None:
        self._called("copy_to_host")
        assert self._is_pinned(target)
        assert address in self.memory
        self.put(stream, lambda: ctypes.memmove(target.ctypes.data, address, target.nbytes))

    def begin_capture(self, stream: int) -> None:
        self._called("begin_capture")
        self.capturing[stream] = []

    def end_capture(self, stream: int) -> int:
        work = self.capturing.pop(stream)  # whatever happens, the stream is as it was
        self._called("end_capture")
        graph = self._new()
        self.graphs[graph] = work
        return graph

    def launch_graph(self, graph: int, stream: int) -> None:
        self._called("launch_graph")
        for work in self.graphs[graph]:
            self.put(stream, work)

    def free_graph(self, graph: int) -> None:
        self._called("free_graph")
        del self.graphs[graph]

    def free_event(self, event: int) -> None:
        self._called("free_event")
        del self.events[event]

    def free_stream(self, stream: int) -> None:
        self._called("free_stream")
        del self.streams[stream]
