"""An ONNX graph as far as its safety depends on it: nodes, attributes, shapes and small constants. It copies no weights.

Refused here is what no network for pictures needs and what could make an engine do harm: weights in other files, control
flow (sub-graphs), local functions, sparse tensors, text tensors, training graphs, custom operators.
Field numbers are those of ``onnx.proto`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edgevision.engines.protobuf import Kind, Schema, Span, WireType, damaged, packed_ints, read_message
from edgevision.errors import EngineError

Values: TypeAlias = npt.NDArray[Any]

MAX_NODES = 20_000
MAX_TENSORS = 100_000  # weights, inputs, outputs and declared shapes, all together
MAX_AXES = 8
MAX_VALUES = 4096  # constants of up to so many elements are read: what can be a shape, axes, scales
STANDARD_DOMAINS = ("", "ai.onnx")

_MODEL: Schema = {
    1: ("ir_version", Kind.INT), 2: ("producer_name", Kind.SKIPPED), 3: ("producer_version", Kind.SKIPPED),
    4: ("domain", Kind.SKIPPED), 5: ("model_version", Kind.INT), 6: ("doc_string", Kind.SKIPPED),
    7: ("graph", Kind.SPAN), 8: ("opset_import", Kind.SPANS), 14: ("metadata_props", Kind.SKIPPED),
    20: ("training_info", Kind.SPANS), 25: ("functions", Kind.SPANS), 26: ("configuration", Kind.SPANS),
}  # fmt: skip
_OPSET: Schema = {1: ("domain", Kind.TEXT), 2: ("version", Kind.INT)}
_GRAPH: Schema = {
    1: ("node", Kind.SPANS), 2: ("name", Kind.TEXT), 5: ("initializer", Kind.SPANS), 10: ("doc_string", Kind.SKIPPED),
    11: ("input", Kind.SPANS), 12: ("output", Kind.SPANS), 13: ("value_info", Kind.SPANS),
    14: ("quantization_annotation", Kind.SKIPPED), 15: ("sparse_initializer", Kind.SPANS),
    16: ("metadata_props", Kind.SKIPPED),
}  # fmt: skip
_NODE: Schema = {
    1: ("input", Kind.TEXTS), 2: ("output", Kind.TEXTS), 3: ("name", Kind.TEXT), 4: ("op_type", Kind.TEXT),
    5: ("attribute", Kind.SPANS), 6: ("doc_string", Kind.SKIPPED), 7: ("domain", Kind.TEXT), 8: ("overload", Kind.TEXT),
    9: ("metadata_props", Kind.SKIPPED), 10: ("device_configurations", Kind.SKIPPED),
}  # fmt: skip
_ATTRIBUTE: Schema = {
    1: ("name", Kind.TEXT), 2: ("f", Kind.FLOAT), 3: ("i", Kind.INT), 4: ("s", Kind.SPAN), 5: ("t", Kind.SPAN),
    6: ("g", Kind.SPAN), 7: ("floats", Kind.NUMBERS), 8: ("ints", Kind.INTS), 9: ("strings", Kind.SPANS),
    10: ("tensors", Kind.SPANS), 11: ("graphs", Kind.SPANS), 13: ("doc_string", Kind.SKIPPED), 14: ("tp", Kind.SPAN),
    15: ("type_protos", Kind.SPANS), 20: ("type", Kind.INT), 21: ("ref_attr_name", Kind.TEXT),
    22: ("sparse_tensor", Kind.SPAN), 23: ("sparse_tensors", Kind.SPANS),
}  # fmt: skip
_TENSOR: Schema = {
    1: ("dims", Kind.INTS), 2: ("data_type", Kind.INT), 3: ("segment", Kind.SPAN), 4: ("float_data", Kind.NUMBERS),
    5: ("int32_data", Kind.NUMBERS), 6: ("string_data", Kind.SPANS), 7: ("int64_data", Kind.NUMBERS),
    8: ("name", Kind.TEXT), 9: ("raw_data", Kind.SPAN), 10: ("double_data", Kind.NUMBERS),
    11: ("uint64_data", Kind.NUMBERS), 12: ("doc_string", Kind.SKIPPED), 13: ("external_data", Kind.SPANS),
    14: ("data_location", Kind.INT), 16: ("metadata_props", Kind.SKIPPED),
}  # fmt: skip
_VALUE_INFO: Schema = {
    1: ("name", Kind.TEXT), 2: ("type", Kind.SPAN), 3: ("doc_string", Kind.SKIPPED), 4: ("metadata_props", Kind.SKIPPED),
}  # fmt: skip
_TYPE: Schema = {
    1: ("tensor_type", Kind.SPAN), 4: ("sequence_type", Kind.SPAN), 5: ("map_type", Kind.SPAN),
    6: ("denotation", Kind.SKIPPED), 7: ("opaque_type", Kind.SPAN), 8: ("sparse_tensor_type", Kind.SPAN),
    9: ("optional_type", Kind.SPAN),
}  # fmt: skip
_TENSOR_TYPE: Schema = {1: ("elem_type", Kind.INT), 2: ("shape", Kind.SPAN)}
_SHAPE: Schema = {1: ("dim", Kind.SPANS)}
_DIMENSION: Schema = {1: ("dim_value", Kind.INT), 2: ("dim_param", Kind.TEXT), 3: ("denotation", Kind.SKIPPED)}

# TensorProto.DataType → name, bits of an element, the field that holds it where raw_data does not, NumPy's type.
_TYPES: dict[int, tuple[str, int, str, str | None]] = {
    1: ("float", 32, "float_data", "<f4"), 2: ("uint8", 8, "int32_data", "u1"), 3: ("int8", 8, "int32_data", "i1"),
    4: ("uint16", 16, "int32_data", "<u2"), 5: ("int16", 16, "int32_data", "<i2"),
    6: ("int32", 32, "int32_data", "<i4"), 7: ("int64", 64, "int64_data", "<i8"), 9: ("bool", 8, "int32_data", "?"),
    10: ("float16", 16, "int32_data", None), 11: ("double", 64, "double_data", "<f8"),
    12: ("uint32", 32, "uint64_data", "<u4"), 13: ("uint64", 64, "uint64_data", "<u8"),
    16: ("bfloat16", 16, "int32_data", None), 17: ("float8e4m3fn", 8, "int32_data", None),
    18: ("float8e4m3fnuz", 8, "int32_data", None), 19: ("float8e5m2", 8, "int32_data", None),
    20: ("float8e5m2fnuz", 8, "int32_data", None), 21: ("uint4", 4, "int32_data", None),
    22: ("int4", 4, "int32_data", None),
}  # fmt: skip
_DATA_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
_FIXED_BYTES = {"float_data": 4, "double_data": 8}
_NUMPY_OF_FIELD = {"float_data": "<f4", "double_data": "<f8"}
_CONTROL_FLOW = {"Loop", "Scan", "If", "SequenceMap"}


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that the file holds: its shape, and its elements where they are few and of a type that NumPy has."""

    name: str
    shape: tuple[int, ...]
    values: Values | None


