"""Graphs that engines must not see: what names files, loops, or would cost too much. The onnx package is the oracle."""

from __future__ import annotations

import random
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edgevision.engines import open_engine
from edgevision.engines.graph_check import SafeGraph, check_graph
from edgevision.engines.graph_reader import Node, read_graph
from edgevision.engines.graph_shapes import Tensor, rule_of
from edgevision.errors import EngineError

pytestmark = pytest.mark.requires("onnx")
DATA = Path(__file__).parents[1] / "data"
FLOAT, INT64 = 1, 7


def node(kind, inputs=("input",), outputs=("output",), **attributes):
    from onnx import helper

    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def constant(name, values, dtype=np.int64):
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(values, dtype), name)


def f32(name, *shape):
    return constant(name, np.random.default_rng(1).random(shape), np.float32)


def model(nodes, weights=(), shape=("batch", 3), output=("batch", 3), opset=18, kind=FLOAT):
    from onnx import helper

    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("input", kind, shape)],
        [helper.make_tensor_value_info("output", kind, output)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def data_of(nodes, weights=(), **about):
    return model(nodes, weights, **about).SerializeToString()


def admitted(data):
    return check_graph(data, "an engine")


# ---- other files ----


def external(name, location, kind=1):
    import onnx

    tensor = onnx.TensorProto(name=name, data_type=FLOAT, dims=[3], data_location=kind)
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def in_subgraph(tensor):
    from onnx import helper

    end = helper.make_tensor_value_info("y", FLOAT, [3])
    inner = helper.make_graph([node("Constant", [], ["y"], value=tensor)], "inner", [], [end])
    return model(
        [node("If", ["yes"], ["b"], then_branch=inner, else_branch=inner), node("Add", ["input", "b"])],
        [constant("yes", True, bool)],
    )


def in_function(tensor):
    from onnx import helper

    made = model([node("Add", ["input", "zero"])], [constant("zero", 0.0, np.float32)])
    opset = [helper.make_opsetid("", 18)]
    made.functions.append(
        helper.make_function("own", "f", [], ["y"], [node("Constant", [], ["y"], value=tensor)], opset)
    )
    return made


def in_sparse(tensor):
    from onnx import helper

    made = model([node("Add", ["input", "w"])])
    sparse = helper.make_sparse_tensor(tensor, constant("places", [0, 1, 2]), [3])
    made.graph.sparse_initializer.append(sparse)
    return made


def in_training(tensor):
    made = model([node("Abs")])
    made.training_info.add().algorithm.initializer.append(tensor)
    return made


PLACES = {
    "weight": lambda t: model([node("Add", ["input", t.name])], [t]),
    "constant": lambda t: model([node("Constant", [], ["c"], value=t), node("Add", ["input", "c"])]),
    "sub-graph": in_subgraph,
    "function": in_function,
    "sparse": in_sparse,
    "training": in_training,
}


@pytest.mark.parametrize("location", ["secret.bin", "../secret.bin", "absolute", "link.bin", "*/_ORT_MEM_ADDR_/*"])
@pytest.mark.parametrize("place", PLACES)
def test_no_engine_reads_another_file_for_a_graph(engine_name, place, location, tmp_path, monkeypatch):
    folder = tmp_path / "cwd"
    folder.mkdir()
    for path in (folder / "secret.bin", tmp_path / "secret.bin"):
        path.write_bytes(np.arange(3, dtype=np.float32).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    monkeypatch.chdir(folder)
    if location == "absolute":
        location = str(tmp_path / "secret.bin")
    graph = PLACES[place](external("w", location)).SerializeToString()
    with pytest.raises(EngineError, match=rf"^{engine_name} cannot load the graph: .*; (save|export) "):
        open_engine(engine_name, graph)
    (folder / "model.onnx").write_bytes(graph)
    with pytest.raises(EngineError, match="cannot load the graph"):
        open_engine(engine_name, folder / "model.onnx")


def test_entries_for_another_file_are_refused_whatever_the_location_says():
    with pytest.raises(EngineError, match="lies in another file"):
        admitted(data_of([node("Add", ["input", "w"])], [external("w", "secret.bin", kind=0)]))


def test_a_graph_in_a_bundle_gives_no_file_away(color_bundle, engine_name, tmp_path, monkeypatch):
    """As an attacker has it: a bundle with sound hashes whose graph adds a file of the working directory to its scores."""
    import zipfile

    import onnx

    from edgevision.bundle.reader import open_bundle
    from edgevision.bundle.writer import write_bundle
    from edgevision.runtime.opening import open_variant

    (tmp_path / "secret.bin").write_bytes(np.array([1, 2, 3], np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    path = color_bundle(variants=((f"{engine_name}-float", engine_name, "float"),))
    graph = onnx.load(DATA / "color.onnx")
    graph.graph.node[-1].output[0] = "plain"
    graph.graph.node.append(node("Add", ["plain", "w"]))
    graph.graph.initializer.append(external("w", "secret.bin"))
    with open_bundle(path) as bundle, zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in bundle.manifest.entries}
        entries["graphs/float.onnx"] = graph.SerializeToString()
        write_bundle(tmp_path / "hostile.edge", bundle.manifest, entries)
    with open_bundle(tmp_path / "hostile.edge") as bundle, pytest.raises(EngineError, match="lies in another file"):
        open_variant(bundle, bundle.manifest.variants[0], 1).close()


# ---- what would hang or cost too much ----


def looping(kind):
    from onnx import helper

    def value(name, element, shape):
        return helper.make_tensor_value_info(name, element, shape)

    if kind == "Loop":
        inner = helper.make_graph(
            [node("Identity", ["go"], ["on"]), node("Abs", ["x"], ["y"])], "body",
            [value("i", INT64, []), value("go", 9, []), value("x", FLOAT, ["batch", 3])],
            [value("on", 9, []), value("y", FLOAT, ["batch", 3])],
        )  # fmt: skip
        return [node("Loop", ["", "yes", "input"], ["output"], body=inner)], [constant("yes", True, bool)]
    inner = helper.make_graph([node("Abs", ["x"], ["y"])], "body", [value("x", FLOAT, [3])], [value("y", FLOAT, [3])])
    return [node("Scan", ["input"], ["output"], body=inner, num_scan_inputs=1)], []


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


def steps_of(count, kind, gates):
    """A sequence of single numbers, read by a recurrent layer with a state of one number."""
    layer = node(kind, ["sequence", "w", "r"], ["huge"], hidden_size=1)
    nodes = [node("Tile", ["picture", "t"], ["long"]), node("Reshape", ["long", "s"], ["sequence"]), layer]
    return nodes, [
        constant("t", [1, 1, 1, count]),
        constant("s", [-1, 1, 1]),
        f32("w", 1, gates, 1),
        f32("r", 1, gates, 1),
    ]


def quantized(kind):
    """A picture of 1024 x 1024 of bytes through a kernel of 40 x 40."""
    weights = [constant("f", [1, 1, 1024, 1024], np.float32), constant("w", np.ones((1, 1, 40, 40)), np.uint8),
               constant("one", 1.0, np.float32), constant("z", 0, np.uint8)]  # fmt: skip
    scales = ["one", "z"] if kind == "QLinearConv" else []
    inputs = ["bytes", *scales, "w", *scales, *scales]
    nodes = [node("Resize", ["picture", "", "f"], ["large"]), node("Cast", ["large"], ["bytes"], to=2),
             node(kind, inputs, ["made"]), node("Cast", ["made"], ["huge"], to=1)]  # fmt: skip
    return nodes, weights


def windows(kind, side, kernel, **attributes):
    nodes = [
        node("Resize", ["picture", "", "f"], ["large"]),
        node(kind, ["large"], ["huge"], kernel_shape=[kernel] * 2, **attributes),
    ]
    return nodes, [constant("f", [1, 1, side, side], np.float32)]


# Small tensors, few nodes: what they cost is what the engine does inside.
SCRATCH = {
    "three operands": (
        [node("Tile", ["picture", "t"], ["long"]), node("Reshape", ["long", "s"], ["v"]),
         node("Einsum", ["v"] * 6, ["huge"], equation="a,b,c,a,b,c->")],
        [constant("t", [1, 1, 1, 9600]), constant("s", [-1])], "write it with one or two operands",
    ),
    "broadcast operand": (
        [node("Tile", ["picture", "t"], ["a"]), node("Transpose", ["a"], ["b"], perm=[0, 1, 3, 2]),
         node("Einsum", ["a", "b"], ["huge"], equation="bchw,bchw->b")],
        [constant("t", [1, 1, 1, 20_000])], "at one time",
    ),
    "transposed convolution": (
        [node("Resize", ["picture", "", "f"], ["large"]), node("ConvTranspose", ["large", "w"], ["huge"])],
        [constant("f", [1, 1, 512, 512], np.float32), f32("w", 1, 1, 64, 64)], "at one time",
    ),
    "convolution of integers": (*quantized("ConvInteger"), "at one time"),
    "quantized convolution": (*quantized("QLinearConv"), "at one time"),
    "convolution of 4 axes": (
        [node("Resize", ["picture", "", "f"], ["large"]), node("Unsqueeze", ["large", "a"], ["u"]),
         node("Conv", ["u", "w"], ["huge"])],
        [constant("f", [1, 1, 1024, 1024], np.float32), constant("a", [2, 3]), f32("w", 1, 1, 1, 1, 20, 20)], "at one time",
    ),
    "gates": (
        [node("Tile", ["picture", "t"], ["long"]), node("Reshape", ["long", "s"], ["sequence"]),
         node("LSTM", ["sequence", "w", "r"], ["huge"], hidden_size=100)],
        [constant("t", [1, 1, 1, 800_000]), constant("s", [10, -1, 1]), f32("w", 1, 400, 1), f32("r", 1, 400, 100)],
        "at one time",
    ),
    "powers": (*windows("LpPool", 1000, 300, p=3), "multiply-adds"),
    "maxima": (*windows("MaxPool", 1500, 500), "multiply-adds"),
    "means": (*windows("AveragePool", 1500, 500), "multiply-adds"),
    "LSTM of many steps": (*steps_of(10_001, "LSTM", 4), "10001 steps, the limit is 10000"),
    "GRU of many steps": (*steps_of(10_001, "GRU", 3), "10001 steps, the limit is 10000"),
    "RNN of many steps": (*steps_of(10_001, "RNN", 1), "10001 steps, the limit is 10000"),
}  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", SCRATCH)
def test_what_an_engine_would_take_inside_a_node_is_counted(case):
    """Each took gigabytes or minutes, and no shape shows it."""
    nodes, weights, told = SCRATCH[case]
    first = [node("ReduceMean", ["input"], ["mean"]), node("Reshape", ["mean", "one pixel"], ["picture"])]
    end = [node("ReduceMean", ["huge"], ["little"], keepdims=0), node("Add", ["input", "little"])]
    with pytest.raises(EngineError, match=rf"^an engine cannot load the graph: node .*{told}.*; (use|export) "):
        admitted(data_of([*first, *nodes, *end], [*weights, constant("one pixel", [1, 1, 1, 1])]))


def on_picture(*nodes_and_weights, shape):
    nodes, weights = nodes_and_weights
    return admitted(data_of(nodes, weights, shape=("batch", *shape), output=None)).shapes(1)["output"]


ORDINARY = {
    "attention": ([node("Einsum", ["input", "input"], equation="bhqd,bhkd->bhqk")], [], (12, 1024, 64)),
    "transposed": ([node("Einsum", ["input"], equation="bchw->bhwc")], [], (64, 256, 256)),
    "upsampling of a U-Net": ([node("ConvTranspose", ["input", "w"], strides=[2, 2])], ["w", 512, 256, 2, 2], (512, 64, 64)),
    "upsampling of an FCN": ([node("ConvTranspose", ["input", "w"], strides=[8, 8])], ["w", 21, 21, 16, 16], (21, 64, 64)),
    "quantized layer": (
        [node("DynamicQuantizeLinear", outputs=["q", "s", "z"]), node("ConvInteger", ["q", "w", "z"], pads=[1, 1, 1, 1])],
        ["w", 64, 64, 3, 3], (64, 320, 320),
    ),
    "first pooling": ([node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)], [], (64, 320, 320)),
    "pyramid pooling": ([node("MaxPool", kernel_shape=[13, 13], pads=[6] * 4)], [], (512, 40, 40)),
    "whole mean": ([node("AveragePool", kernel_shape=[64, 64])], [], (2048, 64, 64)),
    "generalised mean": ([node("LpPool", kernel_shape=[7, 7], p=3)], [], (2048, 7, 7)),
}  # fmt: skip


@pytest.mark.parametrize("case", ORDINARY)
def test_what_networks_are_made_of_is_accepted(case):
    nodes, weight, shape = ORDINARY[case]
    weights = []
    if weight:
        name, *sides = weight
        weights = [constant(name, np.zeros(sides), np.uint8 if case == "quantized layer" else np.float32)]
    assert on_picture(nodes, weights, shape=shape)


def test_a_reader_of_text_lines_is_accepted():
    """A two-way LSTM over the columns of a picture."""
    nodes = [node("Transpose", outputs=["t"], perm=[1, 0, 2]), node("LSTM", ["t", "w", "r"], hidden_size=256, direction="bidirectional")]  # fmt: skip
    assert on_picture(nodes, [f32("w", 2, 1024, 512), f32("r", 2, 1024, 256)], shape=(200, 512)) == (200, 2, 1, 256)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["Loop", "Scan"])
def test_loops_are_refused(engine_name, kind):
    nodes, weights = looping(kind)
    with pytest.raises(EngineError, match=rf"\({kind}\) has a graph inside.*export the model without control flow"):
        open_engine(engine_name, data_of(nodes, weights))


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


def test_the_work_of_upsample_grows_with_what_it_makes():
    """A single pixel becomes a gigapixel, more work than constants may take."""
    upsample = Node("", "Upsample", ("x", "scales"), ("y",), {})
    scales = Tensor((4,), np.array([1.0, 1.0, 2.0**15, 2.0**15]))
    assert rule_of(upsample)(upsample, [Tensor((1, 1, 1, 1)), scales]) == ([(1, 1, 2**15, 2**15)], 4 * 2**30)


def short_weight():
    weight = constant("w", [1.0, 2.0, 3.0], np.float32)
    weight.dims[0] = 2**40
    return data_of([node("Add", ["input", "w"])], [weight])


def chain(count):
    names = ["input", *(f"x{i}" for i in range(count - 1)), "output"]
    return [node("Abs", [a], [b]) for a, b in pairwise(names)]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda: data_of(chain(20_001)), "20001 nodes, the limit is 20000"),
        (lambda: data_of([node("Foo")]), r"node 'output' \(Foo\): the operator is none"),
        (lambda: data_of([node("Foo", domain="acme")]), r"custom operator acme\.Foo"),
        (lambda: data_of([node("Abs", ["missing"])]), "reads 'missing', which nothing before it makes"),
        (lambda: data_of([node("Abs"), node("Abs")]), "makes 'output', which is there already"),
        (lambda: data_of([node("Abs")], shape=["batch", *[1] * 8], output=None), "at most 8 axes"),
        (lambda: data_of([node("Abs")], shape=("batch", 2**62)), "expected at most 8 axes of sizes that can be"),
        (lambda: data_of([node("Abs", outputs=["other"])]), "nothing makes its output 'output'"),
        (lambda: data_of([node("Identity")], kind=8, weights=[constant("s", ["a"], object)]), "element type 8"),
        (lambda: data_of([node("Abs", name="näme")]).replace("näme".encode(), b"n\xff\xffme"), "not UTF-8"),
        (lambda: data_of([node("Abs")]) * 2, "'ir_version' twice"),
        (lambda: data_of([node("Abs")]) + b"\xfa\x3f\x01x", "a field 1023"),
        (lambda: data_of([node("Abs")])[:-1], "damaged"),
        (lambda: data_of([node("Abs")]) + b"\x0b", "damaged"),  # a group
        (lambda: data_of([node("Abs")]) + b"\x12" + b"\xff" * 9 + b"\x01", "damaged"),  # a length of 2^64 - 1
        (lambda: data_of([node("Abs")]) + b"\x28" + b"\xff" * 20, "damaged"),  # a number without an end
        (short_weight, "does not hold its elements"),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused_in_one_line(damage, told):
    with pytest.raises(EngineError, match=told) as caught:
        admitted(damage())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


