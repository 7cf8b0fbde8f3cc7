"""Graphs that would cost too much, at once or at some size of batch: engines must not see them."""

from __future__ import annotations

import signal
from itertools import pairwise

import numpy as np
import pytest
from graphs import INT64, admitted, constant, data_of, node

from edgevision.engines import open_engine
from edgevision.engines.graph_check import SafeGraph
from edgevision.errors import EngineError

pytestmark = pytest.mark.requires("onnx")

HUGE = [1, 100_000, 100_000]
VANISH = [node("ReduceMean", ["huge"], ["mean"], keepdims=0), node("Add", ["input", "mean"])]


def doubling(times):
    names = ["input", *(f"x{i}" for i in range(times)), "huge"]
    return [node("Concat", [a, a], [b], axis=1) for a, b in pairwise(names)]


def squares(times):
    """Each node multiplies a size by itself."""
    names = ["s", *(f"s{i}" for i in range(times))]
    return [node("Mul", [a, a], [b]) for a, b in pairwise(names)]


COSTLY = {
    "Expand": ([node("Expand", ["one", "s"], ["huge"])], [constant("one", 1.0, np.float32), constant("s", HUGE)]),
    "Tile": ([node("Tile", ["input", "s"], ["huge"])], [constant("s", [1, 10**11])]),
    "ConstantOfShape": ([node("ConstantOfShape", ["s"], ["huge"])], [constant("s", HUGE)]),
    "Range": (
        [node("Range", ["a", "b", "c"], ["huge"])],
        [constant("a", 0.0, np.float32), constant("b", 1e12, np.float32), constant("c", 1.0, np.float32)],
    ),
    "Pad": ([node("Pad", ["input", "s"], ["huge"])], [constant("s", [0, 0, 0, 10**11])]),
    "Resize": ([node("Resize", ["input", "", "f"], ["huge"])], [constant("f", [1, 1e11], np.float32)]),
    "OneHot": (
        [node("OneHot", ["i", "d", "v"], ["huge"])],
        [constant("i", range(3)), constant("d", 10**11), constant("v", [0.0, 1.0], np.float32)],
    ),
    "doubling": (doubling(40), []),
    "outer product": (
        [node("Tile", ["input", "s"], ["row"]), node("Transpose", ["row"], ["column"]),
         node("MatMul", ["column", "row"], ["huge"])],
        [constant("s", [1, 100_000])],
    ),
    "computed size": ([*squares(3), node("ConstantOfShape", ["s2"], ["huge"])], [constant("s", [100, 100, 100])]),
    "gathered": (
        [node("ConstantOfShape", ["s"], ["i"], value=constant("z", [0])), node("Gather", ["input", "i"], ["huge"])],
        [constant("s", [10_000, 10_000])],
    ),
    "folded for minutes": (
        [node("ConstantOfShape", ["s"], ["a"]), node("MatMul", ["a", "a"], ["huge"])], [constant("s", [4000, 4000])],
    ),
    "size from the picture": (
        [node("Cast", ["input"], ["i"], to=INT64), node("Reshape", ["i", "s"], ["f"]),
         node("ConstantOfShape", ["f"], ["huge"])],
        [constant("s", [-1])],
    ),
}  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", COSTLY)
def test_what_would_cost_too_much_is_refused(engine_name, case):
    nodes, weights = COSTLY[case]
    with pytest.raises(EngineError, match=rf"^{engine_name} cannot load the graph: node .*; (use|export) "):
        open_engine(engine_name, data_of([*nodes, *VANISH], weights))


@pytest.mark.timeout(120)
def test_an_output_that_no_memory_holds_is_refused(engine_name):
    """It was 384 TiB, and a MemoryError."""
    side = 2**22
    graph = data_of([node("Expand", ["input", "s"])], [constant("s", [1, side, 6, side])], shape=("batch", 1, 1, 1),
                    output=("batch", side, 6, side))  # fmt: skip
    with pytest.raises(EngineError, match="384 TiB"):
        open_engine(engine_name, graph)
    lying = data_of([node("Abs")], output=("batch", 2**44))
    with pytest.raises(EngineError, match="is declared as"):
        open_engine(engine_name, lying)


def test_a_size_that_grows_with_the_batch_is_refused_at_that_batch(engine_name):
    """Harmless for one item: the batch to the power of 16, times 3."""
    cut = [constant("from", [0]), constant("to", [1])]
    nodes = [node("Shape", ["input"], ["n"]), node("Slice", ["n", "from", "to"], ["s"]), *squares(4)]
    nodes += [node("ConstantOfShape", ["s3"], ["huge"]), *VANISH]
    with open_engine(engine_name, data_of(nodes, cut)) as engine:
        engine.run(engine.slots(1)[0])
        engine.run(engine.slots(2)[0])
        with pytest.raises(EngineError, match="for a batch of 8"):
            engine.slots(8)


@pytest.mark.requires("openvino")
def test_openvino_runs_no_size_that_was_not_checked():
    """3 items of a slot for 8 run as 4: a graph that is harmless but for 4 is refused there."""
    sizes = [node("Shape", ["input"], ["n"]), node("Slice", ["n", "from", "to"], ["s"]),
             node("Equal", ["s", "four"], ["is four"]), node("Where", ["is four", "large", "small"], ["size"])]  # fmt: skip
    values = {"from": 0, "to": 1, "four": 4, "large": 100_000_000, "small": 1}
    weights = [constant(name, [value]) for name, value in values.items()]
    graph = data_of([*sizes, node("ConstantOfShape", ["size"], ["huge"]), *VANISH], weights)
    with open_engine("openvino", graph) as engine:
        (slot,) = engine.slots(8)
        engine.run(slot, 2)
        engine.run(slot, 8)
        with pytest.raises(EngineError, match="computes 381 MiB of constants"):
            engine.run(slot, 3)


@pytest.mark.timeout(60)
def test_a_signal_handler_may_ask_while_its_thread_is_being_answered(monkeypatch):
    """As one that predicts with a new size of batch does. It used to wait for ever."""
    checked, shapes, passed = admitted(data_of([node("Abs")])), SafeGraph.shapes, []

    def interrupted(graph, batch):
        if batch == 2:
            signal.raise_signal(signal.SIGINT)
        passed.append(batch)
        return shapes(graph, batch)

    monkeypatch.setattr(SafeGraph, "shapes", interrupted)
    before = signal.signal(signal.SIGINT, lambda *_: checked.check_batch(3))
    try:
        checked.check_batch(2)
    finally:
        signal.signal(signal.SIGINT, before)
    checked.check_batch(2)
    checked.check_batch(3)
    assert passed == [3, 2]


@pytest.mark.parametrize("batch", [1, 2])
def test_the_limit_at_one_time_is_what_the_message_says(batch):
    """1 GiB for each item and 128 MiB besides: the largest picture that fits, and one with a row more."""
    side = 2**14  # elements of a row
    rows = (2**28 * batch + 2**25) // (batch * side) - 1  # with an output of one row

    def check(height):
        reduce = node("ReduceMax", axes=[1], keepdims=0)
        return admitted(data_of([reduce], opset=13, shape=("batch", height, side), output=None)).shapes(batch)

    assert check(rows)["output"] == (batch, side)
    told = (
        rf"{batch}\.1 GiB at one time for a batch of {batch}, the limit is 1\.0 GiB for each item and 128 MiB besides;"
    )
    with pytest.raises(EngineError, match=told):
        check(rows + 1)
