"""Shapes by our rules against those that ONNX Runtime really makes, and the page that lists the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graphs import admitted, constant, data_of, f32, node

from edgevision.engines.graph_reader import Node
from edgevision.engines.graph_shapes import Tensor, rule_of

pytestmark = pytest.mark.requires("onnx")
DATA = Path(__file__).parents[1] / "data"

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
    "resize whose product is just below a whole number": (
        [node("Tile", ["input", "t"], ["wide"]), node("Resize", ["wide", "", "f"])],
        [constant("t", [1, 1, 20, 1]), constant("f", [1, 1, 0.7, 1.0], np.float32)],
    ),
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


def test_the_work_of_upsample_grows_with_what_it_makes():
    """A single pixel becomes a gigapixel, more work than constants may take."""
    upsample = Node("", "Upsample", ("x", "scales"), ("y",), {})
    scales = Tensor((4,), np.array([1.0, 1.0, 2.0**15, 2.0**15]))
    assert rule_of(upsample)(upsample, [Tensor((1, 1, 1, 1)), scales]) == ([(1, 1, 2**15, 2**15)], 4 * 2**30)


def test_the_page_lists_the_operators_that_are_run():
    from edgevision.engines.graph_shapes import OPERATORS as RUN

    page = (DATA.parents[1] / "docs" / "bundle.md").read_text(encoding="utf-8")
    listed = page.split("by their ONNX names:")[1].split("An engine that takes")[0].replace("`", "").strip(" .\n")
    assert listed.replace("\n", " ").split(", ") == sorted(RUN)
