"""What engines ask of the CUDA driver: the adapter calls what cuda-bindings has."""

from __future__ import annotations

import ast
import gc
import inspect
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edgevision.cuda import engine_driver as cuda
from edgevision.errors import DeviceError, EngineError, MissingExtraError

pytestmark = pytest.mark.requires("native")

SOURCE = Path(cuda.__file__)


@pytest.mark.requires("cuda-bindings")
def test_each_call_is_one_of_cuda_bindings():
    from cuda.bindings import driver

    calls = {
        call.args[0].value: len(call.args) - 1
        for call in ast.walk(ast.parse(SOURCE.read_bytes()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "self._call"
    }
    assert len(calls) > 8  # the rest are those of CudaDriver, in test_driver.py
    for name, count in calls.items():
        assert len(inspect.signature(getattr(driver, name)).parameters) == count, name
    attributes = driver.CUdevice_attribute
    assert int(attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) == cuda._COMPUTE_CAPABILITY[0]
    assert int(attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) == cuda._COMPUTE_CAPABILITY[1]
    assert int(driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) == cuda._CAPTURE_THREAD_LOCAL
    flags = driver.CUevent_flags
    both = int(flags.CU_EVENT_BLOCKING_SYNC) | int(flags.CU_EVENT_DISABLE_TIMING)
    assert both == cuda._EVENT_BLOCKING_NO_TIMING


def test_both_adapters_have_all_that_is_asked_for():
    asked = {name for name in vars(cuda.EngineDriver) if not name.startswith("_")}
    for kind in (cuda.GraphBindings, cuda.PyCudaWithoutGraphs):
        assert asked <= set(dir(kind))


def test_pinned_memory_lives_as_long_as_arrays_that_show_it():
    class Fake(cuda.GraphBindings):
        def __init__(self):
            self.block = np.full(64, 0xA5, np.uint8)
            self.freed = []

        def pinned(self, size):
            return np.ctypeslib.as_array((cuda.ctypes.c_uint8 * size).from_address(self.block.ctypes.data))

        def free_pinned(self, memory):
            self.freed.append(memory.ctypes.data)

        @contextmanager
        def current(self):
            yield

    driver = Fake()
    view = driver.kept_pinned(64).view(np.float32).reshape(4, 4)[1:]
    gc.collect()
    assert not driver.freed
    assert not view.any()
    del view
    gc.collect()
    assert driver.freed == [driver.block.ctypes.data]


def test_what_is_missing_is_named(monkeypatch):
    def refuse(error):
        def init(self, device):
            raise error

        return init

    monkeypatch.setattr(cuda.GraphBindings, "__init__", refuse(ImportError("cuda")))
    monkeypatch.setattr(cuda.PyCudaWithoutGraphs, "__init__", refuse(ImportError("pycuda")))
    with pytest.raises(MissingExtraError, match=r"edgevision\[cuda\]"):
        cuda.open_engine_driver()
    monkeypatch.setattr(cuda.PyCudaWithoutGraphs, "__init__", refuse(DeviceError("no device; see nvidia-smi")))
    with pytest.raises(EngineError, match=r"no device; see nvidia-smi\. Use a variant for the CPU"):
        cuda.open_engine_driver()
