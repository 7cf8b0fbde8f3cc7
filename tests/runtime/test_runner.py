from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import fake_tensorrt
import numpy as np
import pytest
from colors import colors, plain

from edgevision.engines import Engine, EngineOptions, Slot
from edgevision.engines.tensorrt import TensorRtEngine
from edgevision.errors import DeviceError, EdgeVisionError, EngineError, InputError
from edgevision.frames import Frame
from edgevision.preprocess import Fit, Preprocessor, PreprocessSpec, Region, TensorDtype
from edgevision.runtime import runner as runner_module
from edgevision.runtime.preparation import Item, PreparedItem
from edgevision.runtime.runner import Runner
from edgevision.tasks import FrameId, Label
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.registry import make_task
from edgevision.tensors import TensorInfo

GRAPH = (Path(__file__).parents[1] / "data" / "color.onnx").read_bytes()
SPEC = PreprocessSpec(8, 8)


def make(spec=SPEC, columns=3, graph=GRAPH, engine="onnxruntime", **options):
    task = make_task(classify_spec([Label(i, str(i)) for i in range(columns)]))
    return Runner(graph, engine, EngineOptions(1), spec, task, **options)


def picture(rgb, **known):
    return Frame.from_array(plain(rgb), **known)


def scores(batch):
    return batch.outputs["output"]


def logits(values):
    return 8 * np.asarray(values, np.float64) / 255


def test_outputs_are_the_callers_own():
    """A later batch through the same slot leaves them as they are."""
    runner = make(max_batch=2, in_flight=1)
    red, blue = (Frame.from_array(np.full((8, 8, 3), bgr, np.uint8)) for bgr in ((0, 0, 255), (255, 0, 0)))
    for run in (runner.run, lambda items: runner.submit(items).result(60)):
        first = scores(run([red, blue]))
        run([blue, red])
        np.testing.assert_allclose(first, [[8, 0, 0], [0, 0, 8]], atol=1e-5)
    runner.close()


@pytest.mark.parametrize(
    ("spec", "columns", "message"),
    [
        (SPEC, 4, "shape \\(3,\\) and there are 4 labels"),
        (replace(SPEC, width=9), 3, "compile the model again"),
        (replace(SPEC, dtype=TensorDtype.UINT8), 3, "makes uint8"),
    ],
)
def test_graphs_that_do_not_fit_are_refused(spec, columns, message):
    with pytest.raises(EngineError, match=message):
        make(spec, columns)


def test_a_task_that_refuses_leaves_no_engine_open(monkeypatch):
    opened = []
    open_engine = runner_module.open_engine
    monkeypatch.setattr(runner_module, "open_engine", lambda *a: opened.append(open_engine(*a)) or opened[-1])
    with pytest.raises(EngineError):
        make(columns=4)
    with pytest.raises(EngineError, match="closed"):
        opened[0].slots(1)


@pytest.mark.requires("onnx")
def test_a_fixed_batch_becomes_the_largest():
    import onnx

    model = onnx.load_from_string(GRAPH)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    runner = make(graph=model.SerializeToString(), max_batch=8)
    assert runner.max_batch == 2
    batch = runner.run([Frame.from_array(np.full((8, 8, 3), (0, 255, 0), np.uint8))])
    np.testing.assert_allclose(scores(batch), [[0, 8, 0]], atol=1e-5)
    with pytest.raises(InputError, match=r"expected 1…2 items"):
        runner.run([picture((1, 2, 3))] * 3)
    runner.close()


@pytest.mark.parametrize("count", [0, 5, 100])
@pytest.mark.parametrize("how", ["run", "submit"])
def test_too_many_or_no_items_are_refused_before_a_slot_is_taken(how, count):
    runner = make(max_batch=4, in_flight=1)
    slot = runner._pool.take()
    with pytest.raises(InputError, match=rf"expected 1…4 items \(max_batch\), got {count}"):
        getattr(runner, how)([picture((1, 2, 3))] * count)
    runner._pool.give_back(slot)
    runner.close()


