"""ONNX files: read, checked, made whole, and brought to float32 and a usable opset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.inliner
import onnx.version_converter
from google.protobuf.message import DecodeError

from edgevision.compiler.sources.external_data import load_external_data
from edgevision.compiler.sources.float_types import cast_to_float32, narrow_types
from edgevision.compiler.sources.graph import all_nodes, shape_of
from edgevision.compiler.sources.graph_ends import cast_whole_outputs, fix_size_input
from edgevision.compiler.sources.outputs import advice, keep_outputs, written
from edgevision.compiler.sources.parity import brief
from edgevision.errors import ModelFileError

OLDEST_OPSET, OPSET = 17, 18
_FIRST_FREE_IR = 4  # initializers need not be inputs from this version on
_STANDARD = ("", "ai.onnx")
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger")


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A whole, checked graph. ``shape`` is its input's, ``classes`` the second axis of its one output; None = not fixed.

    ``batch``: the batch size the graph is written for; None = dynamic. ``original``: the graph in the float types of its
    file, where these were not all float32; ``notes``: what was changed.
    """

    model: onnx.ModelProto
    shape: tuple[int | None, ...]
    classes: int | None
    batch: int | None
    original: onnx.ModelProto | None = None
    notes: tuple[str, ...] = ()


def parse_onnx(data: bytes) -> onnx.ModelProto | None:
    """The model in ``data``, or None when that is not an ONNX file. (Protobuf has no magic number.)"""
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError):
        return None
    if model.ir_version < 1 or not model.graph.node or not model.opset_import:
        return None
    return model


def open_onnx(model: onnx.ModelProto, path: Path, output_names: Sequence[str] = ()) -> OnnxFile:
    """Check a parsed model, load its external data from beside ``path``, and bring it to float32 and a usable opset.

    ``output_names``: the outputs to keep; none named = all. Raises ModelFileError, naming the operator, node, file or
    tensor at fault; InputError for an output that the graph does not have.
    """
    name = path.name
    if not all(isinstance(text, str) for text in _texts(model)):  # protobuf hands out as bytes what is not UTF-8
        raise ModelFileError(f"{name} is damaged: a name in it is not text; copy or export it again")
    load_external_data(model, path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _check_operators(model, name)
    keep_outputs(model, output_names, name)
    _free_initializers(model)
    original: onnx.ModelProto | None = None
    notes: tuple[str, ...] = ()
    if types := narrow_types(model):
        original = onnx.ModelProto()
        original.CopyFrom(model)
        cast_to_float32(model, name)
        notes = (f"{name} holds {' and '.join(types)} numbers: all were cast to float32 before anything else",)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise ModelFileError(f"{name} is not valid ONNX: {brief(error)}; export it again") from error
    opset = _opset(model)
    if opset < OLDEST_OPSET:
        model = _converted(model, opset, name)
        notes = (*notes, f"{name} has opset {opset}: it was converted to {OPSET}")
    if original is not None:
        fix_size_input(original, name)
        cast_whole_outputs(original)
    notes = (*notes, *fix_size_input(model, name))
    cast_whole_outputs(model)
    shape, classes = _check_ends(model.graph, name)
    return OnnxFile(model, shape, classes, shape[0], original, notes)


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


def _free_initializers(model: onnx.ModelProto) -> None:
    """Take initializers from the list of inputs, where IR 3 has them too: whoever feeds them could replace a weight, so that
    nothing may be folded into one."""
    model.ir_version = max(model.ir_version, _FIRST_FREE_IR)
    initializers = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in initializers]
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def _opset(model: onnx.ModelProto) -> int:
    return next((o.version for o in model.opset_import if o.domain in _STANDARD), 0)


def _converted(model: onnx.ModelProto, opset: int, name: str) -> onnx.ModelProto:
    try:
        converted = onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises RuntimeError, ConvertError, and what its C++ throws
        told = brief(error).rpartition(" failed: ")[2]  # after the place in its C++
        raise ModelFileError(
            f"{name} has opset {opset} and cannot be converted to {OPSET} ({told}); export it again with opset {OPSET}"
        ) from error
    del converted.metadata_props[:]
    converted.metadata_props.extend(model.metadata_props)
    return converted


def _check_ends(graph: onnx.GraphProto, name: str) -> tuple[tuple[int | None, ...], int | None]:
    """Shape of the input, and second axis of the output where there is one output of two axes; None where the graph does
    not fix them. Whether the outputs are those of a task is the task's to say."""
    if _gives_rows(graph):
        names = ", ".join(repr(value.name) for value in graph.output)
        raise ModelFileError(
            f"{name} finishes its answer itself ({names}): rows for one picture, as many as it finds in it, which no batch and no "
            "int8 graph has. So torchvision exports its detectors; compile the PyTorch file instead: "
            "edgevision compile weights.pt --arch torchvision:NAME"
        )
    inputs = graph.input
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
            f"{name}: its input {inputs[0].name!r} has the shape {written(shape)}, expected {expected}; export it so"
        )
    try:
        for value in graph.output:
            _check_output(value, name)
    except ModelFileError as error:
        raise ModelFileError(f"{error}{advice({value.name: shape_of(value) for value in graph.output})}") from None
    first = shape_of(graph.output[0]) or ()
    return shape, first[1] if len(graph.output) == 1 and len(first) == 2 else None


def _gives_rows(graph: onnx.GraphProto) -> bool:
    """Whether the outputs are boxes [rows, 4] with a whole number and a score for each, [rows], and no batch axis."""
    kinds = {
        (value.type.tensor_type.elem_type, len(shape_of(value) or ()), (shape_of(value) or (None,))[-1] == 4)
        for value in graph.output
    }
    float_, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    return {(float_, 2, True), (float_, 1, False), (whole, 1, False)} <= kinds


def _check_output(value: onnx.ValueInfoProto, name: str) -> None:
    _check_float(value, "output", "[batch, …]", name)
    shape = shape_of(value)
    if not shape:
        raise ModelFileError(
            f"{name}: its output {value.name!r} has the shape {written(shape)}, expected [batch, …]; export it so"
        )


def _check_float(value: onnx.ValueInfoProto, what: str, shape: str, name: str) -> None:
    kind = value.type.tensor_type.elem_type
    if kind != onnx.TensorProto.FLOAT:
        got = onnx.TensorProto.DataType.Name(kind).lower() if kind else "no tensor"
        raise ModelFileError(
            f"{name}: its {what} {value.name!r} is {got}, expected float32 {shape}; export the float32 model, with "
            "preprocessing left to the preprocess spec"
        )
