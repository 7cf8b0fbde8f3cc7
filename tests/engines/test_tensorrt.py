"""The TensorRT engine on a fake TensorRT and driver (see fake_tensorrt.py), in each version that was recorded."""

from __future__ import annotations

import gc
import importlib.util
import sys
import threading
import weakref
from pathlib import Path

import fake_tensorrt as fake
import numpy as np
import pytest

from edgevision.engines import EngineOptions, open_engine
from edgevision.engines.tensorrt import TensorRtEngine, is_engine_file
from edgevision.engines.tensorrt_build import BuildOptions, build_engine, load_tensorrt, version_of
from edgevision.errors import EngineError, MissingExtraError
from edgevision.frames import MemoryKind
from edgevision.tensors import TensorInfo

pytestmark = pytest.mark.requires("native")

NEWEST = "tensorrt 11.4.0.106"
LEAN = "tensorrt-lean 11.4.0.106"


@pytest.fixture
def driver():
    return fake.FakeDriver()


@pytest.fixture
def make(driver):
    """Opens an engine that is built from a graph; ``says``: see ``make_tensorrt``."""
    opened = []

    def build(recorded=NEWEST, graph=b"\x08 a graph", **says):
        trt = fake.make_tensorrt(recorded, driver, **says)
        kind = "tensorrt-rtx" if "rtx" in recorded else "tensorrt"
        engine = TensorRtEngine(graph, EngineOptions(), trt.__version__, kind=kind, trt=trt, driver=driver)
        engine.log = trt.log
        opened.append(engine)
        return engine

    yield build
    for engine in opened:
        engine.close()


def pictures(count, seed=0):
    return np.random.default_rng(seed).random((count, *fake.SHAPE)).astype(np.float32)


def answer(batch):
    return 8 * batch.astype(np.float64).mean(axis=(2, 3))


@pytest.mark.parametrize("recorded", fake.API)
def test_builds_and_runs_in_each_version(make, driver, recorded):
    """Every call in it is one that the real bindings of that version have: fake_tensorrt.py sees to that."""
    lean = recorded not in fake.BUILDERS  # runs only
    graph = build_engine(b"\x08", fake.make_tensorrt(NEWEST, driver)).engine_file if lean else b"\x08 a graph"
    with make(recorded, graph) as engine:
        assert engine.inputs == (TensorInfo("input", "float32", (None, 3, 8, 8)),)
        assert engine.outputs == (TensorInfo("output", "float32", (None, 3)),)
        if lean:
            with pytest.raises(EngineError, match="lean runtime does not say"):
                engine.layers()
        else:
            assert engine.layers() == ()
        (slot,) = engine.slots(8)
        for n in (1, 2, 3, 8, 5, 3, 1):
            slot.inputs["input"][:n] = pictures(n, seed=n)
            engine.run(slot, n)
            np.testing.assert_allclose(slot.outputs["output"][:n], answer(pictures(n, seed=n)), atol=1e-5)
        assert engine.key().file_name == f"{engine.name}-{recorded.split()[1]}-sm8.7-cuda12.6.plan"


def test_the_first_the_last_of_10_and_the_newest_are_recorded():
    versions = {" ".join(name.split(".")[:2]) for name in fake.API}
    assert {"tensorrt 10 3", "tensorrt 10 16", "tensorrt 11 4"} <= versions


@pytest.mark.parametrize(
    ("told", "numbers"), [("10.3.0", "10.3.0"), ("10.14.1.48.post1", "10.14.1.48"), ("11.4.0.106", "11.4.0.106")]
)
def test_versions_are_their_numbers(told, numbers):
    module = fake.types.ModuleType("tensorrt")
    module.__version__ = told
    assert version_of(module) == numbers


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0.post1", "12.0.0"])
def test_other_versions_of_tensorrt_are_refused(monkeypatch, version):
    module = fake.types.ModuleType("tensorrt")
    module.__version__ = version
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    with pytest.raises(EngineError, match=rf"10\.3 or later, before 12, got {version}"):
        load_tensorrt("tensorrt")


def test_the_lean_runtime_builds_nothing(make):
    with pytest.raises(EngineError, match=r"lean runtime.*install tensorrt"):
        make(LEAN)


