"""CUDA drivers that are fakes on the CPU: device memory is host memory, and a launch runs the kernel's own code, compiled
for the host by ``build_kernel``. What they are asked is kept in ``calls``.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fake_cuda_driver import FakeDriver

from edgevision import _native

ROOT = Path(__file__).parents[2]


def build_kernel(folder: Path) -> Any:
    """The kernel for this CPU, as a function. Needs a C++ compiler."""
    library = folder / "cuda_on_host.so"
    subprocess.run(
        [
            shutil.which("c++"), "-O1", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wextra",
            f"-I{ROOT}/kernels", str(ROOT / "tests/native/cuda_on_host.cpp"), "-o", str(library),
        ],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(library)).edgevision_preprocess


class DeviceView:
    """Memory of the driver as another library would hand it over."""

    def __init__(self, array: np.ndarray, **interface: Any) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.__cuda_array_interface__ = {
            "shape": array.shape, "typestr": array.dtype.str, "data": (array.ctypes.data, False), "version": 3,
            "strides": array.strides, **interface,
        }  # fmt: skip


class HostDriver:
    """Copies and launches are done when the batch's event is waited for, not before: as late as a device may be."""

    takes_streams = True

    def __init__(self, kernel: Any, job_bytes: int = _native.CUDA_JOB_BYTES) -> None:
        self.calls: list[str] = []
        self.memory: dict[int, np.ndarray] = {}
        self.streams: set[int] = set()  # made here, and not given back
        self.recorded_on: dict[int, int] = {}  # event → stream
        self.waits: list[tuple[int, int]] = []  # (stream that is waited for, stream that waits)
        self._events = 0
        self._kernel, self._job_bytes = kernel, job_bytes
        self._queue: list[Any] = []
        self._recorded: dict[int, int] = {}  # event → length of the queue that it waits for
        self._done = 0
        self._depth = 0

    @property
    def events(self) -> set[int]:
        """Made, and not given back."""
        return set(self._recorded)

    def version(self) -> int:
        return 13000

    @contextmanager
    def current(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def _called(self, name: str) -> None:
        assert self._depth, f"{name} outside current()"
        self.calls.append(name)

    def load(self, image: bytes) -> str:
        self._called("load")
        return "module"

    def function(self, module: str, name: str) -> str:
        self._called("function")
        return f"{module}.{name}"

    def global_bytes(self, module: str, name: str) -> int:
        self._called("global_bytes")
        return self._job_bytes

    def stream(self, handle: int | None) -> int:
        self._called("stream")
        if handle is not None:
            return handle
        self.streams.add(7)
        return 7

    def free_stream(self, stream: int) -> None:
        self._called("free_stream")
        self.streams.remove(stream)

    def handle(self, stream: int) -> int:
        return stream

    def event(self, timing: bool = False) -> int:
        self._called("event")
        self._events += 1
        self._recorded[self._events] = 0
        return self._events

    def free_event(self, event: int) -> None:
        self._called("free_event")
        del self._recorded[event]

    def wait_for(self, event: int, stream: int) -> None:
        self._called("wait_for")
        self.waits.append((self.recorded_on[event], stream))

    def record(self, event: int, stream: int) -> None:
        self._called("record")
        self._recorded[event] = len(self._queue)
        self.recorded_on[event] = stream

    def is_done(self, event: int) -> bool:
        self._called("is_done")
        return self._done >= self._recorded[event]

    def synchronize(self, event: int) -> None:
        self._called("synchronize")
        while self._done < self._recorded[event]:
            self._queue[self._done]()
            self._done += 1

    def elapsed_ms(self, start: int, end: int) -> float:
        return 0.0

    def allocate(self, size: int) -> int:
        self._called("allocate")
        block = np.full(size + 255, 0xA5, np.uint8)
        address = -(-block.ctypes.data // 256) * 256
        self.memory[address] = block
        return address

    def free(self, address: int) -> None:
        self._called("free")
        del self.memory[address]

    def pinned(self, size: int) -> np.ndarray:
        self._called("pinned")
        return np.full(size, 0xA5, np.uint8)

    def free_pinned(self, memory: np.ndarray) -> None:
        self._called("free_pinned")
        memory[:] = 0xA5

    def copy_to_device(self, address: int, source: np.ndarray, stream: int) -> None:
        self._called("copy_to_device")
        self._queue.append(lambda: ctypes.memmove(address, source.ctypes.data, source.nbytes))

    def copy_to_host(self, target: np.ndarray, address: int, stream: int) -> None:
        self._called("copy_to_host")
        self._queue.append(lambda: ctypes.memmove(target.ctypes.data, address, target.nbytes))

    def launch(self, function: str, grid: Any, block: Any, argument: int, stream: int) -> None:
        self._called("launch")
        assert function == "module.edgevision_preprocess"
        assert block == (*_native.CUDA_BLOCK, 1)
        self._queue.append(lambda: self._kernel(ctypes.c_void_p(argument), *grid))


class HostEngineDriver(FakeDriver):
    """The fake driver of engines, with what preprocessing asks besides: both on one device, each with streams of its own."""

    def __init__(self, kernel: Any) -> None:
        super().__init__()
        self._kernel = kernel

    def load(self, image: bytes) -> str:
        self._called("load")
        return "module"

    def function(self, module: str, name: str) -> str:
        self._called("function")
        return f"{module}.{name}"

    def global_bytes(self, module: str, name: str) -> int:
        self._called("global_bytes")
        return int(_native.CUDA_JOB_BYTES)

    def event(self, timing: bool = False) -> int:
        self._called("event")
        event = self._new()
        self.events[event] = (0, 0)
        return event

    def is_done(self, event: int) -> bool:
        self._called("is_done")
        stream, length = self.events[event]
        return self.done.get(stream, length) >= length

    def pinned(self, size: int) -> np.ndarray:
        memory = self.kept_pinned(size)
        memory[:] = 0xA5
        return memory

    def free_pinned(self, memory: np.ndarray) -> None:
        self._called("free_pinned")
        memory[:] = 0xA5
        del self.pinned_blocks[memory.ctypes.data]

    def launch(self, function: str, grid: Any, block: Any, argument: int, stream: int) -> None:
        self._called("launch")
        assert function == "module.edgevision_preprocess"
        assert block == (*_native.CUDA_BLOCK, 1)
        self.put(stream, lambda: self._kernel(ctypes.c_void_p(argument), *grid))
