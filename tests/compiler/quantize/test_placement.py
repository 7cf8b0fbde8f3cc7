"""Which nodes of small graphs run in int8, and which tensors are quantized for them, worked out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgevision.compiler.quantize.dialects import DIALECTS, OPENVINO, TENSORRT, X86
from edgevision.compiler.quantize.placement import Graph, calibrated_tensors, hard_sigmoid, place, weight_axis
from edgevision.errors import InputError, ModelFileError

pytestmark = pytest.mark.requires("onnx")

NOTHING = frozenset()


def parsed(b, *outputs):
    return Graph.parse(b.build(*outputs))


def placed(graph, dialect, keep_float=NOTHING):
    """(nodes in int8, tensors with Q/DQ)."""
    found = place(graph, dialect, frozenset(keep_float))
    return set(found.int8), set(found.quantized)


# ---- activations ----


@pytest.mark.parametrize(
    ("op", "inputs", "belongs"),
    [("Relu", (), True), ("Clip", (0.0, 6.0), True), ("Sigmoid", (), False)],
)
def test_a_relu_or_clip_belongs_to_the_convolution_before_it(builder, op, inputs, belongs):
    b = builder()
    conv = b.random_conv("x", 3, 4)
    after = b.node(op, [conv, *(b.constant(np.float32(value)) for value in inputs)])
    graph = parsed(b, b.random_conv(after, 4, 2))
    node = graph.producer[conv]
    assert (graph.activation_of(node) is not None) == belongs
    assert graph.result(node) == (after if belongs else conv)


def test_an_activation_belongs_to_nothing_that_moves_values_or_is_read_twice_or_is_an_output(builder):
    b = builder()
    conv = b.random_conv("x", 3, 4)
    pooled = b.node("MaxPool", [conv], kernel_shape=[2, 2])
    after_pool = b.node("Relu", [pooled])
    twice = b.random_conv(after_pool, 4, 4)
    first, second = b.node("Relu", [twice]), b.node("Sigmoid", [twice])
    shown = b.random_conv(b.node("Mul", [first, second]), 4, 4)
    graph = parsed(b, shown, b.node("Relu", [shown]))
    for name in (pooled, twice, shown):
        assert graph.activation_of(graph.producer[name]) is None
        assert graph.result(graph.producer[name]) == name


def test_a_clip_whose_bound_is_the_convolution_is_no_activation_of_it(builder):
    b = builder()
    conv = b.random_conv("x", 3, 1)
    bound = b.node("ReduceMax", [conv], keepdims=0)
    b.node("Clip", ["x", "", bound])
    graph = parsed(b, b.nodes[-1].output[0])
    assert graph.activation_of(graph.producer[bound]) is None
    assert graph.activation_of(graph.producer[conv]) is None


# ---- what is in int8, and what is rounded ----


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda one: one.name)
def test_a_chain_of_convolutions_is_rounded_before_each_of_them(builder, dialect):
    b = builder()
    first = b.random_conv("x", 3, 4)
    relu = b.node("Relu", [first])
    second = b.random_conv(relu, 4, 4)
    sigmoid = b.node("Sigmoid", [second])
    graph = parsed(b, sigmoid)
    int8, quantized = placed(graph, dialect)
    assert int8 == {first, second}
    # The last one's output is read by a float node only: Q/DQ there is for engines that have no int8 convolution with float output.
    assert quantized == {"x", relu} | ({second} if dialect.quantize_conv_outputs else set())


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda one: one.name)
def test_matmul_and_gemm_hand_on_float(builder, dialect):
    """No engine rounds what the last fully connected layer hands on: those are the answers."""
    b = builder()
    features = b.node("Flatten", [b.node("GlobalAveragePool", [b.random_conv("x", 3, 4)])])
    last = b.random_gemm(features, 4, 10)
    _, quantized = placed(parsed(b, last), dialect)
    assert last not in quantized
    assert features in quantized


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda one: one.name)
def test_a_residual_is_rounded_on_the_side_that_the_engine_does_not_fuse(builder, dialect):
    b = builder()
    stem = b.node("Relu", [b.random_conv("x", 3, 4)])
    branch = b.random_conv(stem, 4, 4)
    total = b.node("Add", [branch, stem])
    last = b.random_conv(total, 4, 2)
    int8, quantized = placed(parsed(b, last), dialect)
    assert int8 >= {branch, total, last}
    assert (branch in quantized) == (dialect.quantize_conv_outputs or not dialect.fuses_residual)
    assert {"x", stem, total} <= quantized


def test_an_add_of_two_pools_is_float_where_engines_only_add_inside_a_convolution(builder):
    b = builder()
    stem = b.random_conv("x", 3, 4)
    left, right = (b.node(op, [stem], kernel_shape=[2, 2]) for op in ("MaxPool", "AveragePool"))
    total = b.node("Add", [left, right])
    graph = parsed(b, b.random_conv(total, 4, 2))
    fusing = {dialect.name for dialect in DIALECTS.values() if dialect.fuses_residual}
    assert fusing
    for dialect in DIALECTS.values():
        if "Add" in dialect.int8_ops:
            assert (total in placed(graph, dialect)[0]) == (dialect.name not in fusing)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda one: one.name)
def test_a_join_that_float_nodes_alone_read_is_rounded_where_the_dialect_says_so(builder, dialect):
    """One branch leads to weights, so that the join is before them; its other reader is float."""
    b = builder()
    joined = b.node("Concat", [b.random_conv("x", 3, 4), b.random_conv("x", 3, 4)], axis=1)
    read_as_float = b.node("Sigmoid", [joined])
    later = b.random_conv(read_as_float, 8, 2)
    int8, quantized = placed(parsed(b, later), dialect)
    assert (joined in int8) == ("Concat" in dialect.int8_ops)
    assert (joined in quantized) == ("Concat" in dialect.int8_ops and dialect.quantize_concat_for_float)


def test_a_pool_that_float_nodes_alone_read_is_rounded(builder):
    b = builder()
    pooled = b.node("AveragePool", [b.random_conv("x", 3, 4)], kernel_shape=[2, 2])
    later = b.random_conv(b.node("Sigmoid", [pooled]), 4, 2)
    int8, quantized = placed(parsed(b, later), X86)
    assert {pooled} <= int8
    assert {pooled} <= quantized


def test_what_lies_behind_the_last_weights_stays_float(builder):
    b = builder()
    boxes, scores = b.random_conv("x", 3, 4), b.random_conv("x", 3, 4)
    joined = b.node("Concat", [boxes, scores], axis=1)
    pooled = b.node("AveragePool", [joined], kernel_shape=[2, 2])
    int8, quantized = placed(parsed(b, pooled), X86)
    assert int8 == {boxes, scores}
    assert not {joined, pooled} & quantized


def test_moving_values_is_int8_only_where_they_are_int8_already(builder):
    b = builder()
    before = b.node("MaxPool", ["x"], kernel_shape=[2, 2])
    conv = b.random_conv(before, 3, 4)
    after = b.node("MaxPool", [conv], kernel_shape=[2, 2])
    graph = parsed(b, b.random_conv(after, 4, 2))
    found = place(graph, X86, NOTHING)
    assert before not in found.int8
    assert after in found.int8
    assert (conv, after) in found.tied  # one quantization for what goes in and what comes out


@pytest.mark.parametrize("kept", ["conv", "relu"])
def test_a_layer_kept_in_float_is_named_by_itself_or_by_its_activation(builder, kept):
    b = builder()
    first = b.random_conv("x", 3, 4)
    relu = b.node("Relu", [first])
    second = b.random_conv(relu, 4, 4)
    third = b.random_conv(b.node("Sigmoid", [second]), 4, 2)
    name = {"conv": first, "relu": relu}[kept]
    int8, quantized = placed(parsed(b, third), OPENVINO, {name})
    assert int8 == {second, third}
    assert "x" not in quantized
    assert relu in quantized  # the second still reads it in int8


def test_an_unknown_layer_is_refused(builder):
    b = builder()
    graph = parsed(b, b.random_conv("x", 3, 4))
    with pytest.raises(InputError, match="does not have: nowhere"):
        place(graph, TENSORRT, frozenset({"nowhere"}))


def test_calibration_looks_at_every_tensor_that_some_dialect_rounds(mixed, swish):
    for data in (mixed, swish):
        graph = Graph.parse(data)
        wanted = set(calibrated_tensors(graph))
        for dialect in DIALECTS.values():
            assert set(place(graph, dialect, NOTHING).quantized) <= wanted


# ---- which forms of an operator have int8 kernels ----

FEATURES = "features"  # the input's mean over its places: [batch, 4], made by what no dialect runs in int8


def can_be_int8(b, op, inputs, **attributes):
    """Whether calibration looks at what this node, the last of the graph, gives."""
    b.nodes.insert(0, onnx.helper.make_node("ReduceMean", ["x"], [FEATURES], FEATURES, axes=[2, 3], keepdims=0))
    made = b.node(op, inputs, **attributes)
    return made in calibrated_tensors(parsed(b, made))


@pytest.mark.parametrize(
    ("op", "weight", "bias", "attributes", "expected"),
    [
        ("Gemm", (4, 3), (3,), {}, True),
        ("Gemm", (3, 4), (3,), {"transB": 1}, True),
        ("Gemm", (4, 3), None, {}, True),
        ("Gemm", (3, 4), (1, 3), {"transB": 1}, False),  # a bias that is spread over photos
        ("Gemm", (4, 3), (1,), {}, False),
        ("Gemm", (4, 3), (3,), {"alpha": 0.5}, False),
        ("Gemm", (4, 3), (3,), {"beta": 0.5}, False),
        ("Gemm", (4, 3), (3,), {"transA": 1}, False),
        ("MatMul", (4, 3), None, {}, True),
        ("MatMul", (2, 4, 3), None, {}, False),
        ("MatMul", (4,), None, {}, False),
    ],
)
def test_fully_connected_layers(builder, op, weight, bias, attributes, expected):
    b = builder(4, 2)
    inputs = [FEATURES, *(b.constant(np.ones(shape, np.float32)) for shape in (weight, bias) if shape is not None)]
    assert can_be_int8(b, op, inputs, **attributes) == expected


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("bias", [None, np.ones(2, np.float32)])
def test_convolutions_with_and_without_a_bias(builder, kernel, bias):
    b = builder(4, 8)
    inputs = [
        "x",
        b.constant(np.ones((2, 4, kernel, kernel), np.float32)),
        *([] if bias is None else [b.constant(bias)]),
    ]
    assert can_be_int8(b, "Conv", inputs)


def test_an_input_that_is_left_out_is_no_bias(builder):
    b = builder(4, 2)
    assert can_be_int8(b, "Gemm", [FEATURES, b.constant(np.ones((4, 3), np.float32)), ""])


def test_weights_that_are_computed_have_no_int8_form(builder):
    b = builder(4, 2)
    turned = b.node("Transpose", [FEATURES], perm=[1, 0])
    assert not can_be_int8(b, "MatMul", [FEATURES, turned])


def test_a_product_with_the_constant_on_the_left_has_none_either(builder):
    b = builder(4, 2)
    turned = b.node("Transpose", [FEATURES], perm=[1, 0])
    assert not can_be_int8(b, "MatMul", [b.constant(np.ones((3, 4), np.float32)), turned])


def test_nor_has_a_bias_that_is_computed(builder):
    b = builder(4, 2)
    bias = b.node("ReduceMean", ["x"], axes=[0, 2, 3], keepdims=0)
    assert not can_be_int8(b, "Gemm", [FEATURES, b.constant(np.ones((4, 4), np.float32)), bias])


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "expected"),
    [
        ("Add", ["left", "right"], {}, True),
        ("Mul", ["left", "right"], {}, True),
        ("Add", ["left", "left"], {}, False),  # twice the same is a factor
        ("Mul", ["left", "left"], {}, False),
        ("Mul", ["left", "constant"], {}, False),
        ("Concat", ["left", "right"], {"axis": 1}, True),
        ("Concat", ["left", "left"], {"axis": 1}, True),
        ("Concat", ["left", "right", "left"], {"axis": 1}, True),
        ("Concat", ["left", "constant"], {"axis": 0}, False),
        ("GlobalAveragePool", ["left"], {}, True),
        ("AveragePool", ["left"], {"kernel_shape": [2, 2]}, True),
        ("HardSwish", ["left"], {}, True),
        ("HardSigmoid", ["left"], {}, True),
        ("HardSigmoid", ["left"], {"alpha": 0.0}, False),  # a constant
        ("HardSigmoid", ["left"], {"alpha": -0.2}, False),  # falls
        ("Flatten", ["left"], {}, True),
        ("Flatten", ["constant"], {}, False),
        ("Sigmoid", ["left"], {}, False),
        ("Sub", ["left", "right"], {}, False),
    ],
)
def test_other_operators(builder, op, inputs, attributes, expected):
    b = builder(4, 2)
    known = {
        "left": b.node("Sigmoid", ["x"]),
        "right": b.node("Tanh", ["x"]),
        "constant": b.constant(np.ones((1, 4, 2, 2), np.float32)),
    }
    assert can_be_int8(b, op, [known[name] for name in inputs], **attributes) == expected


def test_a_pool_that_says_where_its_values_were_is_float(builder):
    b = builder(4, 4)
    made = onnx.helper.make_node("MaxPool", ["x"], ["most", "places"], "pool", kernel_shape=[2, 2])
    b.nodes.append(made)
    assert calibrated_tensors(parsed(b, "most")) == ()


def test_shape_arithmetic_is_no_float_tensor(builder):
    """The sum of two int64 shapes is an Add too."""
    b = builder(4, 4)
    first, second = b.node("Shape", ["x"]), b.node("Shape", [b.node("Sigmoid", ["x"])])
    total = b.node("Add", [first, second])
    shown = b.node("Cast", [total], to=onnx.TensorProto.FLOAT)
    assert calibrated_tensors(parsed(b, shown)) == ()


@pytest.mark.parametrize(
    ("op", "attributes", "expected"),
    [
        ("HardSwish", {}, (1 / 6, 0.5)),
        ("HardSigmoid", {}, (0.2, 0.5)),  # ONNX's defaults
        ("HardSigmoid", {"alpha": 0.25}, (0.25, 0.5)),
        ("HardSigmoid", {"beta": 0.75}, (0.2, 0.75)),
    ],
)
def test_the_gate_of_hard_sigmoid_and_hard_swish(op, attributes, expected):
    assert hard_sigmoid(onnx.helper.make_node(op, ["x"], ["y"], **attributes)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("op", "attributes", "axis"),
    [("Conv", {}, 0), ("Gemm", {"transB": 1}, 0), ("Gemm", {"transB": 0}, 1), ("Gemm", {}, 1), ("MatMul", {}, 1)],
)
def test_the_axis_of_output_channels(op, attributes, axis):
    assert weight_axis(onnx.helper.make_node(op, ["x", "w"], ["y"], **attributes)) == axis


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 6.0, (0.0, 6.0)),
        (-1.5, None, (-1.5, np.inf)),
        (None, 2.5, (-np.inf, 2.5)),
        (None, None, (-np.inf, np.inf)),
        (0.0, "computed", None),
        ("computed", 6.0, None),
    ],
)
def test_the_bounds_of_a_clip(builder, low, high, expected):
    b = builder(4, 2)
    bounds = []
    for bound in (low, high):
        if bound is None:
            bounds.append("")
        elif bound == "computed":
            bounds.append(b.node("ReduceMax", ["x"], keepdims=0))
        else:
            bounds.append(b.constant(np.float32(bound)))
    clipped = b.node("Clip", ["x", *bounds])
    graph = parsed(b, clipped)
    assert graph.clip_bounds(graph.producer[clipped]) == expected


def test_a_relu_is_bounded_below(builder):
    b = builder(4, 2)
    made = b.node("Relu", ["x"])
    graph = parsed(b, made)
    assert graph.clip_bounds(graph.producer[made]) == (0.0, np.inf)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda model: model.graph.input.add().CopyFrom(model.graph.input[0]), "one input, got 2"),
        (lambda model: model.graph.ClearField("input"), "one input, got 0"),
        (lambda model: setattr(model.graph.node[1], "name", model.graph.node[0].name), "two nodes of the float graph"),
        (lambda model: setattr(model.opset_import[0], "version", 12), "opset 13 or later, got 12"),
    ],
)
def test_graphs_that_are_refused(builder, spoil, message):
    b = builder(4, 2)
    model = onnx.load_model_from_string(b.build(b.node("Relu", [b.node("Sigmoid", ["x"])])))
    spoil(model)
    with pytest.raises(ModelFileError, match=message):
        Graph.parse(model.SerializeToString())


def test_weights_that_are_listed_as_inputs_too_are_weights(builder):
    """As files of old exporters have them."""
    b = builder(4, 2)
    model = onnx.load_model_from_string(b.build(b.random_conv("x", 4, 2)))
    for tensor in model.graph.initializer:
        model.graph.input.add().CopyFrom(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    assert Graph.parse(model.SerializeToString()).input == "x"


def test_nodes_without_names_get_names_of_their_own(builder):
    b = builder(4, 2)
    model = onnx.load_model_from_string(b.build(b.node("Relu", [b.node("Relu", ["x"])])))
    for node in model.graph.node:
        node.name = ""
    assert len({node.name for node in Graph.parse(model.SerializeToString()).model.graph.node} - {""}) == 2