def test_items_are_frames_or_regions_of_them():
    """Left half red, right half green, lower half of both twice as dark."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30, 2] = 200
    image[:, 30:, 1] = 200
    image[20:] //= 2
    frame = Frame.from_array(image, camera="till", sequence=3)
    runner = make(max_batch=8)
    regions = {
        Region(0, 0, 30, 20): (200, 0, 0), Region(30, 0, 30, 20): (0, 200, 0), Region(0, 20, 30, 20): (100, 0, 0),
        Region(30, 20, 30, 20): (0, 100, 0), Region(0, 0, 60, 20): (100, 100, 0), Region(29, 0, 2, 40): (75, 75, 0),
    }  # fmt: skip
    batch = runner.run([frame, *(Item(frame, region) for region in regions), Item(frame)])
    np.testing.assert_allclose(scores(batch), logits([(75, 75, 0), *regions.values(), (75, 75, 0)]), atol=0.05)
    assert [view.region for view in batch.views] == [(0, 0, 60, 40), *regions, (0, 0, 60, 40)]
    assert {view.frame for view in batch.views} == {FrameId("till", 3)}
    assert {(view.height, view.width) for view in batch.views} == {(40, 60)}
    runner.close()


@pytest.mark.parametrize("region", [Region(0, 0, 41, 30), Region(-1, 0, 4, 4), Region(0, 0, 0, 4), Region(40, 0, 1, 1)])
@pytest.mark.parametrize("how", ["run", "submit"])
def test_regions_that_leave_the_frame_are_refused_and_the_slot_comes_back(how, region):
    runner = make(max_batch=2, in_flight=1)
    for _ in range(3):
        with pytest.raises(InputError, match="expected a region"):
            getattr(runner, how)([picture((9, 9, 9)), Item(picture((9, 9, 9)), region)])
    np.testing.assert_allclose(scores(runner.run([picture((255, 0, 0))])), [[8, 0, 0]], atol=1e-5)
    runner.close()


def test_sizes_that_alternate_leave_nothing_of_each_other():
    """One slot, letterboxed: each answer is of its own picture and its padding, to the bit as in a fresh runner."""
    spec = PreprocessSpec(8, 8, Fit.LETTERBOX)
    runner = make(spec, max_batch=2, in_flight=1)
    rng = np.random.default_rng(0)
    for i in range(12):
        frames = [Frame.from_array(rng.integers(0, 256, (*((12, 60), (60, 12), (30, 30))[(i + k) % 3], 3), np.uint8))
                  for k in range(1 + i % 2)]  # fmt: skip
        fresh = make(spec, max_batch=2)
        np.testing.assert_array_equal(scores(runner.run(frames)), scores(fresh.run(frames)))
        fresh.close()
        expected = [8 * Preprocessor(spec).run(frame).mean((1, 2)) for frame in frames]
        np.testing.assert_allclose(scores(runner.run(frames)), expected, atol=1e-4)
    runner.close()


def test_the_time_is_told_by_what_it_was_spent_on():
    runner = make(max_batch=4)
    batch = runner.run([picture((1, 2, 3))] * 3)
    timing = batch.timing
    assert (timing.preprocess_ms, timing.infer_ms) == (batch.preprocess_ms, batch.infer_ms)
    assert min(batch.preprocess_ms, batch.infer_ms) > 0
    assert (timing.decode_ms, timing.batch) == (0.0, 3)
    runner.close()


# ---- submit ----


def test_submit_from_several_threads_gives_what_run_gives():
    runner = make(max_batch=4, in_flight=3)
    values = colors(24)
    batches = [values[i : i + 1 + i % 4] for i in range(20)]
    expected = [scores(runner.run([picture(v) for v in batch])) for batch in batches]
    barrier, wrong = threading.Barrier(6), []

    def work(seed):
        order = np.random.default_rng(seed).permutation(len(batches))
        barrier.wait()
        futures = [(i, runner.submit([picture(v, sequence=k) for k, v in enumerate(batches[i])])) for i in order[:1]]
        for i in order[1:]:
            futures.append((i, runner.submit([picture(v, sequence=k) for k, v in enumerate(batches[i])])))
            index, future = futures.pop(0)
            found = future.result(60)
            if not np.array_equal(scores(found), expected[index]):
                wrong.append(index)
            if [view.frame.sequence for view in found.views] != list(range(len(batches[index]))):
                wrong.append(index)
        np.testing.assert_array_equal(scores(futures[0][1].result(60)), expected[futures[0][0]])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert not wrong
    runner.close()


def test_single_batches_of_several_threads_run_at_once(monkeypatch):
    """Not one after the other in the engine's thread: a stream's workers would all wait for one core."""
    runner = make(max_batch=4)
    both = threading.Barrier(2, timeout=30)
    run = runner.engine.run

    def meet(slot, n_valid):
        both.wait()
        run(slot, n_valid)

    monkeypatch.setattr(runner.engine, "run", meet)
    found = {}

    def work(name, rgb):
        found[name] = [scores(batch).tolist() for batch in runner.run_all([picture(rgb)] * 2)]

    threads = [threading.Thread(target=work, args=one) for one in (("red", (255, 0, 0)), ("green", (0, 255, 0)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not both.broken
    assert found["red"] == [pytest.approx(np.array([[8, 0, 0]] * 2), abs=1e-5)]
    assert found["green"] == [pytest.approx(np.array([[0, 8, 0]] * 2), abs=1e-5)]
    runner.close()


class ByHand(Engine):
    """An engine that runs a submission when the test says so: ``running`` are slot, items and future of each."""

    name, version, has_device_slots = "by hand", "1", False
    inputs = (TensorInfo("input", "float32", (None, 3, 8, 8)),)
    outputs = (TensorInfo("output", "float32", (None, 3)),)

    def __init__(self):
        self.running, self.made, self.refuses, self.closed = [], 0, None, False

    def slots(self, batch, count=1):
        self.made += count
        return (
            Slot(
                batch, {"input": np.zeros((batch, 3, 8, 8), np.float32)}, {"output": np.zeros((batch, 3), np.float32)}
            ),
        )

    def submit(self, slot, n_valid=None, future=None):
        if self.refuses:
            raise self.refuses
        self.running.append((slot, n_valid, future or Future()))
        return self.running[-1][2]

    def finish(self, index=0, error=None):
        slot, n, future = self.running.pop(index)
        slot.outputs["output"][:n] = 8 * slot.inputs["input"][:n].mean((2, 3))
        if error:
            future.set_exception(error)
        else:
            future.set_result(None)

    def close(self):
        self.closed = True

    def layers(self):
        return ()


@pytest.fixture
def by_hand(monkeypatch):
    engine = ByHand()
    monkeypatch.setattr(runner_module, "open_engine", lambda *_: engine)
    return engine


def started(target):
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def test_submit_returns_while_the_engine_runs(by_hand):
    runner = make(in_flight=2)
    first, second = runner.submit([picture((255, 0, 0))]), runner.submit([picture((0, 255, 0))])
    assert not first.done()
    assert not second.done()
    by_hand.finish(1)  # in any order
    np.testing.assert_allclose(scores(second.result(60)), [[0, 8, 0]], atol=1e-5)
    assert not first.done()
    by_hand.finish()
    np.testing.assert_allclose(scores(first.result(60)), [[8, 0, 0]], atol=1e-5)
    assert not first.cancel()
    runner.close()
    assert by_hand.closed


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_no_more_batches_are_under_way_than_in_flight(by_hand, in_flight):
    runner = make(in_flight=in_flight)
    futures = [runner.submit([picture((i, 0, 0))]) for i in range(in_flight)]
    assert by_hand.made == in_flight
    more, done = [], threading.Event()
    thread = started(lambda: (more.append(runner.submit([picture((255, 0, 0))])), done.set()))
    assert not done.wait(0.2)
    assert len(by_hand.running) == in_flight
    by_hand.finish()
    assert done.wait(60)
    thread.join(60)
    assert by_hand.made == in_flight
    while by_hand.running:
        by_hand.finish()
    values = [scores(future.result(60))[0, 0] for future in (*futures, *more)]
    np.testing.assert_allclose(values, logits([*range(in_flight), 255]), atol=1e-5)
    runner.close()


def test_an_error_of_the_engine_is_the_futures_and_the_slot_comes_back(by_hand):
    runner = make(in_flight=1)
    for _ in range(3):
        future = runner.submit([picture((1, 2, 3))])
        by_hand.finish(error=EngineError("out of memory"))
        with pytest.raises(EngineError, match="out of memory"):
            future.result(60)
    future = runner.submit([picture((255, 0, 0))])
    by_hand.finish()
    np.testing.assert_allclose(scores(future.result(60)), [[8, 0, 0]], atol=1e-5)
    runner.close()


def test_an_engine_that_refuses_gives_the_slot_back(by_hand):
    runner = make(in_flight=1)
    by_hand.refuses = EngineError("not today")
    for _ in range(3):
        with pytest.raises(EngineError, match="not today"):
            runner.submit([picture((1, 2, 3))])
    by_hand.refuses = None
    future = runner.submit([picture((1, 2, 3))])
    by_hand.finish()
    assert future.result(60).outputs
    assert by_hand.made == 1
    runner.close()


def test_outputs_that_cannot_be_copied_are_the_futures_error_and_the_slot_comes_back(by_hand, monkeypatch):
    runner = make(in_flight=1)
    with monkeypatch.context() as patch:
        patch.setattr(runner_module, "_batch_outputs", lambda *_: (_ for _ in ()).throw(MemoryError("none left")))
        future = runner.submit([picture((1, 2, 3))])
        by_hand.finish()
        with pytest.raises(MemoryError, match="none left"):
            future.result(60)
    future = runner.submit([picture((1, 2, 3))])
    by_hand.finish()
    assert future.result(60).outputs
    runner.close()


def test_a_callback_may_submit_again(by_hand):
    """The slot is back before the future is done, so that one slot is enough."""
    runner = make(in_flight=1)
    again = []
    first = runner.submit([picture((1, 2, 3))])
    first.add_done_callback(lambda _: again.append(runner.submit([picture((0, 0, 255))])))
    by_hand.finish()
    by_hand.finish()
    np.testing.assert_allclose(scores(again[0].result(60)), [[0, 0, 8]], atol=1e-5)
    runner.close()


def test_closing_waits_for_what_is_under_way_and_refuses_the_rest(by_hand):
    runner = make(in_flight=2)
    future = runner.submit([picture((255, 0, 0))])
    closer = started(runner.close)
    closer.join(0.2)
    assert closer.is_alive()
    assert not by_hand.closed
    for how in (runner.submit, runner.run):
        with pytest.raises(EdgeVisionError, match="closed; load it again"):
            how([picture((1, 2, 3))])
    by_hand.finish()
    closer.join(60)
    assert not closer.is_alive()
    assert by_hand.closed
    np.testing.assert_allclose(scores(future.result(60)), [[8, 0, 0]], atol=1e-5)
    runner.close()  # twice is allowed


# ---- on the device ----


def test_an_engine_without_slots_on_the_device_refuses_cuda(monkeypatch):
    opened = []
    open_engine = runner_module.open_engine
    monkeypatch.setattr(runner_module, "open_engine", lambda *a: opened.append(open_engine(*a)) or opened[-1])
    with pytest.raises(
        EngineError,
        match=r"onnxruntime takes its input from host memory.*leave preprocess_on at 'cpu', or take a TensorRT",
    ):
        make(preprocess_on="cuda")
    with pytest.raises(EngineError, match="closed"):
        opened[0].slots(1)


@pytest.mark.requires("native", "compiler")
class TestOnTheDevice:
    @pytest.fixture
    def opened(self, device_driver, monkeypatch):
        trt = fake_tensorrt.make_tensorrt("tensorrt 11.4.0.106", device_driver)
        monkeypatch.setattr(
            runner_module,
            "open_engine",
            lambda *_: TensorRtEngine(b"\x08", EngineOptions(), trt.__version__, trt=trt, driver=device_driver),
        )

        def open_runner(**options):
            return make(PreprocessSpec(8, 8, Fit.LETTERBOX), max_batch=4, **options)

        return open_runner

    @staticmethod
    def batches(count):
        rng = np.random.default_rng(5)
        for i in range(count):
            frames = [
                Frame.from_array(rng.integers(0, 256, (20 + 9 * k, 60 - 11 * k, 3), np.uint8)) for k in range(1 + i % 4)
            ]
            yield [*frames[:-1], Item(frames[-1], Region(1, 2, 15, 9))]

    def test_it_gives_the_bits_of_the_host_path(self, opened):
        host, device = opened(), opened(preprocess_on="cuda")
        for items in self.batches(10):
            expected = host.run(items)
            for found in (device.run(items), device.submit(items).result(60)):
                np.testing.assert_array_equal(scores(found), scores(expected))
                assert found.views == expected.views
        host.close()
        device.close()

    def test_batches_may_be_under_way_at_once(self, opened):
        host, device = opened(), opened(preprocess_on="cuda", in_flight=3)
        batches = list(self.batches(12))
        for items, future in [(items, device.submit(items)) for items in batches[:3]]:
            np.testing.assert_array_equal(scores(future.result(60)), scores(host.run(items)))
        host.close()
        device.close()

    def test_closing_gives_the_device_back(self, opened, device_driver):
        runner = opened(preprocess_on="cuda")
        runner.run([picture((1, 2, 3))])
        assert device_driver.memory
        runner.close()
        assert not device_driver.memory

    def test_without_kernels_for_the_device_nothing_is_left_open(self, opened, device_driver, monkeypatch):
        from edgevision.cuda import driver as cuda_driver

        monkeypatch.setattr(cuda_driver, "fatbins", list)
        with pytest.raises(DeviceError, match="expected the CUDA kernels"):
            opened(preprocess_on="cuda")
        assert not [*device_driver.memory, *device_driver.streams]


class TestRunAll:
    """Any number of items, in batches."""

    @pytest.mark.parametrize("count", [0, 1, 3, 4, 11])
    def test_answers_come_in_the_items_order(self, count):
        runner = make(max_batch=4, in_flight=2)
        values = colors(count)
        batches = list(runner.run_all([picture(rgb) for rgb in values]))
        assert [len(scores(batch)) for batch in batches] == [min(4, count - start) for start in range(0, count, 4)]
        for batch, start in zip(batches, range(0, count, 4), strict=True):
            np.testing.assert_allclose(scores(batch), logits(values[start : start + 4]), atol=1e-4)
        runner.close()

    def test_while_one_batch_runs_the_next_is_prepared(self, monkeypatch):
        """The engine's first batch ends only when the second has been submitted."""
        runner = make(max_batch=1, in_flight=2)
        second = threading.Event()
        submit = runner.submit
        submitted = []

        def watched(items):
            future = submit(items)
            submitted.append(future)
            if len(submitted) == 2:
                second.set()
            return future

        monkeypatch.setattr(runner, "submit", watched)
        call = runner.engine._call
        came = []

        def patient(launch):
            came.append(second.wait(20))
            call(launch)

        monkeypatch.setattr(runner.engine, "_call", patient)
        found = [scores(batch) for batch in runner.run_all([picture((255, 0, 0)), picture((0, 0, 255))])]
        assert came == [True, True]
        np.testing.assert_allclose(np.concatenate(found), [[8, 0, 0], [0, 0, 8]], atol=1e-4)
        runner.close()

    def test_a_refused_item_leaves_no_batch_running(self):
        runner = make(max_batch=1, in_flight=2)
        bad = Item(picture((1, 2, 3)), Region(0, 0, 10**6, 1))
        with pytest.raises(InputError, match="region"):
            list(runner.run_all([picture((9, 9, 9)), bad]))
        runner.close(60)
        with pytest.raises(EdgeVisionError, match="closed"):
            runner.engine.slots(1)


