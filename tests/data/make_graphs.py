"""Writes the committed graphs: a classifier whose logits are 8 × the mean of red, green and blue (0…1).

    python tests/data/make_graphs.py

Float, and the same in Q/DQ form with scales that make it exact for 8-bit pixels. Needs the package onnx.
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
    graph = helper.make_graph(
        nodes,
        "color",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = "edgevision-tests"
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    folder = Path(__file__).parent
    (folder / "color.onnx").write_bytes(color_graph(int8=False))
    (folder / "color-int8.onnx").write_bytes(color_graph(int8=True))
