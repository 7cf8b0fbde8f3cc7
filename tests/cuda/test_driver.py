"""The adapters call what the packages have; what is missing on a machine is named with what to do."""

from __future__ import annotations

import ast
import ctypes
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgevision.errors import DeviceError, MissingExtraError

pytestmark = pytest.mark.requires("native")

SOURCE = Path(__file__).parents[2] / "edgevision/cuda/driver.py"


def calls_of(class_name: str) -> dict[str, int]:
    """Function of the driver's API → arguments that the adapter gives it."""
    module = ast.parse(SOURCE.read_bytes())
    adapter = next(n for n in module.body if isinstance(n, ast.ClassDef) and n.name == class_name)
    found = {}
    for call in ast.walk(adapter):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if call.func.attr == "_call" and isinstance(call.args[0], ast.Constant):
            # a grid and a block of three numbers each come as one starred argument
            found[call.args[0].value] = sum(3 if isinstance(a, ast.Starred) else 1 for a in call.args[1:])
        elif ast.unparse(call.func).startswith("self._api.cu"):
            found[call.func.attr] = len(call.args)
    return found


@pytest.mark.requires("cuda-bindings")
def test_each_call_is_one_of_cuda_bindings():
    from cuda.bindings import driver

    calls = calls_of("CudaBindings")
    assert len(calls) > 15
    for name, count in calls.items():
        if name != "cuGetErrorName":
            assert len(inspect.signature(getattr(driver, name)).parameters) == count, name
    assert int(driver.CUstream_flags.CU_STREAM_NON_BLOCKING) == 1
    assert int(driver.CUevent_flags.CU_EVENT_DISABLE_TIMING) == 2
    assert int(driver.CUresult.CUDA_ERROR_NOT_READY) == 600
    assert int(driver.CUstream(7)) == 7


@pytest.mark.requires("cuda-bindings")
def test_a_machine_without_a_driver_is_told_so():
    from cuda.bindings import driver

    try:
        (status,) = driver.cuInit(0)
    except RuntimeError:
        pass
    else:
        if int(status) == 0:
            pytest.skip("this machine has a driver")
    from edgevision.cuda.driver import CudaBindings

    with pytest.raises(DeviceError, match="preprocess on the CPU"):
        CudaBindings(0)


@pytest.mark.requires("cuda-bindings")
def test_cuda_bindings_takes_our_arguments():
    """It converts arguments before it looks for libcuda: a wrong type is a TypeError even where there is no driver."""
    from cuda.bindings import driver as api

    from edgevision.cuda.driver import CudaBindings

    with pytest.raises(TypeError):
        api.cuMemAlloc("a size")
    driver = CudaBindings.__new__(CudaBindings)
    driver._api, driver._context = api, api.CUcontext(1)
    memory, stream, event = np.zeros(16, np.uint8), api.CUstream(1), api.CUevent(1)
    module, function = api.CUmodule(1), api.CUfunction(1)
    calls: dict[str, tuple[Any, ...]] = {
        "version": (), "load": (b"image",), "function": (module, "name"), "global_bytes": (module, "name"),
        "stream": (None,), "event": (), "record": (event, stream), "is_done": (event,), "synchronize": (event,),
        "elapsed_ms": (event, event), "allocate": (64,), "free": (4096,), "pinned": (64,), "free_pinned": (memory,),
        "copy_to_device": (4096, memory, stream), "copy_to_host": (memory, 4096, stream),
        "launch": (function, (1, 2, 3), (32, 4, 1), 4096, stream),
    }  # fmt: skip
    if _has_libcuda():
        pytest.skip("handles made up here must not reach a driver")
    for name, arguments in calls.items():
        with pytest.raises(RuntimeError, match="driver library"):
            getattr(driver, name)(*arguments)
    with pytest.raises(RuntimeError, match="driver library"), driver.current():
        pass
    assert driver.handle(driver.stream(77)) == 77


