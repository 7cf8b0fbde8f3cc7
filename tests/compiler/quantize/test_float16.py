"""float32 graph → float16 graph: against float64 arithmetic in NumPy and PyTorch, and ONNX Runtime on the CPU."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from edgevision.compiler.quantize.float16 import LARGEST, to_float16
from edgevision.errors import InputError, ModelFileError

pytestmark = pytest.mark.requires("torch", "onnx")

F16, F32 = TensorProto.FLOAT16, TensorProto.FLOAT


def graph_of(nodes, constants, output="y", shape=("batch", 3, 8, 8), opset=18):
    """A graph from ``input`` float32 to one output; ``nodes`` are (op, inputs, output, attributes)."""
    made = [helper.make_node(op, ins, [out], out, **attributes) for op, ins, out, attributes in nodes]
    outputs = output if isinstance(output, tuple) else (output,)
    graph = helper.make_graph(
        made, "net",
        [helper.make_tensor_value_info("input", F32, shape)],
        [helper.make_tensor_value_info(name, F32, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model).SerializeToString()


@pytest.fixture(scope="module")
def weights():
    random = np.random.default_rng(0)
    return {
        "w1": random.normal(size=(8, 3, 3, 3)).astype(np.float32) / 5,
        "b1": random.normal(size=8).astype(np.float32),
        "w2": random.normal(size=(8, 8)).astype(np.float32) / 3,
        "b2": random.normal(size=8).astype(np.float32),
        "w3": random.normal(size=(5, 8)).astype(np.float32),
        "b3": random.normal(size=5).astype(np.float32),
        "low": np.float32(0),
        "high": np.float32(6),
    }


@pytest.fixture(scope="module")
def net(weights):
    """Convolution, clip, squeeze and excite, linear, softmax."""
    return graph_of(
        [
            ("Conv", ["input", "w1", "b1"], "conv", {"pads": [1, 1, 1, 1]}),
            ("Clip", ["conv", "low", "high"], "clip", {}),
            ("GlobalAveragePool", ["clip"], "squeeze", {}),
            ("Flatten", ["squeeze"], "flat", {}),
            ("Gemm", ["flat", "w2", "b2"], "excite", {"transB": 1}),
            ("Sigmoid", ["excite"], "gate", {}),
            ("Mul", ["flat", "gate"], "scaled", {}),
            ("Gemm", ["scaled", "w3", "b3"], "logits", {"transB": 1}),
            ("Softmax", ["logits"], "y", {"axis": 1}),
        ],
        weights,
    )


def exact(x, weights):
    """The same network in float64, by PyTorch."""
    w = {name: torch.from_numpy(np.asarray(values)).double() for name, values in weights.items()}
    clip = functional.conv2d(torch.from_numpy(x).double(), w["w1"], w["b1"], padding=1).clamp(0, 6)
    flat = clip.mean((2, 3))
    scaled = flat * torch.sigmoid(functional.linear(flat, w["w2"], w["b2"]))
    return functional.linear(scaled, w["w3"], w["b3"]).softmax(1).numpy()


def run(graph, x):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # the graph, not what is made of it
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})


def types_of(graph):
    """Element type of each tensor."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph), strict_mode=True, data_prop=True)
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {
        t.name: t.data_type for t in model.graph.initializer
    }


def casts(graph):
    return [node for node in onnx.load_from_string(graph).graph.node if node.op_type == "Cast"]


ROOM = {"input": (-4.0, 4.0), "clip": (0.0, 6.0), "conv": (-9.0, 9.0)}


def test_follows_float64_as_closely_as_float16_can(net, weights):
    x = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)
    made = to_float16(net, ranges=ROOM)
    (y,) = run(made.graph, x)
    assert y.dtype == np.float32
    error = np.abs(y - exact(x, weights)).max()
    assert error < 4e-3  # a few times 2^-11 of the logits
    assert error > np.abs(run(net, x)[0] - exact(x, weights)).max()  # and it is not float32 under another name


def test_says_what_became_float16_and_why_not(net):
    made = to_float16(net, ranges=ROOM)
    assert set(made.float16_nodes) == {"conv", "clip", "squeeze", "flat", "excite", "gate", "scaled", "logits"}
    assert made.float32_nodes == {"y": "overflows or cancels in float16"}
    types = types_of(made.graph)
    assert {types[name] for name in made.float16_nodes} == {F16}
    assert types["input"] == types["y"] == F32
    assert len(casts(made.graph)) == 2  # the input, and what the softmax reads


def test_without_ranges_averages_stay_float32(net):
    made = to_float16(net)
    assert made.float32_nodes["squeeze"] == "an average, without ranges"
    assert "moves" in made.float32_nodes["flat"]
    assert "excite" in made.float16_nodes