def test_everything_is_allocated_when_a_slot_is_made(make, driver):
    engine = make()
    (slot,) = engine.slots(8)
    assert driver.calls.count("allocate") == 3  # input, output, scratch
    assert driver.calls.count("kept_pinned") == 2
    driver.calls.clear()
    for n in (1, 1, 8, 8, 4, 4):
        engine.run(slot, n)
    assert not {"allocate", "kept_pinned", "stream", "sleeping_event", "free"} & set(driver.calls)


def test_slots_are_zeroed_aligned_apart_and_pinned(make, driver):
    first, second = make().slots(4, count=2)
    for slot in (first, second):
        tensor = slot.inputs["input"]
        assert tensor.shape == (4, 3, 8, 8)
        assert tensor.dtype == np.float32
        assert not tensor.any()
        assert tensor.ctypes.data % 64 == 0
        assert tensor.ctypes.data in driver.pinned_blocks
        assert slot.outputs["output"].ctypes.data in driver.pinned_blocks
    assert not np.shares_memory(first.inputs["input"], second.inputs["input"])
    assert first.stream != second.stream


def test_a_batch_size_is_captured_once_and_then_launched_whole(make, driver):
    engine = make()
    (slot,) = engine.slots(8)
    assert driver.calls.count("begin_capture") == 1  # for 8, with the slot
    driver.calls.clear()
    engine.run(slot)
    assert driver.calls == ["launch_graph", "record", "synchronize"]
    driver.calls.clear()
    for _ in range(4):
        engine.run(slot, 1)
        engine.run(slot, 3)  # as 4
        engine.run(slot, 4)
    assert driver.calls.count("begin_capture") == 2
    assert driver.calls.count("execute") == 4  # each size once by itself, once for its graph
    assert len(driver.graphs) == 3


def test_each_batch_size_has_a_context_and_its_own_profile(make):
    """Changing the shapes of a context would invalidate what was captured from it."""
    engine = make()
    (slot,) = engine.slots(8)
    for n in (8, 1, 5, 2, 1, 8):
        engine.run(slot, n)
    shapes = [entry for entry in engine.log if entry[0] == "shape"]
    assert shapes == [("shape", 8, 1), ("shape", 1, 0), ("shape", 2, 1)]


def test_submit_does_not_wait(make, driver):
    engine = make()
    slots = engine.slots(2, count=3)
    held = threading.Event()
    finish = driver._finish
    driver._finish = lambda event: (held.wait(30), finish(event))
    futures = []
    for i, slot in enumerate(slots):
        slot.inputs["input"][:] = pictures(2, seed=i)
        driver.calls.clear()
        futures.append(engine.submit(slot))
        assert [name for name in driver.calls if name != "synchronize"] == ["launch_graph", "record"]
    assert not any(future.done() for future in futures)
    held.set()
    for i, (slot, future) in enumerate(zip(slots, futures, strict=True)):
        assert future.result(timeout=30) is None
        np.testing.assert_allclose(slot.outputs["output"], answer(pictures(2, seed=i)), atol=1e-5)


def test_what_cannot_be_captured_runs_without_a_graph(make, driver):
    for fault in ({"capture": False}, {}):
        if not fault:
            driver.failing = {"end_capture"}
        engine = make(**fault)
        (slot,) = engine.slots(2)
        for i in range(3):
            slot.inputs["input"][:] = pictures(2, seed=i)
            engine.run(slot)
            np.testing.assert_allclose(slot.outputs["output"], answer(pictures(2, seed=i)), atol=1e-5)
        assert not driver.graphs
        assert not driver.capturing
    assert driver.calls.count("begin_capture") == 2  # tried once each


def test_a_driver_without_graphs_runs_without(make, driver):
    driver.has_graphs = False
    engine = make()
    (slot,) = engine.slots(1)
    slot.inputs["input"][:] = 0.5
    engine.run(slot)
    np.testing.assert_allclose(slot.outputs["output"], 4.0)
    assert "begin_capture" not in driver.calls


def test_slots_on_the_device_take_what_is_there(make, driver):
    """As CudaPreprocessor fills them: no copy in, and after the event of another stream."""
    engine = make()
    (slot,) = engine.slots(2, memory=MemoryKind.CUDA)
    tensor = slot.inputs["input"]
    interface = tensor.__cuda_array_interface__
    assert (interface["data"][0], interface["shape"], interface["typestr"]) == (tensor.address, (2, 3, 8, 8), "<f4")
    with driver.current():
        other, event = driver.stream(None), driver.sleeping_event()
        staged = driver.kept_pinned(2 * 192 * 4)
        staged.view(np.float32)[:] = pictures(2).ravel()
        driver.copy_to_device(tensor.address, staged, other)
        driver.record(event, other)
    slot.wait_for(event)
    driver.calls.clear()
    engine.run(slot)
    assert "copy_to_device" not in driver.calls
    np.testing.assert_allclose(slot.outputs["output"], answer(pictures(2)), atol=1e-5)


