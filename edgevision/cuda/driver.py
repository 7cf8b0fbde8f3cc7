"""The few calls of the CUDA driver that preprocessing makes, by whichever package this machine has.

``open_driver`` gives a ``CudaDriver``: of cuda-bindings where it is installed, else of pycuda. Both use the device's
primary context, which PyTorch, TensorRT and the CUDA runtime use too. Streams, events, modules and functions are what the
package makes of them; device memory is an address.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevision.errors import DeviceError, MissingExtraError
from edgevision.files import cache_folder

Bytes = npt.NDArray[np.uint8]
Size3 = tuple[int, int, int]

# cuda.h
_STREAM_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream
_EVENT_NO_TIMING = 2  # CU_EVENT_DISABLE_TIMING: cheaper to record
_SUCCESS, _NOT_READY = 0, 600  # CUDA_SUCCESS, CUDA_ERROR_NOT_READY


class CudaDriver(Protocol):
    """One device. Every method but ``version`` is called inside ``current()``. Errors of the driver: DeviceError."""

    takes_streams: bool  # whether ``stream`` can name one of another library

    def version(self) -> int:
        """The newest CUDA that the driver supports: 1000 × major + 10 × minor."""

    def current(self) -> AbstractContextManager[None]:
        """Make the device's context the calling thread's, for a while."""

    def load(self, image: bytes) -> Any:
        """A module from a fatbin."""

    def function(self, module: Any, name: str) -> Any:
        """A kernel of ``module``."""

    def global_bytes(self, module: Any, name: str) -> int:
        """Size of a variable of ``module``."""

    def stream(self, handle: int | None) -> Any:
        """A new stream that waits for no other, or the one that ``handle`` (a CUstream) names."""

    def handle(self, stream: Any) -> int:
        """The CUstream behind ``stream``."""

    def event(self, timing: bool = False) -> Any:
        """A new event."""

    def record(self, event: Any, stream: Any) -> None:
        """``event`` is done when what ``stream`` has now is done."""

    def wait_for(self, event: Any, stream: Any) -> None:
        """What ``stream`` gets from now on begins when ``event`` is done. Returns at once."""

    def free_event(self, event: Any) -> None:
        """Give back what ``event`` gave."""

    def free_stream(self, stream: Any) -> None:
        """Give back a stream that ``stream(None)`` made."""

    def is_done(self, event: Any) -> bool:
        """Whether ``event`` is done. Does not wait."""

    def synchronize(self, event: Any) -> None:
        """Wait for ``event``. Other threads of Python run meanwhile."""

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two events made with ``timing``, both done."""

    def allocate(self, size: int) -> int:
        """``size`` bytes of device memory, at a multiple of 256."""

    def free(self, address: int) -> None:
        """Give back what ``allocate`` gave."""

    def pinned(self, size: int) -> Bytes:
        """Host memory that the device reads directly: a writable array of ``size`` bytes, kept until ``free_pinned``."""

    def free_pinned(self, memory: Bytes) -> None:
        """Give back what ``pinned`` gave."""

    def copy_to_device(self, address: int, source: Bytes, stream: Any) -> None:
        """Copy pinned, contiguous ``source`` to ``address``. Returns at once."""

    def copy_to_host(self, target: Bytes, address: int, stream: Any) -> None:
        """Copy from ``address`` to pinned, contiguous ``target``. Returns at once."""

    def launch(self, function: Any, grid: Size3, block: Size3, argument: int, stream: Any) -> None:
        """Launch a kernel of one argument, an address. Returns at once."""