@pytest.mark.parametrize(
    ("ranges", "node", "why"),
    [
        ({**ROOM, "clip": (0.0, 300.0)}, "squeeze", "clip reaches 300 and 64 of it are summed"),
        ({**ROOM, "conv": (-20_000.0, 3.0)}, "conv", "conv reaches 2e+04"),
        ({**ROOM, "conv": (-np.nan, 3.0)}, "conv", "conv reaches nan"),
        ({"conv": (-9.0, 9.0)}, "squeeze", "an average, without ranges"),
    ],
)
def test_what_calibration_saw_overflow_stays_float32(net, ranges, node, why):
    assert to_float16(net, ranges=ranges).float32_nodes[node] == why


@pytest.mark.parametrize("value", [1e5, 3e-6, np.nan])
def test_weights_that_do_not_fit_stay_float32(net, weights, value):
    graph = onnx.load_from_string(net)
    for tensor in graph.graph.initializer:
        if tensor.name == "w2":
            tensor.CopyFrom(numpy_helper.from_array(np.full((8, 8), value, np.float32), "w2"))
    made = to_float16(graph.SerializeToString(), ranges=ROOM)
    assert made.float32_nodes["excite"] == "its weights w2 do not fit"
    kept = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(made.graph).graph.initializer}
    np.testing.assert_array_equal(kept["w2"], np.float32(value))


@pytest.mark.parametrize("ends", [(False, False), (True, False), (False, True), (True, True)])
def test_ends_have_the_type_that_is_asked_for(net, weights, ends):
    x = np.random.default_rng(2).normal(size=(3, 3, 8, 8)).astype(np.float32)
    graph = to_float16(net, ranges=ROOM, float16_inputs=ends[0], float16_outputs=ends[1]).graph
    types = types_of(graph)
    assert (types["input"], types["y"]) == tuple(F16 if half else F32 for half in ends)
    (y,) = run(graph, x.astype(np.float16) if ends[0] else x)
    np.testing.assert_allclose(y, exact(x, weights), atol=5e-3)


@pytest.mark.parametrize("half", [False, True])
def test_outputs_that_are_read_inside_too(half):
    graph = graph_of(
        [
            ("Relu", ["input"], "relu", {}),
            ("Exp", ["relu"], "exp", {}),
            ("Add", ["exp", "relu"], "sum", {}),
        ],
        {}, output=("relu", "exp", "sum"),
    )  # fmt: skip
    x = np.random.default_rng(3).normal(size=(2, 3, 8, 8)).astype(np.float32)
    made = to_float16(graph, float16_outputs=half)
    outputs = run(made.graph, x)
    wide = np.maximum(x.astype(np.float64), 0)
    for y, expected in zip(outputs, (wide, np.exp(wide), wide + np.exp(wide)), strict=True):
        assert y.dtype == (np.float16 if half else np.float32)
        np.testing.assert_allclose(y, expected, rtol=4e-3)


def test_asked_for_nodes_stay_float32(net):
    made = to_float16(net, ranges=ROOM, keep_float32=frozenset({"excite"}))
    assert made.float32_nodes["excite"] == "asked for"
    assert types_of(made.graph)["excite"] == F32
    with pytest.raises(InputError, match=r"\['nothing'\], which are no nodes"):
        to_float16(net, keep_float32=frozenset({"nothing"}))


def test_inputs_that_onnx_defines_on_float32_only_keep_it():
    """Resize: its scales are float32 whatever it resizes."""
    graph = graph_of(
        [("Resize", ["input", "", "scales"], "y", {"mode": "nearest"})],
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    )
    made = to_float16(graph)
    assert made.float16_nodes == ("y",)
    assert types_of(made.graph)["scales"] == F32
    x = np.random.default_rng(4).normal(size=(1, 3, 8, 8)).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(run(made.graph, x)[0], x.repeat(2, 2).repeat(2, 3))


def test_bounds_beyond_float16_bound_nothing():
    graph = graph_of(
        [("Clip", ["input", "low", "high"], "y", {})],
        {"low": np.float32(0), "high": np.float32(3.4e38)},
    )
    made = to_float16(graph)
    assert made.float16_nodes == ("y",)
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(made.graph).graph.initializer}
    assert stored["high_float16"] == np.float16(LARGEST)


def test_shapes_and_integers_are_left_alone():
    graph = graph_of(
        [
            ("Shape", ["input"], "shape", {}),
            ("Gather", ["shape", "first"], "batch_size", {"axis": 0}),
            ("Concat", ["batch_size", "rest"], "target", {"axis": 0}),
            ("Reshape", ["input", "target"], "y", {}),
        ],
        {"first": np.array([0]), "rest": np.array([-1])},
    )
    made = to_float16(graph)
    assert made.float16_nodes == ("y",)
    assert made.float32_nodes == {}
    x = np.arange(2 * 192, dtype=np.float32).reshape(2, 3, 8, 8)
    np.testing.assert_array_equal(run(made.graph, x)[0], x.reshape(2, -1))


def test_same_arguments_same_bytes_and_half_the_size(net):
    first, second = to_float16(net, ranges=ROOM), to_float16(net, ranges=ROOM)
    assert first.graph == second.graph
    wide = graph_of([("Gemm", ["input", "w"], "y", {})], {"w": np.ones((256, 256), np.float32)}, shape=("batch", 256))
    assert len(to_float16(wide).graph) < 0.51 * len(wide)