# ---- tensors that are prepared already ----


def test_prepared_tensors_and_pictures_share_a_batch():
    """Their padding too: a picture in a place that a tensor was written over is padded anew."""
    spec = PreprocessSpec(8, 8, Fit.LETTERBOX, pad_value=255)
    runner = make(spec, max_batch=3, in_flight=1)
    wide = Frame.from_array(plain((0, 0, 0), height=8, width=32))  # a quarter of the tensor; the rest is white
    tensor = PreparedItem(np.stack([np.full((8, 8), value, np.float32) for value in (0.5, 0.25, 0.75)]))
    padded = [6.0, 6.0, 6.0]
    for _ in range(2):
        np.testing.assert_allclose(scores(runner.run([wide, tensor, wide])), [padded, [4, 2, 6], padded], atol=1e-5)
        np.testing.assert_allclose(
            scores(runner.run([tensor, wide, tensor])), [[4, 2, 6], padded, [4, 2, 6]], atol=1e-5
        )
    runner.close()


def test_results_of_a_prepared_tensor_are_in_its_own_pixels():
    runner = make(PreprocessSpec(8, 8))
    (view,) = runner.run([PreparedItem(np.zeros((3, 8, 8), np.float32))]).views
    corners = [[0.0, 0.0], [8.0, 8.0], [2.5, 7.25]]
    assert view.to_frame(corners).tolist() == view.to_tensor(corners).tolist() == corners
    runner.close()


@pytest.mark.parametrize(
    "tensor", [np.zeros((3, 8, 7), np.float32), np.zeros((1, 3, 8, 8), np.float32), np.zeros((3, 8, 8))]
)
def test_a_prepared_tensor_of_another_shape_or_type_is_refused(tensor):
    runner = make(max_batch=2, in_flight=1)
    with pytest.raises(InputError, match=r"expected a prepared tensor of float32 and shape \(3, 8, 8\)"):
        runner.run([picture((1, 2, 3)), PreparedItem(tensor)])
    np.testing.assert_allclose(scores(runner.run([picture((255, 0, 0))])), [[8, 0, 0]], atol=1e-5)
    runner.close()