class CudaBindings:
    """The driver by cuda-bindings. Raises DeviceError where there is no driver or no such device."""

    takes_streams = True

    def __init__(self, device: int) -> None:
        from cuda.bindings import driver

        self._api = driver
        _keep_translations_in_our_cache()
        try:
            self._call("cuInit", 0)
        except DeviceError as error:
            raise DeviceError(f"{_NO_DEVICE} ({error})") from None
        except RuntimeError as error:  # of the package, where libcuda is missing
            raise DeviceError(f"{_NO_DRIVER} ({error})") from None
        self._device = self._call("cuDeviceGet", device)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)

    def _call(self, name: str, *arguments: Any) -> Any:
        """The results after the status: none, one, or a tuple."""
        status, *results = getattr(self._api, name)(*arguments)
        if int(status) != _SUCCESS:
            raise DeviceError(f"{name}: {getattr(status, 'name', status)}")
        return results[0] if len(results) == 1 else tuple(results)

    def version(self) -> int:  # noqa: D102 - as in CudaDriver, and so are all below
        return int(self._call("cuDriverGetVersion"))

    @contextmanager
    def current(self) -> Iterator[None]:  # noqa: D102
        self._call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            self._call("cuCtxPopCurrent")

    def load(self, image: bytes) -> Any:  # noqa: D102
        return self._call("cuModuleLoadData", image)

    def function(self, module: Any, name: str) -> Any:  # noqa: D102
        return self._call("cuModuleGetFunction", module, name.encode())

    def global_bytes(self, module: Any, name: str) -> int:  # noqa: D102
        return int(self._call("cuModuleGetGlobal", module, name.encode())[1])

    def stream(self, handle: int | None) -> Any:  # noqa: D102
        return self._call("cuStreamCreate", _STREAM_NON_BLOCKING) if handle is None else self._api.CUstream(handle)

    def handle(self, stream: Any) -> int:  # noqa: D102
        return int(stream)

    def event(self, timing: bool = False) -> Any:  # noqa: D102
        return self._call("cuEventCreate", 0 if timing else _EVENT_NO_TIMING)

    def record(self, event: Any, stream: Any) -> None:  # noqa: D102
        self._call("cuEventRecord", event, stream)

    def wait_for(self, event: Any, stream: Any) -> None:  # noqa: D102
        self._call("cuStreamWaitEvent", stream, event, 0)

    def free_event(self, event: Any) -> None:  # noqa: D102
        self._call("cuEventDestroy", event)

    def free_stream(self, stream: Any) -> None:  # noqa: D102
        self._call("cuStreamDestroy", stream)

    def is_done(self, event: Any) -> bool:  # noqa: D102
        (status,) = self._api.cuEventQuery(event)
        if int(status) not in (_SUCCESS, _NOT_READY):
            raise DeviceError(f"cuEventQuery: {getattr(status, 'name', status)}")
        return int(status) == _SUCCESS

    def synchronize(self, event: Any) -> None:  # noqa: D102
        self._call("cuEventSynchronize", event)

    def elapsed_ms(self, start: Any, end: Any) -> float:  # noqa: D102
        return float(self._call("cuEventElapsedTime", start, end))

    def allocate(self, size: int) -> int:  # noqa: D102
        return int(self._call("cuMemAlloc", size))

    def free(self, address: int) -> None:  # noqa: D102
        self._call("cuMemFree", address)

    def pinned(self, size: int) -> Bytes:  # noqa: D102
        address = int(self._call("cuMemHostAlloc", size, 0))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def free_pinned(self, memory: Bytes) -> None:  # noqa: D102
        self._call("cuMemFreeHost", memory.ctypes.data)

    def copy_to_device(self, address: int, source: Bytes, stream: Any) -> None:  # noqa: D102
        self._call("cuMemcpyHtoDAsync", address, source.ctypes.data, source.nbytes, stream)

    def copy_to_host(self, target: Bytes, address: int, stream: Any) -> None:  # noqa: D102
        self._call("cuMemcpyDtoHAsync", target.ctypes.data, address, target.nbytes, stream)

    def launch(self, function: Any, grid: Size3, block: Size3, argument: int, stream: Any) -> None:  # noqa: D102
        self._call("cuLaunchKernel", function, *grid, *block, 0, stream, ((argument,), (ctypes.c_void_p,)), 0)


