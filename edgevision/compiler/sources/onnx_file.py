"""ONNX files: read, checked, made whole, and their batch axis made dynamic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
import onnx.external_data_helper
import onnx.inliner
import onnx.version_converter
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from edgevision.compiler.sources.graph import BATCH, MAX_PROTO, all_nodes, shape_of
from edgevision.compiler.sources.parity import brief
from edgevision.errors import ModelFileError

OLDEST_OPSET, OPSET = 17, 18
_STANDARD = ("", "ai.onnx")
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger")


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A whole, checked graph. ``shape`` is its input's, ``classes`` the second axis of its one output; None = not fixed.

    ``batch``: the batch size the graph is written for; None = dynamic.
    """

    model: onnx.ModelProto
    shape: tuple[int | None, ...]
    classes: int | None
    batch: int | None


def parse_onnx(data: bytes) -> onnx.ModelProto | None:
    """The model in ``data``, or None when that is not an ONNX file. (Protobuf has no magic number.)"""
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError):
        return None
    if model.ir_version < 1 or not model.graph.node or not model.opset_import:
        return None
    return model


def open_onnx(model: onnx.ModelProto, path: Path) -> OnnxFile:
    """Check a parsed model, load its external data from beside ``path``, and bring it to a usable opset.

    Raises ModelFileError, naming the operator, node, file or tensor at fault.
    """
    name = path.name
    if not all(isinstance(text, str) for text in _texts(model)):  # protobuf hands out as bytes what is not UTF-8
        raise ModelFileError(f"{name} is damaged: a name in it is not text; copy or export it again")
    _load_external_data(model, path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _check_operators(model, name)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise ModelFileError(f"{name} is not valid ONNX: {brief(error)}; export it again") from error
    model = _with_usable_opset(model, name)
    shape, classes = _check_ends(model.graph, name)
    return OnnxFile(model, shape, classes, shape[0])


def with_dynamic_batch(file: OnnxFile) -> onnx.ModelProto:
    """The graph for any batch size. Shapes inside that repeat the fixed batch are rewritten where that is plain
    (Reshape); whether the rest holds at other batch sizes is for ``check_parity`` to say."""
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    graph = model.graph
    if file.batch is not None:
        _free_reshapes(model, file.batch)
        del graph.value_info[:]
    initializers = {i.name for i in graph.initializer}
    for value in (*(i for i in graph.input if i.name not in initializers), *graph.output):
        if value.type.tensor_type.shape.dim:
            axis = value.type.tensor_type.shape.dim[0]
            axis.Clear()
            axis.dim_param = BATCH
    return model


# ---- external data ----


def _load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Load weights that lie in files beside the model into it: afterwards it needs no other file."""
    folder = path.resolve().parent
    total = 0
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            del tensor.external_data[:]  # without a meaning there
            continue
        told = {entry.key: entry.value for entry in tensor.external_data}
        location = told.get("location", "")
        parts = PurePosixPath(location).parts
        if len(told) != len(tensor.external_data):  # readers differ in which one they take
            raise ModelFileError(f"{path.name}: tensor {tensor.name!r} says twice where it lies: refused as hostile")
        if not location or "\\" in location or "\0" in location or location.startswith("/") or ".." in parts:
            raise ModelFileError(
                f"{path.name}: tensor {tensor.name!r} points outside the model's folder ({location!r}): refused as hostile"
            )
        file = folder / location
        if not file.is_file():
            raise ModelFileError(
                f"{path.name} keeps its weights in {location!r}, which is not in {folder}; put the file beside the model"
            )
        if not file.resolve().is_relative_to(folder):
            raise ModelFileError(f"{path.name}: {location!r} is a link out of the model's folder: refused as hostile")
        try:
            total += _external_bytes(told, file)
            if total > MAX_PROTO:
                raise ValueError("together its weights have more than 2 GiB, the most that a graph can hold")
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
            if len(numpy_helper.to_array(tensor).tobytes()) == 0 and np.prod(tensor.dims) > 0:
                raise ValueError("it is empty")
        except (OSError, ValueError, TypeError, RuntimeError, onnx.checker.ValidationError) as error:
            raise ModelFileError(
                f"{path.name}: the weights file {location!r} does not hold tensor {tensor.name!r} ({brief(error)}); "
                "copy both files again"
            ) from error


def _external_bytes(told: Mapping[str, str], file: Path) -> int:
    """How many bytes of ``file`` would be read: known before any are, for a file can be larger than memory."""
    if "length" in told:
        return max(0, int(told["length"]))
    return max(0, file.stat().st_size - int(told.get("offset", 0)))


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Every tensor in a message, wherever it stands: weights, attributes, sub-graphs, functions, sparse tensors, …."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in (value,) if hasattr(value, "ListFields") else value:
            if isinstance(part, onnx.TensorProto):
                yield part
            else:
                yield from _tensors(part)


# ---- checks ----


def _texts(model: onnx.ModelProto) -> Iterator[object]:
    """The names in a model that are read here, each a str when it is whole."""
    graph = model.graph
    yield graph.name
    for prop in model.metadata_props:
        yield from (prop.key, prop.value)
    for opset in model.opset_import:
        yield opset.domain
    for node in all_nodes(graph):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for item in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        yield item.name


def _check_operators(model: onnx.ModelProto, name: str) -> None:
    for node in all_nodes(model.graph):
        where = f"at node {node.name or node.output[0]!r}"
        if node.domain not in _STANDARD:
            raise ModelFileError(
                f"{name} uses the custom operator {node.domain}::{node.op_type} {where}; only standard ONNX operators "
                "run everywhere: export the model without it"
            )
        if node.op_type in _QUANTIZED:
            raise ModelFileError(
                f"{name} is quantized already ({node.op_type} {where}); compile the float model it was made from"
            )


def _with_usable_opset(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    version = next((o.version for o in model.opset_import if o.domain in _STANDARD), 0)
    if version >= OLDEST_OPSET:
        return model
    try:
        converted = onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises RuntimeError, ConvertError, and what its C++ throws
        raise ModelFileError(
            f"{name} has opset {version} and cannot be converted to {OPSET} ({brief(error)}); "
            f"export it again with opset {OPSET}"
        ) from error
    del converted.metadata_props[:]
    converted.metadata_props.extend(model.metadata_props)
    return converted


def _check_ends(graph: onnx.GraphProto, name: str) -> tuple[tuple[int | None, ...], int | None]:
    """Shape of the input, and second axis of the output where there is one output of two axes; None where the graph does
    not fix them. Whether the outputs are those of a task is the task's to say."""
    initializers = {i.name for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in initializers]
    expected = "[batch, channels, height, width]"
    if len(inputs) != 1:
        names = ", ".join(repr(v.name) for v in inputs) or "none"
        raise ModelFileError(
            f"{name} has {len(inputs)} inputs ({names}); expected one, the picture, float32 {expected}: export only that one"
        )
    if not graph.output:
        raise ModelFileError(f"{name} has no output; export the model with one")
    _check_float(inputs[0], "input", expected, name)
    shape = shape_of(inputs[0])
    if shape is None or len(shape) != 4:
        raise ModelFileError(
            f"{name}: its input {inputs[0].name!r} has the shape {_written(shape)}, expected {expected}; export it so"
        )
    for value in graph.output:
        _check_float(value, "output", "[batch, …]", name)
        rank = shape_of(value)
        if rank is None or not rank:
            raise ModelFileError(
                f"{name}: its output {value.name!r} has the shape {_written(rank)}, expected [batch, …]; export it so"
            )
    first = shape_of(graph.output[0]) or ()
    return shape, first[1] if len(graph.output) == 1 and len(first) == 2 else None


def _check_float(value: onnx.ValueInfoProto, what: str, shape: str, name: str) -> None:
    kind = value.type.tensor_type.elem_type
    if kind != onnx.TensorProto.FLOAT:
        got = onnx.TensorProto.DataType.Name(kind).lower() if kind else "no tensor"
        raise ModelFileError(
            f"{name}: its {what} {value.name!r} is {got}, expected float32 {shape}; export the float32 model, with "
            "preprocessing left to the preprocess spec"
        )


def _written(shape: tuple[int | None, ...] | None) -> str:
    return "unknown" if shape is None else "[" + ", ".join("?" if s is None else str(s) for s in shape) + "]"


# ---- dynamic batch ----


def _free_reshapes(model: onnx.ModelProto, batch: int) -> None:
    """In each constant Reshape target that begins with the batch, leave that axis to be computed."""
    graph = model.graph
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {v.name: shape_of(v) for v in (*inferred.value_info, *inferred.input, *inferred.output)}
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer if i.data_type == onnx.TensorProto.INT64}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for number, node in enumerate(graph.node):
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        target = constants[node.input[1]].copy()
        if not len(target) or target[0] != batch or any(a.name == "allowzero" and a.i for a in node.attribute):
            continue
        before = shapes.get(node.input[0])
        if before and before[0] == batch:
            target[0] = 0  # as in the input
        elif -1 not in target:
            target[0] = -1
        else:
            continue
        node.input[1] = f"{node.input[1]}_any_batch_{number}"
        graph.initializer.append(numpy_helper.from_array(target, node.input[1]))
