"""What engines ask of the CUDA driver besides what preprocessing does: graphs, and what the device is.

A CUDA graph is a sequence of copies and kernels that was captured once from a stream and is launched as one. pycuda has
none; engines then put the same calls into the stream each time.
"""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from typing import Any, Protocol

import numpy as np

from edgevision.cuda.driver import Bytes, CudaBindings, CudaDriver, PyCuda
from edgevision.errors import DeviceError, EngineError, MissingExtraError

# cuda.h
_CAPTURE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile
_EVENT_BLOCKING_NO_TIMING = 1 | 2  # CU_EVENT_BLOCKING_SYNC: who waits sleeps, and burns no core
_COMPUTE_CAPABILITY = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
_NAME_BYTES = 256


class EngineDriver(CudaDriver, Protocol):
    """See ``CudaDriver``; all of these are called inside ``current()``, and raise DeviceError."""

    has_graphs: bool

    def device_name(self) -> str:
        """As NVIDIA calls it."""

    def compute_capability(self) -> tuple[int, int]:
        """(8, 7) for Orin, …"""

    def sleeping_event(self) -> Any:
        """A new event; threads that wait for it sleep."""

    def kept_pinned(self, size: int) -> Bytes:
        """As ``pinned``, and zeroed; freed with the last array that shows it."""

    def begin_capture(self, stream: Any) -> None:
        """From now on, what is put into ``stream`` becomes part of a graph instead of running."""

    def end_capture(self, stream: Any) -> Any:
        """The graph, ready to be launched."""

    def launch_graph(self, graph: Any, stream: Any) -> None:
        """Put all of ``graph`` into ``stream``. Returns at once."""

    def free_graph(self, graph: Any) -> None:
        """Give back what ``end_capture`` gave."""


class GraphBindings(CudaBindings):
    """By cuda-bindings."""

    has_graphs = True

    def device_name(self) -> str:  # noqa: D102 - as in EngineDriver, and so are all below
        name: bytes = self._call("cuDeviceGetName", _NAME_BYTES, self._device)
        return name.split(b"\0")[0].decode(errors="replace")

    def compute_capability(self) -> tuple[int, int]:  # noqa: D102
        major, minor = (
            int(self._call("cuDeviceGetAttribute", self._api.CUdevice_attribute(number), self._device))
            for number in _COMPUTE_CAPABILITY
        )
        return major, minor

    def sleeping_event(self) -> Any:  # noqa: D102
        return self._call("cuEventCreate", _EVENT_BLOCKING_NO_TIMING)

    def kept_pinned(self, size: int) -> Bytes:  # noqa: D102
        memory = self.pinned(size)
        memory[:] = 0
        address = memory.ctypes.data
        # Another array of the same memory, for the finalizer to have without keeping the first one.
        alias: Bytes = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        weakref.finalize(memory, self._free_later, alias).atexit = False
        return memory

    def _free_later(self, memory: Bytes) -> None:
        with contextlib.suppress(DeviceError), self.current():  # in whichever thread the last array went
            self.free_pinned(memory)

    def begin_capture(self, stream: Any) -> None:  # noqa: D102
        self._call("cuStreamBeginCapture", stream, self._api.CUstreamCaptureMode(_CAPTURE_THREAD_LOCAL))

    def end_capture(self, stream: Any) -> Any:  # noqa: D102
        captured = self._call("cuStreamEndCapture", stream)
        try:
            return self._call("cuGraphInstantiate", captured, 0)
        finally:
            self._call("cuGraphDestroy", captured)

    def launch_graph(self, graph: Any, stream: Any) -> None:  # noqa: D102
        self._call("cuGraphLaunch", graph, stream)

    def free_graph(self, graph: Any) -> None:  # noqa: D102
        self._call("cuGraphExecDestroy", graph)


class PyCudaWithoutGraphs(PyCuda):
    """By pycuda, whose objects go with their last reference."""

    has_graphs = False

    def __init__(self, device: int) -> None:
        super().__init__(device)
        self._ordinal = device

    def device_name(self) -> str:  # noqa: D102
        return str(self._api.Device(self._ordinal).name())

    def compute_capability(self) -> tuple[int, int]:  # noqa: D102
        major, minor = self._api.Device(self._ordinal).compute_capability()
        return int(major), int(minor)

    def sleeping_event(self) -> Any:  # noqa: D102
        return self._api.Event(_EVENT_BLOCKING_NO_TIMING)

    def kept_pinned(self, size: int) -> Bytes:  # noqa: D102
        memory = self.pinned(size)
        memory[:] = 0
        return memory

    def begin_capture(self, stream: Any) -> None:  # noqa: D102
        raise DeviceError("pycuda has no CUDA graphs; install cuda-bindings")

    def end_capture(self, stream: Any) -> Any:  # noqa: D102
        raise DeviceError("pycuda has no CUDA graphs; install cuda-bindings")

    def launch_graph(self, graph: Any, stream: Any) -> None:  # noqa: D102
        raise DeviceError("pycuda has no CUDA graphs; install cuda-bindings")

    def free_graph(self, graph: Any) -> None: ...  # noqa: D102


def open_engine_driver(device: int = 0) -> EngineDriver:
    """By cuda-bindings where it is installed, else by pycuda.

    Raises MissingExtraError where neither is, EngineError without a driver or a device.
    """
    try:
        for kind in (GraphBindings, PyCudaWithoutGraphs):
            with contextlib.suppress(ImportError):
                return kind(device)
    except DeviceError as error:
        raise EngineError(f"{error}. Use a variant for the CPU") from error
    raise MissingExtraError("cuda-bindings", "cuda", "running on a GPU")
