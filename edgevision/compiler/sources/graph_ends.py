"""Inputs and outputs of float graphs that are no picture and no float: brought to one picture in, floats out."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgevision.compiler.sources.graph import shape_of

SIZE_INPUT = "orig_target_sizes"  # of RT-DETR, D-FINE and DEIM: width and height in which boxes are wanted
_WHOLE = (TensorProto.INT64, TensorProto.INT32)


def fix_size_input(model: onnx.ModelProto, name: str) -> tuple[str, ...]:
    """Make a constant of the input that says in which size boxes are wanted, in place: the picture's own width and height.

    What was done, for the report; nothing where there is no such input, or the picture's size is open.
    """
    graph = model.graph
    sizes = [value for value in graph.input if value.name == SIZE_INPUT]
    pictures = [value for value in graph.input if value.name != SIZE_INPUT]
    shape = shape_of(pictures[0]) if len(sizes) == len(pictures) == 1 else None
    if shape is None or len(shape) != 4 or None in shape[2:]:
        return ()
    (size,) = sizes
    dtype = helper.tensor_dtype_to_np_dtype(size.type.tensor_type.elem_type)
    graph.initializer.append(numpy_helper.from_array(np.array([[shape[3], shape[2]]], dtype), SIZE_INPUT))
    graph.input.remove(size)
    return (f"{name} asks for the size in which boxes are wanted: it was fixed to the input's, {shape[3]}×{shape[2]}",)


def cast_whole_outputs(model: onnx.ModelProto) -> None:
    """Give outputs of whole numbers, such as classes, as float32, in place: those with a batch axis and others."""
    graph = model.graph
    for output in graph.output:
        if output.type.tensor_type.elem_type not in _WHOLE or len(shape_of(output) or ()) < 2:
            continue
        whole = f"{output.name}_whole"
        for node in graph.node:
            for names in (node.input, node.output):
                for place, one in enumerate(names):
                    if one == output.name:
                        names[place] = whole
        graph.node.append(helper.make_node("Cast", [whole], [output.name], f"{output.name}_cast", to=TensorProto.FLOAT))
        output.type.tensor_type.elem_type = TensorProto.FLOAT