# ---- the same as onnx reads and infers ----


@pytest.mark.parametrize("name", ["color", "color-int8"])
def test_reads_the_repositorys_graphs_as_onnx_does(name):
    import onnx

    data = (DATA / f"{name}.onnx").read_bytes()
    assert_same(read_graph(data), onnx.load_model_from_string(data))


def assert_same(graph, theirs):
    from onnx import numpy_helper

    assert [(n.name, n.op_type, n.inputs, n.outputs) for n in graph.nodes] == [
        (n.name, n.op_type, tuple(n.input), tuple(n.output)) for n in theirs.graph.node
    ]
    assert set(graph.constants) == {tensor.name for tensor in theirs.graph.initializer}
    for tensor in theirs.graph.initializer:
        ours = graph.constants[tensor.name]
        assert ours.shape == tuple(tensor.dims)
        if ours.values is not None:
            np.testing.assert_array_equal(ours.values, numpy_helper.to_array(tensor))
    for node_ours, node_theirs in zip(graph.nodes, theirs.graph.node, strict=True):
        assert set(node_ours.attributes) == {a.name for a in node_theirs.attribute}
        for attribute in node_theirs.attribute:
            if attribute.type in (2, 7):  # INT, INTS
                expected = attribute.i if attribute.type == 2 else tuple(attribute.ints)
                assert node_ours.attributes[attribute.name] == expected


