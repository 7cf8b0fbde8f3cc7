"""Writes the committed graphs: a classifier whose logits are 8 × the mean of red, green and blue (0…1), and a detector that
finds cells of 8×8 pixels: its logits are 12 × the mean of a cell's red, green and blue, less 6.

    python tests/data/make_graphs.py

The classifier also in Q/DQ form, with scales that make it exact for 8-bit pixels. Needs the package onnx.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

SIDE_PX = 8
GAIN = 8.0


def color_graph(*, int8: bool) -> bytes:
    """Input float32 [batch, 3, 8, 8], RGB in 0…1; output float32 [batch, 3]."""
    weight = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    if int8:
        constants = {
            "pixel_scale": np.float32(1 / 255), "pixel_zero": np.uint8(0),
            "weight_int8": (127 * weight).astype(np.int8), "weight_scale": np.full(3, GAIN / 127, np.float32),
            "weight_zero": np.zeros(3, np.int8), "sum_scale": np.float32(GAIN / 255), "sum_zero": np.uint8(0),
        }  # fmt: skip
        nodes = [
            helper.make_node("QuantizeLinear", ["input", "pixel_scale", "pixel_zero"], ["pixels_u8"]),
            helper.make_node("DequantizeLinear", ["pixels_u8", "pixel_scale", "pixel_zero"], ["pixels"]),
            helper.make_node("DequantizeLinear", ["weight_int8", "weight_scale", "weight_zero"], ["weight"], axis=0),
            helper.make_node("Conv", ["pixels", "weight"], ["sum"], name="conv"),
            helper.make_node("QuantizeLinear", ["sum", "sum_scale", "sum_zero"], ["sum_u8"]),
            helper.make_node("DequantizeLinear", ["sum_u8", "sum_scale", "sum_zero"], ["colors"]),
        ]
    else:
        constants = {"weight": GAIN * weight}
        nodes = [helper.make_node("Conv", ["input", "weight"], ["colors"], name="conv")]
    nodes += [
        helper.make_node("GlobalAveragePool", ["colors"], ["means"], name="mean"),
        helper.make_node("Flatten", ["means"], ["output"]),
    ]
    return written("color", nodes, constants, {"input": (3, SIDE_PX, SIDE_PX)}, {"output": (3,)})


def cells_graph() -> bytes:
    """Input float32 [batch, 3, 32, 48], RGB in 0…1; outputs ``cls_s8`` [batch, 3, 4, 6] and ``box_s8`` [batch, 4, 4, 6], whose
    distances are half a cell: each box is its cell."""
    constants = {
        "gain": 12 * np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "offset": np.full(3, -6, np.float32),
        "nothing": np.zeros((4, 3, 1, 1), np.float32), "half": np.full(4, 0.5, np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("AveragePool", ["input"], ["means"], kernel_shape=[8, 8], strides=[8, 8], name="mean"),
        helper.make_node("Conv", ["means", "gain", "offset"], ["cls_s8"], name="class"),
        helper.make_node("Conv", ["means", "nothing", "half"], ["box_s8"], name="box"),
    ]
    return written("cells", nodes, constants, {"input": (3, 32, 48)}, {"cls_s8": (3, 4, 6), "box_s8": (4, 4, 6)})


def written(name, nodes, constants, inputs, outputs) -> bytes:
    """The graph in a model, checked. ``inputs``, ``outputs``: shapes without the batch."""
    infos = [
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, ["batch", *shape]) for key, shape in values.items()]
        for values in (inputs, outputs)
    ]
    weights = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, *infos, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = "edgevision-tests"
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    folder = Path(__file__).parent
    (folder / "color.onnx").write_bytes(color_graph(int8=False))
    (folder / "color-int8.onnx").write_bytes(color_graph(int8=True))
    (folder / "cells.onnx").write_bytes(cells_graph())