@dataclass(frozen=True, eq=False)
class Node:
    """``attributes``: by name, each an int, float, str, tuple of these, or a ``Constant``."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def __str__(self) -> str:
        return f"node {shown(self.name or next(iter(self.outputs), ''))} ({self.op_type[:40]})"


@dataclass(frozen=True)
class ValueInfo:
    """An input or output as the graph declares it: None for an axis without a fixed size, or for a whole shape."""

    name: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, eq=False)
class Graph:
    """``inputs`` without those that are ``constants``. ``size``: of the file, in bytes."""

    size: int
    opset: int
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    inputs: list[ValueInfo] = field(default_factory=list)
    outputs: list[ValueInfo] = field(default_factory=list)


def shown(name: str) -> str:
    """A name out of a graph, for a message: quoted, on one line, not too long."""
    return repr(name if len(name) <= 80 else name[:79] + "…")


def read_graph(data: bytes) -> Graph:
    """The graph in a file's bytes. Raises EngineError for what is damaged, refused (see above) or larger than the limits."""
    model = read_message(data, (0, len(data)), _MODEL, "the model")
    for part in ("training_info", "functions", "configuration"):
        if part in model:
            raise EngineError(f"it has {part.replace('_', ' ')}; export the model for inference, its functions inlined")
    if "graph" not in model or "opset_import" not in model:
        raise EngineError("it is no ONNX model: expected a graph and the versions of its operators; export it again")
    opsets = [read_message(data, span, _OPSET, "an opset") for span in model["opset_import"]]
    opset = next((o.get("version", 0) for o in opsets if o.get("domain", "") in STANDARD_DOMAINS), 0)
    parts = read_message(data, model["graph"], _GRAPH, "the graph")
    if "sparse_initializer" in parts:
        raise EngineError("it has sparse weights; export the model with dense ones")
    if len(parts.get("node", ())) > MAX_NODES:
        raise EngineError(f"it has {len(parts['node'])} nodes, the limit is {MAX_NODES}; use a smaller network")
    tensors = sum(len(parts.get(part, ())) for part in ("initializer", "input", "output", "value_info"))
    if tensors > MAX_TENSORS:
        raise EngineError(f"it names {tensors} tensors, the limit is {MAX_TENSORS}; use a smaller network")
    graph = Graph(len(data), int(opset))
    for span in parts.get("initializer", ()):
        constant = _read_tensor(data, span, "a weight")
        if constant.name in graph.constants:
            raise EngineError(f"it has the weight {shown(constant.name)} twice; export the model again")
        graph.constants[constant.name] = constant
    inputs = _value_infos(data, parts.get("input", ()), "an input")
    graph.inputs.extend(one for one in inputs if one.name not in graph.constants)
    graph.outputs.extend(_value_infos(data, parts.get("output", ()), "an output"))
    _value_infos(data, parts.get("value_info", ()), "a value_info")  # only to check them
    graph.nodes.extend(_read_node(data, span) for span in parts.get("node", ()))
    return graph