def quantized(weights):
    """The network in Q/DQ form: its input and both ends of the first convolution."""
    scale = np.abs(weights["w1"]).max((1, 2, 3)) / 127
    constants = {
        **{name: values for name, values in weights.items() if name != "w1"},
        "w1_int8": np.rint(weights["w1"] / scale[:, None, None, None]).astype(np.int8),
        "w1_scale": scale.astype(np.float32),
        "w1_zero": np.zeros(8, np.int8),
        "input_scale": np.float32(4 / 127), "clip_scale": np.float32(6 / 127), "zero": np.int8(0),
    }  # fmt: skip
    return graph_of(
        [
            ("QuantizeLinear", ["input", "input_scale", "zero"], "input_int8", {}),
            ("DequantizeLinear", ["input_int8", "input_scale", "zero"], "input_dequantized", {}),
            ("DequantizeLinear", ["w1_int8", "w1_scale", "w1_zero"], "w1", {"axis": 0}),
            ("Conv", ["input_dequantized", "w1", "b1"], "conv", {"pads": [1, 1, 1, 1]}),
            ("Clip", ["conv", "low", "high"], "clip", {}),
            ("QuantizeLinear", ["clip", "clip_scale", "zero"], "clip_int8", {}),
            ("DequantizeLinear", ["clip_int8", "clip_scale", "zero"], "clip_dequantized", {}),
            ("GlobalAveragePool", ["clip_dequantized"], "squeeze", {}),
            ("Flatten", ["squeeze"], "flat", {}),
            ("Gemm", ["flat", "w3", "b3"], "y", {"transB": 1}),
        ],
        constants,
        opset=18,
    )


def test_int8_graphs_get_float16_around_them(weights):
    graph = quantized(weights)
    made = to_float16(graph, ranges=ROOM)
    assert made.float32_nodes == {}
    types = types_of(made.graph)
    assert types["clip_scale_float16"] == types["w1_scale_float16"] == types["clip_dequantized"] == types["conv"] == F16
    assert types["clip_int8"] == TensorProto.INT8
    assert len(casts(made.graph)) == 2  # at the ends: none between DequantizeLinear and what engines fuse it with
    x = np.random.default_rng(5).normal(size=(4, 3, 8, 8)).astype(np.float32)
    (half,), (wide,) = run(made.graph, x), run(graph, x)
    # Float16 may round a value to the next int8 step here and there; the answer is a mean over many.
    np.testing.assert_allclose(half, wide, atol=6e-2 * np.abs(wide).max())


@pytest.mark.parametrize(("scale", "fits"), [(7e4, False), (np.nan, False), (3e-6, True), (1e-9, True), (0.0, True)])
def test_scales_stay_float32_where_the_weights_would_not_fit(weights, scale, fits):
    """A channel of weights near 0 may be rounded; to a scale above 0, for engines want that."""
    model = onnx.load_from_string(quantized(weights))
    for tensor in model.graph.initializer:
        if tensor.name == "w1_scale":  # one channel of eight
            values = numpy_helper.to_array(tensor).copy()
            values[3] = scale
            tensor.CopyFrom(numpy_helper.from_array(values, "w1_scale"))
    made = to_float16(model.SerializeToString(), ranges=ROOM)
    assert made.float32_nodes == ({} if fits else {"w1": "its scales w1_scale do not fit"})
    assert "conv" in made.float16_nodes
    if fits:
        (stored,) = [t for t in onnx.load_from_string(made.graph).graph.initializer if t.name == "w1_scale_float16"]
        assert numpy_helper.to_array(stored)[3] > 0


@pytest.mark.parametrize(("scale", "fits"), [(1e-3, True), (3e-7, False), (7e4, False)])
def test_scales_of_activations_fit_by_themselves(weights, scale, fits):
    model = onnx.load_from_string(quantized(weights))
    for tensor in model.graph.initializer:
        if tensor.name == "clip_scale":
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(np.float32(scale)), "clip_scale"))
    made = to_float16(model.SerializeToString(), ranges=ROOM)
    assert ("clip_dequantized" in made.float32_nodes) == (not fits)


def test_refuses_what_it_cannot_read():
    with pytest.raises(ModelFileError, match="not readable"):
        to_float16(b"not a graph")
    two = onnx.load_from_string(graph_of([("Relu", ["input"], "y", {})], {}))
    two.graph.input.append(helper.make_tensor_value_info("other", F32, [1]))
    with pytest.raises(ModelFileError, match=r"one input, got 2"):
        to_float16(two.SerializeToString())
    inner = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", F32, None)]
    )
    branch = onnx.load_from_string(graph_of([("Relu", ["input"], "y", {})], {"yes": np.array(True)}))
    branch.graph.node.append(helper.make_node("If", ["yes"], ["w"], "if", then_branch=inner, else_branch=inner))
    with pytest.raises(ModelFileError, match=r"'if' \(If\) is a branch or loop"):
        to_float16(branch.SerializeToString())
