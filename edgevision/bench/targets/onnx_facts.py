"""What an ONNX file says of itself: its exporter's metadata, and in which precision its layers are written.

Read from the file's bytes without the onnx package, so that a peer's environment needs none. A layer is a node with weights or a
product of matrices. This is what the graph says; which kernels an engine makes of it is the engine's to tell.
Field numbers are those of ``onnx.proto`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgevision.engines.protobuf import Span, WireType, fields
from edgevision.errors import EngineError, InputError

MAX_FILE_BYTES = 2 << 30  # what protobuf itself allows
_MAX_METADATA = 1000

_TYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
          11: "float64", 16: "bfloat16", 17: "float8", 18: "float8", 19: "float8", 20: "float8", 21: "uint4", 22: "int4"}  # fmt: skip
_WHOLE = {"int8": "int8", "uint8": "int8", "int4": "int4", "uint4": "int4", "int16": "int16", "uint16": "int16"}
_LAYERS = {
    "Conv", "ConvTranspose", "MatMul", "Gemm", "Attention", "LSTM", "GRU", "RNN", "Einsum",
    "FusedConv", "FusedMatMul", "FusedGemm", "MultiHeadAttention",
}  # fmt: skip
_INT8_LAYERS = {
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
    "QGemm",
    "QAttention",
    "DynamicQuantizeMatMul",
}
_WEIGHT_ONLY = {"MatMulNBits": "weights of few bits"}
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class OnnxFacts:
    """``metadata``: key → text, as the exporter wrote it. ``layers``: how many are written in which precision."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, int] = field(default_factory=dict)


def read_facts(path: str | Path) -> OnnxFacts:
    """The facts of an ONNX file. Raises InputError for a file that is missing, too large or no ONNX."""
    try:
        size = Path(path).stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path} has {size / 1e9:.1f} GB, an ONNX file has at most 2")
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None
    try:
        return facts_in(data)
    except EngineError as error:
        raise InputError(f"{path} is no ONNX file: {error}") from None


def facts_in(data: bytes) -> OnnxFacts:
    """The same of a file's bytes. Raises EngineError for what is no protobuf."""
    metadata: dict[str, str] = {}
    layers: Counter[str] = Counter()
    found = False
    for number, wire, first, last in fields(data, (0, len(data)), "the model"):
        if wire != WireType.BYTES:
            continue
        if number == 7:
            layers += _layers_of(data, (first, last))
            found = True
        elif number == 14 and len(metadata) < _MAX_METADATA:
            entry = _texts(data, (first, last))
            metadata[entry.get(1, [""])[0]] = entry.get(2, [""])[0]
    if not found:
        raise EngineError("it has no graph")
    return OnnxFacts(metadata, dict(layers))


def _layers_of(data: bytes, graph: Span) -> Counter[str]:
    """Types are followed through the graph in its order, as far as they can be told; each layer is counted by what it reads."""
    types: dict[str, str] = {}
    nodes: list[Span] = []
    for number, wire, first, last in fields(data, graph, "the graph"):
        if wire != WireType.BYTES:
            continue
        if number == 1:
            nodes.append((first, last))
        elif number == 5:
            name, kind = _tensor(data, (first, last))
            types[name] = kind
        elif number == 11:
            name, kind = _declared(data, (first, last))
            types.setdefault(name, kind)
    from_whole: dict[str, str] = {}  # tensors that come straight from whole numbers → which
    layers: Counter[str] = Counter()
    for span in nodes:
        _follow(data, span, types, from_whole, layers)
    return layers


def _follow(data: bytes, span: Span, types: dict[str, str], from_whole: dict[str, str], layers: Counter[str]) -> None:
    inputs, outputs, kind, attributes = _node(data, span)
    read = [types.get(name, _UNKNOWN) for name in inputs]
    if kind in _INT8_LAYERS:
        layers["int8"] += 1
    elif kind in _WEIGHT_ONLY:
        layers[_WEIGHT_ONLY[kind]] += 1
    elif kind in _LAYERS:
        layers[_precision(inputs, read, from_whole)] += 1
    made = read[0] if read else _UNKNOWN
    if kind == "DequantizeLinear":
        made = read[1] if len(read) > 1 else "float32"
        whole = _WHOLE.get(read[0])
        if whole is not None:
            from_whole.update(dict.fromkeys(outputs, whole))
    elif kind in ("QuantizeLinear", "DynamicQuantizeLinear"):
        made = read[2] if len(read) > 2 and read[2] != _UNKNOWN else "uint8"
    elif kind in ("Cast", "Constant", "ConstantOfShape"):
        made = _type_made(data, attributes, made)
    elif kind in ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "MaxPool") and inputs:
        whole = from_whole.get(inputs[0])  # they only move numbers
        if whole is not None:
            from_whole.update(dict.fromkeys(outputs, whole))
    elif kind in ("Shape", "ArgMax", "NonZero", "Size"):
        made = "int64"
    elif made == "int64" and len(read) > 1 and kind in ("Where", "Gather", "Mul", "Add"):
        made = next((one for one in read if one != "int64"), made)
    for name in outputs:
        types[name] = made