def test_what_is_accepted_of_mutants_is_what_onnx_reads():
    """2,000 graphs with bytes changed, cut out or doubled: whatever our reader accepts, onnx reads in the same way."""
    import onnx
    from google.protobuf.message import DecodeError

    random_ = random.Random(10)
    accepted = 0
    for _ in range(2000):
        data = bytearray((DATA / random_.choice(["color.onnx", "color-int8.onnx"])).read_bytes())
        for _ in range(random_.choice([1, 1, 2, 4])):
            at = random_.randrange(len(data))
            change = random_.randrange(3)
            if change == 0:
                data[at] = random_.randrange(256)
            elif change == 1:
                del data[at : at + random_.randrange(1, 8)]
            else:
                data[at:at] = data[at : at + random_.randrange(1, 8)]
        try:
            graph = read_graph(bytes(data))
        except EngineError:
            continue
        accepted += 1
        try:
            theirs = onnx.load_model_from_string(bytes(data))
        except DecodeError:
            pytest.fail("onnx does not read what our reader accepts")
        assert_same(graph, theirs)
        for tensor in theirs.graph.initializer:
            assert tensor.data_location == 0
            assert not tensor.external_data
    assert 100 < accepted < 1900


PICTURE = (2, 4, 9, 12)


OPERATORS = {
    "conv": ([node("Conv", ["input", "w"], kernel_shape=[3, 3], strides=[2, 1], pads=[1, 0, 1, 2], dilations=[1, 2])],
             [f32("w", 5, 4, 3, 3)]),
    "conv same": ([node("Conv", ["input", "w"], auto_pad="SAME_UPPER", strides=[2, 2], group=2)], [f32("w", 6, 2, 3, 3)]),
    "conv transpose": ([node("ConvTranspose", ["input", "w"], strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 0])],
                       [f32("w", 4, 3, 3, 2)]),
    "max pool": ([node("MaxPool", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, pads=[1, 0, 1, 0])], []),
    "average pool": ([node("AveragePool", kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1)], []),
    "global pool": ([node("GlobalAveragePool")], []),
    "matmul": ([node("MatMul", ["input", "w"])], [f32("w", 4, 12, 5)]),
    "matmul vector": ([node("MatMul", ["input", "w"])], [f32("w", 12)]),
    "gemm": ([node("Flatten", outputs=["f"]), node("Gemm", ["f", "w"], transB=1)], [f32("w", 7, 432)]),
    "einsum": ([node("Einsum", ["input", "w"], equation="bchw,cd->bdh")], [f32("w", 4, 5)]),
    "reduce": ([node("ReduceMean", ["input", "a"], keepdims=0)], [constant("a", [-1, 2])]),
    "reduce all": ([node("ReduceMax")], []),
    "arg max": ([node("ArgMax", outputs=["i"], axis=1), node("Cast", ["i"], to=1)], []),
    "top k": ([node("TopK", ["input", "k"], ["output", "i"], axis=2)], [constant("k", [5])]),
    "reshape": ([node("Reshape", ["input", "s"])], [constant("s", [0, -1, 6])]),
    "computed reshape": (
        [node("Shape", outputs=["s"]), node("Gather", ["s", "zero"], ["n"], axis=0),
         node("Concat", ["n", "rest"], ["t"], axis=0), node("Reshape", ["input", "t"])],
        [constant("zero", [0]), constant("rest", [12, -1])],
    ),
    "computed resize": (
        [node("Shape", outputs=["s"]), node("Slice", ["s", "two", "four"], ["hw"]), node("Cast", ["hw"], ["f"], to=1),
         node("Mul", ["f", "half"], ["g"]), node("Floor", ["g"], ["h"]), node("Cast", ["h"], ["i"], to=7),
         node("Slice", ["s", "zero", "two"], ["nc"]), node("Concat", ["nc", "i"], ["t"], axis=0),
         node("Resize", ["input", "", "", "t"])],
        [constant("zero", [0]), constant("two", [2]), constant("four", [4]), constant("half", 1.5, np.float32)],
    ),
    "flatten": ([node("Flatten", axis=2)], []),
    "transpose": ([node("Transpose", perm=[0, 3, 1, 2])], []),
    "squeeze": ([node("Unsqueeze", ["input", "a"], ["u"]), node("Squeeze", ["u", "b"])],
                [constant("a", [1, -1]), constant("b", [1])]),
    "concat": ([node("Concat", ["input", "input"], axis=-1)], []),
    "split": ([node("Split", outputs=["output", "b"], axis=1, num_outputs=2)], []),
    "split uneven": ([node("Split", ["input", "p"], ["a", "output"], axis=2)], [constant("p", [2, 7])]),
    "slice": ([node("Slice", ["input", "a", "b", "c", "d"])],
              [constant("a", [-1, 1]), constant("b", [-100, 2**62]), constant("c", [3, 2]), constant("d", [-2, 3])]),
    "gather": ([node("Gather", ["input", "i"], axis=2)], [constant("i", [[0, 1], [2, 3]])]),
    "gather elements": ([node("GatherElements", ["input", "i"], axis=3)], [constant("i", np.zeros((2, 4, 9, 5)))]),
    "gather nd": ([node("GatherND", ["input", "i"])], [constant("i", [[0, 1], [1, 1], [0, 0]])]),
    "expand": ([node("Expand", ["input", "s"])], [constant("s", [3, 1, 1, 1, 1])]),
    "tile": ([node("Tile", ["input", "s"])], [constant("s", [1, 2, 1, 3])]),
    "pad": ([node("Pad", ["input", "s"])], [constant("s", [0, 0, 1, 2, 0, 0, -1, 3])]),
    "resize": ([node("Resize", ["input", "", "f"])], [constant("f", [1, 1, 1.7, 0.4], np.float32)]),
    "depth to space": ([node("DepthToSpace", blocksize=2)], []),
    "space to depth": ([node("SpaceToDepth", blocksize=3)], []),
    "constant of shape": ([node("ConstantOfShape", ["s"], ["c"]), node("Add", ["input", "c"])], [constant("s", [3, 1, 1, 1, 1])]),
    "range": ([node("Range", ["a", "b", "c"], ["r"]), node("Add", ["input", "r"])],
              [constant("a", 1.0, np.float32), constant("b", 7.5, np.float32), constant("c", 0.55, np.float32)]),
    "one hot": ([node("OneHot", ["i", "d", "v"])],
                [constant("i", [0, 1]), constant("d", 7), constant("v", [0.0, 1.0], np.float32)]),
    "where": ([node("Greater", ["input", "h"], ["g"]), node("Where", ["g", "input", "w"])],
              [constant("h", 0.5, np.float32), f32("w", 3, 1, 1, 9, 12)]),
    "grid sample": ([node("GridSample", ["input", "g"])], [f32("g", 2, 5, 6, 2)]),
    "lstm": ([node("Reshape", ["input", "s"], ["x"]), node("LSTM", ["x", "w", "r"], ["output"], hidden_size=3)],
             [constant("s", [9, 8, 12]), f32("w", 1, 12, 12), f32("r", 1, 12, 3)]),
    "quantized": ([node("QuantizeLinear", ["input", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"])],
                  [constant("s", 0.1, np.float32), constant("z", 3, np.uint8)]),
    "softmax": ([node("Softmax", axis=1)], []),
    "batch norm": ([node("BatchNormalization", ["input", "a", "a", "a", "a"])], [f32("a", 4)]),
    "layer norm": ([node("LayerNormalization", ["input", "a"])], [f32("a", 12)]),
    "clip": ([node("Clip", ["input", "", "h"])], [constant("h", 0.5, np.float32)]),
    "attribute axes": ([node("ReduceSum", axes=[1], keepdims=0)], [], 11),
    "old slice": ([node("Slice", starts=[1], ends=[3], axes=[1])], [], 9),
    "old upsample": ([node("Upsample", ["input", "f"])], [constant("f", [1, 1, 2, 2], np.float32)], 9),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_shapes_are_those_that_onnx_runtime_makes(name):
    """Our rules against what the engine really gives."""
    import onnxruntime

    nodes, weights, *opset = OPERATORS[name]
    data = data_of(nodes, weights, shape=PICTURE, output=None, opset=(opset or [18])[0])
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (real,) = session.run(["output"], {"input": np.random.default_rng(0).random(PICTURE, np.float32)})
    assert admitted(data).shapes(PICTURE[0])["output"] == real.shape


def test_the_page_lists_the_operators_that_are_run():
    from edgevision.engines.graph_shapes import OPERATORS as RUN

    page = (DATA.parents[1] / "docs" / "bundle.md").read_text(encoding="utf-8")
    listed = page.split("by their ONNX names:")[1].split("An engine that takes")[0].replace("`", "").strip(" .\n")
    assert listed.replace("\n", " ").split(", ") == sorted(RUN)