def test_close_finishes_what_was_submitted_and_frees_all(make, driver):
    engine = make()
    slots = engine.slots(4, count=2)
    for slot in slots:
        slot.inputs["input"][:] = 1.0
        engine.run(slot, 3)
        engine.run(slot, 3)
    future = engine.submit(slots[0])
    cuda_engine = weakref.ref(engine._engine)
    engine.close()
    engine.close()
    assert future.result(timeout=30) is None
    np.testing.assert_allclose(slots[0].outputs["output"], 8.0)
    assert not [*driver.memory, *driver.streams, *driver.events, *driver.graphs]
    order = [name for name in driver.calls if name.startswith("free")]
    assert order.index("free_graph") < order.index("free") < order.index("free_event") < order.index("free_stream")
    gc.collect()
    assert cuda_engine() is None
    for use in (
        lambda: engine.run(slots[0]),
        lambda: engine.submit(slots[0]),
        lambda: engine.slots(1),
        lambda: slots[0].wait_for(1),
        engine.layers,
    ):
        with pytest.raises(EngineError, match="closed"):
            use()


def test_threads_may_run_different_slots_at_once(make):
    engine = make()
    slots = engine.slots(1, count=4)
    wrong = []

    def work(index):
        for round_ in range(20):
            batch = pictures(1, seed=100 * index + round_)
            slots[index].inputs["input"][:] = batch
            (engine.submit(slots[index]).result if round_ % 2 else lambda: engine.run(slots[index]))()
            if not np.allclose(slots[index].outputs["output"], answer(batch), atol=1e-5):
                wrong.append((index, round_))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(slots))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"parse": ["input has type Int32 but must have type FP8"]},
         r"refuses the graph: node 'node_7' \(DequantizeLinear\): input has type Int32 .*; write .* dialect 'tensorrt'"),
        ({"parse": ["Non-zero zero point is not supported"]}, "dialect 'tensorrt'"),
        ({"parse": ["No importer registered for op: Foo"]}, "another engine"),
        ({"warn": ["TensorRT supports QuantizeLinear with UINT8 zero_point only on DLA. Defaulting to INT8 instead."]},
         "refuses the graph: .*UINT8.*dialect 'tensorrt'"),
        ({"build": ["Could not find any implementation", "[x] Error Code 2: OutOfMemory (no further information)"]},
         "cannot build the engine: .*free device memory"),
        ({"build": ["CUDA initialization failure with error: 35"]}, "a driver that is new enough"),
        ({"load": ["The engine plan file is not compatible with this version of TensorRT, expecting library version"]},
         "cannot load the engine: .*"),
        ({"load": ["Unexpected call to stub loadRunner for ReformatRunner"]}, "lean runtime"),
    ],
)  # fmt: skip
def test_what_tensorrt_says_comes_with_what_to_do(make, says, message):
    with pytest.raises(EngineError, match=message) as caught:
        make(**says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("says", "failing", "message"),
    [
        ({"execute": False}, set(), "failed while running"),
        ({"context": ["out of memory"]}, set(), "execution context: out of memory; free device memory"),
        ({}, {"allocate"}, "cannot make a slot: allocate: CUDA_ERROR_UNKNOWN"),
    ],
)
def test_faults_when_a_slot_is_made_leave_nothing_behind(make, driver, says, failing, message):
    engine = make(**says)
    driver.failing = failing
    with pytest.raises(EngineError, match=message):
        engine.slots(1)
    driver.failing = set()
    engine.close()
    assert not [*driver.memory, *driver.streams, *driver.events]


@pytest.mark.parametrize("way", ["run", "submit"])
def test_faults_of_the_device_are_engine_errors(make, driver, way):
    engine = make()
    (slot,) = engine.slots(1)
    driver.failing = {"synchronize"}
    with pytest.raises(EngineError, match=r"failed while running.*CUDA_ERROR_UNKNOWN"):
        engine.run(slot) if way == "run" else engine.submit(slot).result(timeout=30)
    driver.failing = {"launch_graph"}
    with pytest.raises(EngineError, match=r"failed while starting.*CUDA_ERROR_UNKNOWN"):
        getattr(engine, way)(slot)
    driver.failing = set()
    engine.run(slot)