def _read_node(data: bytes, span: Span) -> Node:
    parts = read_message(data, span, _NODE, "a node")
    node = Node(
        parts.get("name", ""), parts.get("op_type", ""), tuple(parts.get("input", ())), tuple(parts.get("output", ())),
        {},
    )  # fmt: skip
    if parts.get("domain", "") not in STANDARD_DOMAINS or "overload" in parts:
        raise EngineError(
            f"{node} is the custom operator {parts.get('domain', '')[:40]}.{node.op_type[:40]}; "
            "export the model with standard ONNX operators only"
        )
    for attribute in parts.get("attribute", ()):
        name, value = _read_attribute(data, attribute, node)
        if name in node.attributes:
            raise EngineError(f"{node} has the attribute {shown(name)} twice; export the model again")
        node.attributes[name] = value
    if node.op_type in _CONTROL_FLOW:
        raise _no_control_flow(node)
    return node


def _no_control_flow(node: Node) -> EngineError:
    return EngineError(
        f"{node} has a graph inside: loops and branches are refused, for nothing bounds what they do; "
        "export the model without control flow"
    )


def _read_attribute(data: bytes, span: Span, node: Node) -> tuple[str, Any]:
    parts = read_message(data, span, _ATTRIBUTE, node)
    name = parts.get("name", "")
    if "g" in parts or "graphs" in parts:
        raise _no_control_flow(node)
    for part in ("sparse_tensor", "sparse_tensors", "tp", "type_protos", "ref_attr_name"):
        if part in parts:
            raise EngineError(
                f"{node} has an attribute {shown(name)} of a kind that is not run ({part}); export it again"
            )
    for tensor in parts.get("tensors", ()):
        _read_tensor(data, tensor, node)
    if "t" in parts:
        return name, _read_tensor(data, parts["t"], node)
    if "ints" in parts:
        return name, tuple(parts["ints"])
    if "floats" in parts:
        return name, tuple(_numbers(data, parts["floats"], "float_data", node).tolist())
    if "s" in parts:
        return name, data[slice(*parts["s"])].decode(errors="replace")
    if "strings" in parts:
        return name, tuple(data[slice(*one)].decode(errors="replace") for one in parts["strings"])
    # A number of 0 may be left out.
    return name, parts["f"] if "f" in parts else parts.get("i", 0)


