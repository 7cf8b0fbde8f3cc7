"""On a real device: the engine's own work (streams, pinned memory, CUDA graphs) under a fake TensorRT, and TensorRT.

The first part needs a GPU and cuda-bindings only, so that most of the engine can be seen to work where TensorRT itself
cannot be installed.
"""

from __future__ import annotations

import threading
from pathlib import Path

import fake_tensorrt as fake
import numpy as np
import pytest

from edgevision.engines import EngineOptions
from edgevision.engines.tensorrt import TensorRtEngine
from edgevision.frames import MemoryKind
from edgevision.preprocess import PreprocessSpec
from edgevision.tensors import TensorInfo

pytestmark = [pytest.mark.gpu, pytest.mark.requires("native", "gpu")]

TESTS = Path(__file__).parents[1]
SIZE = 192 * 4  # bytes of an item


def pictures(count, seed=0):
    """Pixels k/255 that int8 holds exactly."""
    return (np.random.default_rng(seed).integers(0, 256, (count, *fake.SHAPE)) / 255).astype(np.float32)


def answer(batch):
    return 8 * batch.astype(np.float64).mean(axis=(2, 3))


def make_driver():
    """The real driver; it keeps what the fake TensorRT asks for."""
    from edgevision.cuda.engine_driver import GraphBindings

    class Driver(GraphBindings):
        def __init__(self):
            super().__init__(0)
            self.calls, self.memory, self.streams, self.capturing = [], {}, {}, {}

        def stream(self, handle):
            stream = super().stream(handle)
            self.streams[int(stream)] = stream
            return stream

        def free_stream(self, stream):
            del self.streams[int(stream)]
            super().free_stream(stream)

        def allocate(self, size):
            address = super().allocate(size)
            self.memory[address] = size
            return address

        def free(self, address):
            del self.memory[address]
            super().free(address)

        def begin_capture(self, stream):
            self.calls.append("begin_capture")
            super().begin_capture(stream)

        def launch_graph(self, graph, stream):
            self.calls.append("launch_graph")
            super().launch_graph(graph, stream)

        def put_copy(self, stream, items, source, target):
            """What the fake network does here: the first 3 values of each item are its answer."""
            for i in range(items):
                self._call("cuMemcpyDtoDAsync", target + i * 12, source + i * SIZE, 12, self.streams[stream])

    return Driver()


