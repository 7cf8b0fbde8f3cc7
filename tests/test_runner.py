from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevision.engines import EngineOptions, open_engine
from edgevision.errors import EdgeVisionError, EngineError
from edgevision.frames import Frame
from edgevision.preprocess import PreprocessSpec, TensorDtype
from edgevision.runner import Runner, SlotPool

GRAPH = (Path(__file__).parent / "data" / "color.onnx").read_bytes()
SPEC = PreprocessSpec(8, 8)


def make(spec=SPEC, columns=3, **options):
    return Runner(GRAPH, "onnxruntime", EngineOptions(1), spec, columns, **options)


def test_scores_are_the_callers_own():
    """A later batch through the same slot leaves them as they are."""
    runner = make(max_batch=2, in_flight=1)
    red, blue = (Frame.from_array(np.full((8, 8, 3), bgr, np.uint8)) for bgr in ((0, 0, 255), (255, 0, 0)))
    first = runner.run([red, blue]).raw
    runner.run([blue, red])
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


def test_the_pool_never_lends_more_slots_than_its_capacity():
    with open_engine("onnxruntime", GRAPH) as engine:
        pool = SlotPool(engine, 1, 3)
        lent, most, lock = [0], [0], threading.Lock()
        barrier = threading.Barrier(12)

        def work():
            barrier.wait()
            for _ in range(20):
                with pool.slot() as slot:
                    with lock:
                        lent[0] += 1
                        most[0] = max(most[0], lent[0])
                    engine.run(slot)
                    with lock:
                        lent[0] -= 1

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= most[0] <= 3
        pool.close()
        with pytest.raises(EdgeVisionError, match="closed"), pool.slot():
            pass


def test_closing_the_pool_wakes_those_who_wait():
    with open_engine("onnxruntime", GRAPH) as engine:
        pool = SlotPool(engine, 1, 1)
        waiting = threading.Event()
        outcome = []

        def wait():
            waiting.set()
            try:
                with pool.slot():
                    outcome.append("lent")
            except EdgeVisionError:
                outcome.append("refused")

        with pool.slot():
            waiter = threading.Thread(target=wait)
            waiter.start()
            waiting.wait(60)
            closer = threading.Thread(target=pool.close)
            closer.start()
            waiter.join(60)  # refused while the slot is still out
            assert outcome == ["refused"]
            assert closer.is_alive()
        closer.join(60)
        assert not closer.is_alive()


@pytest.mark.requires("onnx")
def test_a_fixed_batch_becomes_the_largest():
    import onnx

    model = onnx.load_from_string(GRAPH)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    runner = Runner(model.SerializeToString(), "onnxruntime", EngineOptions(1), SPEC, 3, max_batch=8)
    assert runner.max_batch == 2
    scores = runner.run([Frame.from_array(np.full((8, 8, 3), (0, 255, 0), np.uint8))])
    np.testing.assert_allclose(scores.raw, [[0, 8, 0]], atol=1e-5)
    runner.close()