def _precision(inputs: list[str], read: list[str], from_whole: dict[str, str]) -> str:
    """Of a layer that is written in floats: int8 where its picture and its weights both come from whole numbers."""
    both = [from_whole.get(name) for name in inputs[:2]]
    if len(both) == 2 and both[0] is not None and both[1] is not None:
        return both[0] if both[0] == both[1] else f"{both[0]} with {both[1]} weights"
    floats = next((one for one in reversed(read[:2]) if one != _UNKNOWN), _UNKNOWN)
    if len(both) == 2 and both[1] is not None:
        return f"{floats} with {both[1]} weights"
    return floats


def _node(data: bytes, span: Span) -> tuple[list[str], list[str], str, list[Span]]:
    inputs: list[str] = []
    outputs: list[str] = []
    kind, attributes = "", []
    for number, wire, first, last in fields(data, span, "a node"):
        if wire != WireType.BYTES:
            continue
        if number == 1:
            inputs.append(_text(data, first, last))
        elif number == 2:
            outputs.append(_text(data, first, last))
        elif number == 4:
            kind = _text(data, first, last)
        elif number == 5:
            attributes.append((first, last))
    return inputs, outputs, kind, attributes


def _type_made(data: bytes, attributes: list[Span], otherwise: str) -> str:
    """What Cast, Constant and ConstantOfShape make, as their attributes say."""
    for span in attributes:
        name, number, tensor = "", None, None
        for field_number, wire, first, last in fields(data, span, "an attribute"):
            if field_number == 1 and wire == WireType.BYTES:
                name = _text(data, first, last)
            elif field_number == 3 and wire == WireType.VARINT:
                number = first
            elif field_number == 5 and wire == WireType.BYTES:
                tensor = (first, last)
        if name == "to" and number is not None:
            return _TYPES.get(number, _UNKNOWN)
        if name == "value" and tensor is not None:
            return _tensor(data, tensor)[1]
    return otherwise


def _tensor(data: bytes, span: Span) -> tuple[str, str]:
    """Name and element type of a TensorProto."""
    name, kind = "", _UNKNOWN
    for number, wire, first, last in fields(data, span, "a tensor"):
        if number == 2 and wire == WireType.VARINT:
            kind = _TYPES.get(first, _UNKNOWN)
        elif number == 8 and wire == WireType.BYTES:
            name = _text(data, first, last)
    return name, kind


def _declared(data: bytes, span: Span) -> tuple[str, str]:
    """Name and element type of a ValueInfoProto: type (2) → tensor_type (1) → elem_type (1)."""
    name, kind = "", _UNKNOWN
    for number, wire, first, last in fields(data, span, "an input"):
        if number == 1 and wire == WireType.BYTES:
            name = _text(data, first, last)
        elif number == 2 and wire == WireType.BYTES:
            kind = _element_type(data, (first, last))
    return name, kind


def _element_type(data: bytes, span: Span) -> str:
    for number, wire, first, last in fields(data, span, "a type"):
        if number == 1 and wire == WireType.BYTES:
            for inner, inner_wire, value, _ in fields(data, (first, last), "a tensor type"):
                if inner == 1 and inner_wire == WireType.VARINT:
                    return _TYPES.get(value, _UNKNOWN)
    return _UNKNOWN


def _texts(data: bytes, span: Span) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for number, wire, first, last in fields(data, span, "metadata"):
        if wire == WireType.BYTES:
            found.setdefault(number, []).append(_text(data, first, last))
    return found


def _text(data: bytes, first: int, last: int) -> str:
    return data[first:last].decode(errors="replace")