def _read_tensor(data: bytes, span: Span, what: object) -> Constant:
    parts = read_message(data, span, _TENSOR, what)
    name = parts.get("name", "")
    if parts.get("data_location", 0) != 0 or "external_data" in parts:
        raise EngineError(
            f"{what}: the tensor {shown(name)} lies in another file, which is refused: a graph could read any file so; "
            "save the model with its weights in one file"
        )
    kind = parts.get("data_type", 0)
    if kind not in _TYPES or "string_data" in parts or "segment" in parts:
        raise EngineError(
            f"{what}: the tensor {shown(name)} has element type {kind}, which is not run; export it again"
        )
    shape = tuple(parts.get("dims", ()))
    count = element_count(shape, what)
    type_name, bits, field_name, numpy_type = _TYPES[kind]
    held = [part for part in ("raw_data", *_DATA_FIELDS) if part in parts]
    if len(held) > 1 or (held and held[0] not in ("raw_data", field_name)):
        raise EngineError(
            f"{what}: the tensor {shown(name)} holds its elements as {' and '.join(held)}; export it again"
        )
    small = count <= MAX_VALUES and numpy_type is not None
    values = None
    if "raw_data" in parts:
        first, last = parts["raw_data"]
        present, wanted = last - first, (count * bits + 7) // 8
        if present == wanted and small:
            values = np.frombuffer(data, numpy_type, count, first).reshape(shape)
    else:
        runs = parts.get(field_name, [])
        present = sum(_run_length(data, field_name, *run) for run in runs)
        wanted = (count + 1) // 2 if bits == 4 else count
        if present == wanted and small:
            values = _numbers(data, runs, field_name, what).astype(numpy_type or "").reshape(shape)
    if present != wanted:
        raise EngineError(
            f"{what}: the tensor {shown(name)}, {type_name} of shape {list(shape)}, does not hold its elements; "
            "copy or export the model again"
        )
    return Constant(name, shape, values)


def _run_length(data: bytes, field_name: str, wire: int, first: int, last: int) -> int:
    """How many numbers a run of a repeated field holds."""
    if wire != WireType.BYTES:
        return 1
    if size := _FIXED_BYTES.get(field_name):
        return (last - first) // size if (last - first) % size == 0 else -1
    raw = np.frombuffer(data, np.uint8, last - first, first)
    return int(np.count_nonzero(raw < 0x80))  # the last byte of each varint


def _numbers(data: bytes, runs: list[tuple[int, int, int]], field_name: str, what: object) -> Values:
    found: list[Any] = []
    fixed = _NUMPY_OF_FIELD.get(field_name)
    for wire, first, last in runs:
        if fixed is not None:
            size = _FIXED_BYTES[field_name]
            if wire == WireType.VARINT or (last - first) % size:
                raise damaged(what)
            found.extend(np.frombuffer(data, fixed, (last - first) // size, first).tolist())
        elif wire == WireType.BYTES:
            found.extend(packed_ints(data, (first, last), what))
        else:
            found.append(first)
    return np.array(found, dtype=fixed or np.int64)


def element_count(shape: tuple[int, ...], what: object) -> int:
    """Elements of a tensor. Raises EngineError for a shape that is none."""
    if len(shape) > MAX_AXES or any(side < 0 for side in shape) or math.prod(shape) >= 2**62:
        text = str(list(shape)) if len(shape) <= MAX_AXES else f"{len(shape)} axes"
        raise EngineError(
            f"{what} has a tensor of shape {text}; expected at most {MAX_AXES} axes of sizes that can be; export it again"
        )
    return math.prod(shape)


def _value_infos(data: bytes, spans: Iterable[Span], what: str) -> list[ValueInfo]:
    return [_read_value_info(data, span, what) for span in spans]


def _read_value_info(data: bytes, span: Span, what: str) -> ValueInfo:
    parts = read_message(data, span, _VALUE_INFO, what)
    name = parts.get("name", "")
    kind = read_message(data, parts["type"], _TYPE, what) if "type" in parts else {}
    if set(kind) - {"tensor_type", "denotation"}:
        raise EngineError(f"{what}, {shown(name)}, is no tensor; export the model with tensors only")
    tensor = read_message(data, kind["tensor_type"], _TENSOR_TYPE, what) if "tensor_type" in kind else {}
    if "shape" not in tensor:
        return ValueInfo(name, None)
    spans = read_message(data, tensor["shape"], _SHAPE, what).get("dim", ())
    sides = tuple(_side(data, span, what) for span in spans)
    element_count(tuple(1 if side is None else side for side in sides), what)
    return ValueInfo(name, sides)


def _side(data: bytes, span: Span, what: str) -> int | None:
    value = read_message(data, span, _DIMENSION, what).get("dim_value")
    return None if value is None else int(value)