def _has_libcuda() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def test_without_either_package_the_extra_is_named(monkeypatch):
    from edgevision.cuda import driver as cuda_driver

    monkeypatch.setattr(cuda_driver, "_is_installed", lambda package: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgevision\[cuda\]'"):
        cuda_driver.open_driver()


def test_a_build_without_kernels_says_how_to_get_them(monkeypatch):
    from edgevision.cuda import driver as cuda_driver

    monkeypatch.setattr(cuda_driver, "fatbins", list)
    with pytest.raises(DeviceError, match=r"nvcc was not found.*\n?.*install edgevision again"):
        cuda_driver.load_kernels(FakeDriver(13000))


class FakeDriver:
    def __init__(self, version: int, refuses: tuple[str, ...] = ()) -> None:
        self._version, self._refuses, self.tried = version, refuses, []

    def version(self) -> int:
        return self._version

    def load(self, image: bytes) -> str:
        self.tried.append(image.decode())
        if image.decode() in self._refuses:
            raise DeviceError("CUDA_ERROR_NO_BINARY_FOR_GPU")
        return image.decode()


@pytest.mark.parametrize(
    ("version", "refuses", "tried"),
    [
        pytest.param(13010, (), ["13"], id="newest"),
        pytest.param(12060, (), ["12"], id="of an older driver"),
        pytest.param(14000, (), ["13"], id="of a newer driver"),
        pytest.param(13000, ("13",), ["13", "12"], id="a card that 13 has left behind"),
        pytest.param(11080, ("13", "12"), ["13", "12"], id="none"),
    ],
)
def test_which_kernels_are_loaded(monkeypatch, tmp_path, version, refuses, tried):
    from edgevision.cuda import driver as cuda_driver

    files = []
    for major in (12, 13):
        file = tmp_path / f"preprocess-cuda{major}.fatbin"
        file.write_text(str(major))
        files.append((major, file))
    monkeypatch.setattr(cuda_driver, "fatbins", lambda: files)
    driver = FakeDriver(version, refuses)
    if set(refuses) == {"12", "13"}:
        with pytest.raises(DeviceError, match=r"driver \(CUDA 11\) loads none"):
            cuda_driver.load_kernels(driver)
    else:
        assert cuda_driver.load_kernels(driver) == tried[-1]
    assert driver.tried == tried


@pytest.mark.parametrize("package", ["CudaBindings", "PyCuda"])
@pytest.mark.parametrize(("set_by_user", "expected"), [(None, "cache/cuda"), ("", "cache/cuda"), ("mine", "mine")])
def test_translated_kernels_are_kept_in_our_cache(monkeypatch, package, set_by_user, expected):
    """The setting is there when the driver is initialised: then the driver reads it (seen on an H200, CUDA 13)."""
    from edgevision.cuda import driver as cuda_driver

    seen: list[str | None] = []

    def init(*_: int) -> tuple[int]:
        seen.append(os.environ.get("CUDA_CACHE_PATH"))
        return (0,)

    names = {"CudaBindings": ("cuda", "cuda.bindings", "cuda.bindings.driver"), "PyCuda": ("pycuda", "pycuda.driver")}
    modules = {name: ModuleType(name) for name in names[package]}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
        if "." in name:
            parent, child = name.rsplit(".", 1)
            setattr(modules[parent], child, module)
    api = list(modules.values())[-1]
    api.cuInit = api.init = init
    api.cuDeviceGet = api.cuDevicePrimaryCtxRetain = lambda *_: (0, 1)
    api.Device = Recorder([], "Device")
    api.Error = RuntimeError
    monkeypatch.setenv("EDGEVISION_CACHE", "cache")
    monkeypatch.setenv("CUDA_CACHE_PATH", "")  # put back afterwards
    if set_by_user is None:
        monkeypatch.delenv("CUDA_CACHE_PATH")
    else:
        monkeypatch.setenv("CUDA_CACHE_PATH", set_by_user)
    getattr(cuda_driver, package)(0)
    assert seen == [expected]


class Recorder:
    """Anything that is called: it keeps the calls, by their names."""

    def __init__(self, calls: list[Any], name: str) -> None:
        self._calls, self._name = calls, name

    def __getattr__(self, name: str) -> Recorder:
        return Recorder(self._calls, f"{self._name}.{name}")

    def __call__(self, *arguments: Any) -> Recorder:
        self._calls.append((self._name, arguments))
        return Recorder(self._calls, f"{self._name}()")

    def __int__(self) -> int:
        return 4096


def test_pycuda_is_called_as_its_documentation_says(monkeypatch):
    """Names and order of the arguments are those of pycuda 2026.1, src/wrapper/wrap_cudadrv.cpp and pycuda/driver.py."""
    from edgevision.cuda.driver import PyCuda

    calls: list[Any] = []
    module = ModuleType("pycuda.driver")
    for name in (
        "init", "Device", "Context", "Stream", "Event", "module_from_buffer", "mem_alloc", "memcpy_htod_async",
        "pagelocked_empty", "get_driver_version",
    ):  # fmt: skip
        setattr(module, name, Recorder(calls, name))
    module.Error = RuntimeError
    package = ModuleType("pycuda")
    package.driver = module
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", module)

    driver = PyCuda(1)
    with driver.current():
        stream, event = driver.stream(None), driver.event()
        function = driver.function(driver.load(b"image"), "kernel")
        address = driver.allocate(64)
        driver.copy_to_device(address, b"bytes", stream)
        driver.launch(function, (1, 2, 3), (32, 8, 1), address, stream)
        driver.record(event, stream)
        driver.free(address)
        with pytest.raises(DeviceError, match="cannot use the stream of another library"):
            driver.stream(99)
    assert calls == [
        ("init", ()),
        ("Device", (1,)),
        ("Device().retain_primary_context", ()),
        ("Device().retain_primary_context().push", ()),
        ("Stream", (1,)),
        ("Event", (2,)),
        ("module_from_buffer", (b"image",)),
        ("module_from_buffer().get_function", ("kernel",)),
        ("module_from_buffer().get_function().prepare", ("P",)),
        ("mem_alloc", (64,)),
        ("memcpy_htod_async", (4096, b"bytes", stream)),
        ("module_from_buffer().get_function().prepare().prepared_async_call", ((1, 2, 3), (32, 8, 1), stream, 4096)),
        ("Event().record", (stream,)),
        ("mem_alloc().free", ()),
        ("Context.pop", ()),
    ]