@pytest.mark.parametrize("n_valid", [0, -1, 3])
def test_refuses_a_count_outside_the_slot(make, n_valid):
    engine = make()
    (slot,) = engine.slots(2)
    with pytest.raises(EngineError, match="1…2"):
        engine.run(slot, n_valid)


def test_refuses_slots_that_are_not_its_own_or_too_large(make):
    engine = make()
    with pytest.raises(EngineError, match="slot of this engine"):
        engine.run(make().slots(1)[0])
    with pytest.raises(EngineError, match=r"batches of 1…8, asked for 9; build it again"):
        engine.slots(9)
    with pytest.raises(EngineError, match="at least 1"):
        engine.slots(0)
    with pytest.raises(EngineError, match="exactly 4, asked for 2"):
        make(batch=4).slots(2)


def test_a_fixed_batch_runs_whole(make):
    engine = make(batch=4)
    (slot,) = engine.slots(4)
    slot.inputs["input"][:3] = pictures(3)
    engine.run(slot, 3)
    np.testing.assert_allclose(slot.outputs["output"][:3], answer(pictures(3)), atol=1e-5)


def test_an_engines_own_bytes_are_loaded_not_built(make, driver):
    plan = build_engine(b"\x08", fake.make_tensorrt(NEWEST, driver), BuildOptions((1, 4))).engine_file
    assert is_engine_file(plan)
    assert not is_engine_file((Path(__file__).parents[1] / "data" / "color.onnx").read_bytes())
    engine = make(graph=plan)
    assert "build" not in engine.log
    engine.slots(4)


def test_precision_is_the_graphs(driver):
    with pytest.raises(EngineError, match=r"as it is written.*float16 graph"):
        TensorRtEngine(b"", EngineOptions(precision="bfloat16"), "", trt=object(), driver=driver)


def test_without_tensorrt_it_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    hidden = ("tensorrt", "tensorrt_lean", "tensorrt_rtx")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in hidden else find(name, *a))
    for name in ("tensorrt", "tensorrt-rtx"):
        with pytest.raises(MissingExtraError, match=rf"edgevision\[{name}\]"):
            open_engine(name, b"")


class TestBuild:
    """Options reach the builder."""

    def build(self, driver, **options):
        trt = fake.make_tensorrt(NEWEST, driver)
        return build_engine(b"\x08", trt, BuildOptions(**options)), trt.log

    @pytest.mark.parametrize(
        ("batches", "profiles"),
        [((1, 8), [(1, 1, 1), (2, 8, 8)]), ((8, 1, 8, 4), [(1, 1, 1), (2, 4, 4), (5, 8, 8)]), ((16,), [(1, 16, 16)])],
    )
    def test_profiles_cover_every_batch_up_to_the_largest(self, driver, batches, profiles):
        built, _ = self.build(driver, batches=batches)
        made = fake.json.loads(built.engine_file[4:])["profiles"]
        assert [tuple(shape[0] for shape in profile) for profile in made] == profiles

    def test_a_timing_cache_is_used_and_given_back(self, driver):
        built, _ = self.build(driver)
        assert built.timing_cache == b"+"
        again, _ = self.build(driver, timing_cache=built.timing_cache)
        assert again.timing_cache == b"++"
        other, _ = self.build(driver, timing_cache=b"foreign")  # of another device: refused, and begun anew
        assert other.timing_cache == b"+"

    def test_flags(self, driver):
        built, log = self.build(driver, version_compatible=True, workspace_bytes=1 << 20)
        # No runtime inside the file: loading it must not run host code.
        assert fake.json.loads(built.engine_file[4:])["flags"] == ["EXCLUDE_LEAN_RUNTIME", "VERSION_COMPATIBLE"]
        assert ("WORKSPACE", 1 << 20) in log
        assert ("clear_flag", "TF32") in log
        built, _ = self.build(driver)
        assert fake.json.loads(built.engine_file[4:])["flags"] == []

    @pytest.mark.parametrize("batches", [(), (0, 1)])
    def test_batches_are_at_least_1(self, driver, batches):
        with pytest.raises(EngineError, match="at least 1"):
            self.build(driver, batches=batches)