@pytest.mark.requires("cuda-bindings")
class TestOnARealDriver:
    @pytest.fixture
    def driver(self):
        return make_driver()

    @pytest.fixture
    def engine(self, driver):
        trt = fake.make_tensorrt("tensorrt 11.4.0.106", driver, work=driver.put_copy)
        with TensorRtEngine(b"\x08", EngineOptions(), "11.4.0.106", trt=trt, driver=driver) as opened:
            yield opened
        assert not driver.memory
        assert not driver.streams

    def test_results_are_those_of_the_slot_again_and_again(self, engine, driver):
        (slot,) = engine.slots(8)
        for turn, n in enumerate((8, 8, 1, 1, 1, 3, 4, 3, 8)):
            batch = pictures(n, seed=turn)
            slot.inputs["input"][:n] = batch
            slot.outputs["output"][:] = -1
            engine.run(slot, n)
            np.testing.assert_array_equal(slot.outputs["output"][:n], batch[:, 0, 0, :3])
        assert driver.calls.count("begin_capture") == 3
        assert driver.calls.count("launch_graph") == 7

    def test_threads_and_futures(self, engine):
        slots = engine.slots(2, count=4)
        wrong = []

        def work(slot, seed):
            for turn in range(50):
                batch = pictures(2, seed=1000 * seed + turn)
                slot.inputs["input"][:] = batch
                engine.submit(slot).result(timeout=30) if turn % 2 else engine.run(slot)
                if not np.array_equal(slot.outputs["output"], batch[:, 0, 0, :3]):
                    wrong.append((seed, turn))

        threads = [threading.Thread(target=work, args=(slot, i)) for i, slot in enumerate(slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_preprocessing_on_the_device_fills_its_slots(self, engine):
        from edgevision.preprocess import Preprocessor
        from edgevision.preprocess.cuda import CudaPreprocessor

        spec = PreprocessSpec(8, 8)
        frames = list(np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), np.uint8))
        (slot,) = engine.slots(2, memory=MemoryKind.CUDA)
        with CudaPreprocessor(spec) as prepare:
            for _ in range(3):
                slot.wait_for(prepare.submit(frames, out=slot.inputs["input"]).event)
                engine.run(slot)
        expected = [Preprocessor(spec).run(frame).ravel()[:3] for frame in frames]
        np.testing.assert_array_equal(slot.outputs["output"], expected)

    def test_arrays_stay_readable_behind_the_engine(self, driver):
        trt = fake.make_tensorrt("tensorrt 11.4.0.106", driver, work=driver.put_copy)
        with TensorRtEngine(b"\x08", EngineOptions(), "11.4.0.106", trt=trt, driver=driver) as engine:
            (slot,) = engine.slots(1)
            slot.inputs["input"][:] = 0.5
            engine.run(slot)
        assert slot.outputs["output"].tolist() == [[0.5, 0.5, 0.5]]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("tensorrt", marks=pytest.mark.requires("tensorrt")),
        pytest.param("tensorrt-rtx", marks=pytest.mark.requires("tensorrt-rtx")),
    ],
)
class TestTensorRt:
    @pytest.fixture
    def engine(self, kind):
        graph = (TESTS / "data" / "color.onnx").read_bytes()
        with TensorRtEngine(graph, EngineOptions(), "", kind=kind) as opened:
            yield opened

    def test_gives_the_known_answer_at_every_batch(self, engine):
        assert engine.inputs == (TensorInfo("input", "float32", (None, 3, 8, 8)),)
        (slot,) = engine.slots(8)
        for turn, n in enumerate((1, 1, 1, 2, 3, 5, 8, 8, 3, 1)):
            batch = pictures(n, seed=turn)
            slot.inputs["input"][:n] = batch
            engine.run(slot, n)
            np.testing.assert_allclose(slot.outputs["output"][:n], answer(batch), atol=1e-5)

    def test_submits_from_several_threads(self, engine):
        slots = engine.slots(4, count=3)
        for turn in range(20):
            batches = [pictures(4, seed=10 * turn + i) for i in range(len(slots))]
            for slot, batch in zip(slots, batches, strict=True):
                slot.inputs["input"][:] = batch
            for future in [engine.submit(slot) for slot in slots]:
                future.result(timeout=30)
            for slot, batch in zip(slots, batches, strict=True):
                np.testing.assert_allclose(slot.outputs["output"], answer(batch), atol=1e-5)

    def test_runs_as_a_cuda_graph(self, engine):
        (slot,) = engine.slots(1)
        assert slot.batches[1].graph is not None

    def test_tells_what_it_runs(self, engine):
        assert set(engine.layer_precisions()) == {"float32"}

    @pytest.mark.requires("onnx")
    @pytest.mark.parametrize("precision", ["float16", "int8"])
    def test_runs_in_the_precision_of_the_graph(self, kind, precision):
        from edgevision.compiler.quantize.dialects import TENSORRT
        from edgevision.compiler.quantize.emitter import quantize
        from edgevision.compiler.quantize.float16 import to_float16

        graph = (TESTS / "data" / "color.onnx").read_bytes()
        ranges = {"input": (0.0, 1.0), "colors": (0.0, 8.0), "means": (0.0, 8.0), "output": (0.0, 8.0)}
        made = to_float16(graph, ranges=ranges) if precision == "float16" else quantize(graph, ranges, TENSORRT)
        with TensorRtEngine(made.graph, EngineOptions(), "", kind=kind) as engine:
            (slot,) = engine.slots(2)
            slot.inputs["input"][:] = pictures(2)
            engine.run(slot)
            np.testing.assert_allclose(slot.outputs["output"], answer(pictures(2)), atol=0.05)
            assert engine.layer_precisions().get(precision, 0) >= 1

    def test_a_bundle_is_run_and_its_engine_kept(self, kind, color_bundle, tmp_path, monkeypatch):
        from edgevision.loading import load

        monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
        path = color_bundle(variants=((f"{kind}-float", kind, "float"),))
        red = np.zeros((8, 8, 3), np.uint8)
        red[..., 2] = 255
        for _ in range(2):
            with load(path) as model:
                assert model.predict(red).best.name == "red"
        assert len(list((tmp_path / "cache").rglob("*.plan"))) == 1

    def test_frames_prepared_on_the_device_give_the_same_answers(self, kind, color_bundle, tmp_path, monkeypatch):
        from edgevision.loading import load

        monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
        path = color_bundle(variants=((f"{kind}-float", kind, "float"),))
        rng = np.random.default_rng(4)
        photos = [rng.integers(0, 256, (int(h), int(w), 3), np.uint8) for h, w in rng.integers(9, 300, (20, 2))]
        digests = []
        for on in ("cpu", "cuda"):
            with load(path, preprocess_on=on) as model:
                digests.append(model.digest(photos)["scores"])
                assert [result.best for result in model.predict(photos)]
        np.testing.assert_allclose(digests[1], digests[0], atol=1e-6)
