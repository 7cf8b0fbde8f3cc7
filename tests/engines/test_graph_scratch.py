"""What engines take inside a node: refused where it is too much, and never what ordinary networks are made of."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import admitted, constant, data_of, f32, node

from edgevision.errors import EngineError

pytestmark = pytest.mark.requires("onnx")


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
