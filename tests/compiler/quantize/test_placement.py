"""Which nodes of small graphs run in int8, and which tensors are quantized for them, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.compiler.quantize.dialects import DIALECTS, OPENVINO, TENSORRT, X86
from edgevision.compiler.quantize.placement import Graph, calibrated_tensors, place
from edgevision.errors import InputError

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