class PyCuda:
    """The driver by pycuda. It has no way to use a stream that it did not make."""

    takes_streams = False

    def __init__(self, device: int) -> None:
        import pycuda.driver

        self._api = pycuda.driver
        self._allocations: dict[int, Any] = {}  # freed with the object
        _keep_translations_in_our_cache()
        try:
            self._api.init()
            self._context = self._api.Device(device).retain_primary_context()
        except self._api.Error as error:
            raise DeviceError(f"{_NO_DEVICE} ({error})") from None

    def version(self) -> int:  # noqa: D102
        return int(self._api.get_driver_version())

    @contextmanager
    def current(self) -> Iterator[None]:  # noqa: D102
        self._context.push()
        try:
            yield
        except self._api.Error as error:
            raise DeviceError(str(error)) from None
        finally:
            self._api.Context.pop()

    def load(self, image: bytes) -> Any:  # noqa: D102
        return self._api.module_from_buffer(image)

    def function(self, module: Any, name: str) -> Any:  # noqa: D102
        return module.get_function(name).prepare("P")

    def global_bytes(self, module: Any, name: str) -> int:  # noqa: D102
        return int(module.get_global(name)[1])

    def stream(self, handle: int | None) -> Any:  # noqa: D102
        if handle is not None:
            raise DeviceError(
                "pycuda cannot use the stream of another library; install cuda-bindings, or leave stream out and "
                "have the other stream wait for the event"
            )
        return self._api.Stream(_STREAM_NON_BLOCKING)

    def handle(self, stream: Any) -> int:  # noqa: D102
        return int(stream.handle)

    def event(self, timing: bool = False) -> Any:  # noqa: D102
        return self._api.Event(0 if timing else _EVENT_NO_TIMING)

    def record(self, event: Any, stream: Any) -> None:  # noqa: D102
        event.record(stream)

    def wait_for(self, event: Any, stream: Any) -> None:  # noqa: D102
        stream.wait_for_event(event)

    def free_event(self, event: Any) -> None:
        """Nothing: pycuda gives it back with the object."""

    def free_stream(self, stream: Any) -> None:
        """Nothing: pycuda gives it back with the object."""

    def is_done(self, event: Any) -> bool:  # noqa: D102
        return bool(event.query())

    def synchronize(self, event: Any) -> None:  # noqa: D102
        event.synchronize()

    def elapsed_ms(self, start: Any, end: Any) -> float:  # noqa: D102
        return float(start.time_till(end))

    def allocate(self, size: int) -> int:  # noqa: D102
        memory = self._api.mem_alloc(size)
        self._allocations[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:  # noqa: D102
        self._allocations.pop(address).free()

    def pinned(self, size: int) -> Bytes:  # noqa: D102
        memory: Bytes = self._api.pagelocked_empty(size, np.uint8)
        return memory

    def free_pinned(self, memory: Bytes) -> None:  # noqa: D102
        memory.base.free()  # type: ignore[union-attr]

    def copy_to_device(self, address: int, source: Bytes, stream: Any) -> None:  # noqa: D102
        self._api.memcpy_htod_async(address, source, stream)

    def copy_to_host(self, target: Bytes, address: int, stream: Any) -> None:  # noqa: D102
        self._api.memcpy_dtoh_async(target, address, stream)

    def launch(self, function: Any, grid: Size3, block: Size3, argument: int, stream: Any) -> None:  # noqa: D102
        function.prepared_async_call(grid, block, stream, argument)


_NO_DRIVER = "expected the NVIDIA driver (libcuda), which is not on this machine; install it, or preprocess on the CPU"
_NO_DEVICE = "expected a CUDA device, and the driver gives none; see nvidia-smi, or preprocess on the CPU"


def open_driver(device: int = 0) -> CudaDriver:
    """The driver of ``device``. MissingExtraError without cuda-bindings and pycuda, DeviceError without driver or device."""
    if _is_installed("cuda.bindings"):
        return CudaBindings(device)
    if _is_installed("pycuda"):
        return PyCuda(device)
    raise MissingExtraError("cuda-bindings", "cuda", "preprocessing with CUDA")


def _keep_translations_in_our_cache() -> None:
    """The driver translates kernels for a GPU that is newer than they are, and keeps the result in ~/.nv: let that be the
    cache folder, unless the user has set CUDA_CACHE_PATH. The driver reads it once, when a program first uses it."""
    if not os.environ.get("CUDA_CACHE_PATH"):
        os.environ["CUDA_CACHE_PATH"] = str(cache_folder() / "cuda")


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of the parent
        return False


def load_kernels(driver: CudaDriver) -> Any:
    """The module of this package's CUDA kernels, inside ``driver.current()``. Raises DeviceError where none loads.

    Of the fatbins that this build has, one for each major version of CUDA, the newest that the driver supports; then,
    for a card that it does not know, the others.
    """
    files = sorted(fatbins(), key=lambda item: -item[0])
    if not files:
        raise DeviceError(
            "expected the CUDA kernels, which this build of edgevision leaves out: nvcc was not found. "
            "Put the CUDA toolkit on PATH or in CUDA_HOME, and install edgevision again"
        )
    major = driver.version() // 1000
    refusals = []
    for toolkit, file in [f for f in files if f[0] <= major] + [f for f in files if f[0] > major]:
        try:
            return driver.load(file.read_bytes())
        except Exception as error:  # a class of pycuda, else DeviceError
            refusals.append(f"CUDA {toolkit}: {error}")
    raise DeviceError(
        f"the driver (CUDA {major}) loads none of this build's kernels ({'; '.join(refusals)}); "
        "update it, or build with EDGEVISION_NVRTC12 as kernels/cuda/CMakeLists.txt says"
    )


def fatbins() -> list[tuple[int, Path]]:
    """(major version of the toolkit that made it, file) of each fatbin that this build has."""
    from edgevision import _native

    folder = Path(_native.__file__).parent / "preprocess" / "kernels"  # beside the native module, also where editable
    return [
        (int(file.stem.removeprefix("preprocess-cuda")), file)
        for file in sorted(folder.glob("preprocess-cuda*.fatbin"))
    ]
