"""Graphs in half or double precision → float32, in which everything after is computed and compared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from edgevision.compiler.sources.external_data import all_tensors
from edgevision.compiler.sources.graph import all_graphs, all_nodes
from edgevision.errors import ModelFileError

_NAMES = {  # but float32
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.BFLOAT16: "bfloat16",
    onnx.TensorProto.DOUBLE: "float64",
}
_TYPE_ATTRIBUTES = ("to", "dtype", "stash_type", "output_datatype")  # an operator's element type, as a number
_CASTS = ("Cast", "CastLike")
_LARGEST = float(np.finfo(np.float32).max)


def narrow_types(model: onnx.ModelProto) -> tuple[str, ...]:
    """The types in half or double precision that tensors of ``model`` have, such as ``("float16",)``."""
    kinds = {tensor.data_type for tensor in all_tensors(model.graph)}
    kinds |= {kind.elem_type for kind in _element_types(model.graph)}
    return tuple(name for kind, name in _NAMES.items() if kind in kinds)


def cast_to_float32(model: onnx.ModelProto, name: str) -> None:
    """Make every tensor, constant, input and output of ``model`` in half or double precision float32, in place.

    A cast between two of these types becomes an identity, which ``clean_graph`` removes. float64 numbers
    that float32 cannot hold become its largest. Raises ModelFileError for a tensor whose data do not fit its shape.
    """
    for tensor in list(all_tensors(model.graph)):
        if tensor.data_type in _NAMES:
            tensor.CopyFrom(_as_float32(tensor, name))
    for kind in _element_types(model.graph):
        if kind.elem_type in _NAMES:
            kind.elem_type = onnx.TensorProto.FLOAT
    for node in all_nodes(model.graph):
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i in _NAMES:
                attribute.i = onnx.TensorProto.FLOAT
    _drop_casts(model)


def _drop_casts(model: onnx.ModelProto) -> None:
    """Casts from float32 to float32 become identities."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        return  # the checker will say what is wrong
    floats = {i.name for i in graph.initializer if i.data_type == onnx.TensorProto.FLOAT}
    for value in (*graph.value_info, *graph.input, *graph.output):
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            floats.add(value.name)
    for node in model.graph.node:
        if node.op_type in _CASTS and {node.input[0], node.output[0]} <= floats:
            node.CopyFrom(onnx.helper.make_node("Identity", node.input[:1], list(node.output), node.name))


def _as_float32(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    try:
        values: npt.NDArray[np.float64] = numpy_helper.to_array(tensor).astype(np.float64)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ModelFileError(f"{name} is damaged: tensor {tensor.name!r} does not have the size it states") from error
    finite = np.isfinite(values)
    values[finite] = np.clip(values[finite], -_LARGEST, _LARGEST)
    return numpy_helper.from_array(values.astype(np.float32), tensor.name)


def _element_types(graph: onnx.GraphProto) -> Iterator[onnx.TypeProto.Tensor]:
    """The types that a graph states for its tensors, and the graphs inside it for theirs."""
    for one in all_graphs(graph):
        for value in (*one.input, *one.output, *one.value_info):
            if value.type.HasField("tensor_type"):
                yield value.type.tensor_type
