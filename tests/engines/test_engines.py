"""The engine contract, the same for every engine."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgevision.engines import EngineOptions, available_engines, open_engine
from edgevision.engines.host import ALIGNMENT_BYTES, one_line
from edgevision.errors import EngineError, MissingExtraError
from edgevision.tensors import TensorInfo


def pictures(count, seed=0):
    """Pixels k/255 that int8 holds exactly."""
    return (np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8)) / 255).astype(np.float32)


def answer(batch):
    return 8 * batch.astype(np.float64).mean(axis=(2, 3))


@pytest.mark.parametrize("kind", ["color", "color-int8"])
@pytest.mark.parametrize("threads", [1, 2])
def test_gives_the_known_answer_at_every_batch(engine_name, graph, kind, threads):
    with open_engine(engine_name, graph(kind), EngineOptions(threads)) as engine:
        for batch in (1, 2, 3, 5, 8):
            (slot,) = engine.slots(batch)
            slot.inputs["input"][:] = pictures(batch)
            engine.run(slot)
            np.testing.assert_allclose(slot.outputs["output"], answer(pictures(batch)), atol=1e-5)


def test_runs_the_valid_items_and_leaves_the_rest_of_the_slot(engine):
    (slot,) = engine.slots(8)
    batch = pictures(8)
    for n in (3, 1, 8, 5, 3):
        slot.inputs["input"][:n] = batch[:n]
        slot.outputs["output"][:] = -1.0
        engine.run(slot, n)
        np.testing.assert_allclose(slot.outputs["output"][:n], answer(batch[:n]), atol=1e-5)


def test_describes_the_graph(engine):
    assert engine.inputs == (TensorInfo("input", "float32", (None, 3, 8, 8)),)
    assert engine.outputs == (TensorInfo("output", "float32", (None, 3)),)
    assert engine.version == available_engines()[engine.name]
    assert engine.options == EngineOptions(1)


def test_slots_are_zeroed_aligned_and_apart(engine):
    first, second = engine.slots(4, count=2)
    for slot in (first, second):
        assert slot.batch == 4
        tensor = slot.inputs["input"]
        assert tensor.shape == (4, 3, 8, 8)
        assert tensor.dtype == np.float32
        assert not tensor.any()
        assert tensor.ctypes.data % ALIGNMENT_BYTES == 0
    assert not np.shares_memory(first.inputs["input"], second.inputs["input"])


def test_engines_read_and_write_the_slots_own_memory(engine):
    """Results change when, and only when, the slot is run again: nothing was copied when it was bound."""
    (slot,) = engine.slots(1)
    tensor, scores = slot.inputs["input"], slot.outputs["output"]
    for value in (0.25, 0.5, 1.0):
        before = scores.copy()
        tensor[:] = value
        np.testing.assert_array_equal(scores, before)
        engine.run(slot)
        assert slot.outputs["output"] is scores
        np.testing.assert_allclose(scores, 8 * value, atol=1e-5)


def test_submit_gives_a_future(engine):
    slots = engine.slots(2, count=4)
    futures = []
    for i, slot in enumerate(slots):
        slot.inputs["input"][:] = pictures(2, seed=i)
        futures.append(engine.submit(slot))
    for i, (slot, future) in enumerate(zip(slots, futures, strict=True)):
        assert future.result(timeout=60) is None
        np.testing.assert_allclose(slot.outputs["output"], answer(pictures(2, seed=i)), atol=1e-5)


def test_threads_may_run_different_slots_at_once(engine):
    slots = engine.slots(1, count=8)
    barrier = threading.Barrier(len(slots))
    wrong = []

    def work(index):
        barrier.wait()
        for round_ in range(20):
            batch = pictures(1, seed=100 * index + round_)
            slots[index].inputs["input"][:] = batch
            engine.run(slots[index])
            if not np.allclose(slots[index].outputs["output"], answer(batch), atol=1e-5):
                wrong.append((index, round_))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(slots))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_closed_engines_refuse_and_finish_what_was_submitted(engine):
    (slot,) = engine.slots(1)
    slot.inputs["input"][:] = 1.0
    future = engine.submit(slot)
    engine.close()
    engine.close()
    assert future.result(timeout=60) is None
    np.testing.assert_allclose(slot.outputs["output"], 8.0, atol=1e-5)
    for use in (
        lambda: engine.run(slot),
        lambda: engine.submit(slot),
        lambda: engine.slots(1),
        engine.layer_precisions,
    ):
        with pytest.raises(EngineError, match="closed"):
            use()


@pytest.mark.parametrize("n_valid", [0, -1, 3])
def test_refuses_a_count_outside_the_slot(engine, n_valid):
    (slot,) = engine.slots(2)
    with pytest.raises(EngineError, match="1…2"):
        engine.run(slot, n_valid)


def test_refuses_the_slot_of_another_engine(engine, engine_name, graph):
    with open_engine(engine_name, graph("color")) as other, pytest.raises(EngineError, match="slot of this engine"):
        engine.run(other.slots(1)[0])


@pytest.mark.parametrize(("batch", "count"), [(0, 1), (1, 0), (-1, 1)])
def test_refuses_empty_slots(engine, batch, count):
    with pytest.raises(EngineError, match="at least 1"):
        engine.slots(batch, count)


def test_reads_back_the_precision_that_runs(engine_name, graph):
    with open_engine(engine_name, graph("color")) as engine:
        assert engine.layer_precisions() == {"float32": 2}
    with open_engine(engine_name, graph("color-int8")) as engine:
        counts = engine.layer_precisions()
        assert counts["int8"] >= 1  # the convolution; engines differ in whether they average in int8
        assert set(counts) <= {"int8", "float32"}
        assert sum(counts.values()) == 2


def test_graphs_load_from_files_too(engine_name):
    path = Path(__file__).parents[1] / "data" / "color.onnx"
    with open_engine(engine_name, path) as engine:
        (slot,) = engine.slots(1)
        engine.run(slot)
    with pytest.raises(EngineError, match="no graph file"):
        open_engine(engine_name, path.with_name("missing.onnx"))


@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"not a graph", lambda g: g[: len(g) // 2]])
def test_refuses_broken_graphs_in_one_line(engine_name, graph, damage):
    with pytest.raises(EngineError, match=f"^{engine_name} cannot load the graph: ") as caught:
        open_engine(engine_name, damage(graph("color")))
    assert "\n" not in str(caught.value)


def test_open_engine_refuses_what_does_not_exist(graph):
    with pytest.raises(EngineError, match=r"\['onnxruntime', 'openvino', .*\], got 'tensorflow'"):
        open_engine("tensorflow", graph("color"))
    with pytest.raises(EngineError, match="at least 1 thread"):
        open_engine("onnxruntime", graph("color"), EngineOptions(threads=0))
    with pytest.raises(EngineError, match="as it is written"):
        open_engine("onnxruntime", graph("color"), EngineOptions(precision="bfloat16"))


def test_a_missing_engine_names_its_extra(monkeypatch, graph):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: find(name, *a) if name.split(".")[0] == "onnxruntime" else None
    )
    assert list(available_engines()) == ["onnxruntime"]
    with pytest.raises(MissingExtraError, match=r"pip install 'edgevision\[openvino\]'"):
        open_engine("openvino", graph("color"))


def test_available_engines_imports_none(monkeypatch):
    for name in ("openvino", "onnxruntime"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert "onnxruntime" in available_engines()
    assert not {"openvino", "onnxruntime"} & set(sys.modules)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : acme:Foo : no such op", "acme:Foo : no such op"),
        ("Exception from src/a.cpp:1:\nCheck 'x' failed at y\nNo rule for: Foo\n\n", "No rule for: Foo"),
        ("", "RuntimeError"),
        ("x" * 500, "x" * 239 + "…"),
    ],
)
def test_engine_messages_are_put_on_one_line(message, line):
    assert one_line(RuntimeError(message)) == line
