"""Write a float32 graph as a float16 graph: what strongly typed engines, such as TensorRT's, run in half precision.

TensorRT 11 has no flag for float16 any more, and TensorRT 10 with that flag decides by itself; a graph whose tensors are
float16 means the same to both, and says what it is. Each float32 tensor gets one type, that of the node which makes it;
a Cast stands where a node reads another. Nodes stay float32

- where ONNX does not define them on float16;
- where float16 (11 significant bits, largest value 65504) would overflow or cancel: sums over many values, exponentials,
  norms (``FLOAT32_OPS``);
- where their weights, or what calibration saw them read or write, do not fit into float16;
- where the caller asks for it.

Nodes that only move data have the type of what they move.

An int8 graph becomes one whose float rest is float16: its scales do, which moves each quantized value by no more than
float16 rounds it anyway. ONNX has float16 scales since opset 19, and so has what comes out. Such a graph is for TensorRT:
ONNX Runtime 1.31 computes it rightly without optimisations only, because with them it makes int32 biases, whose scale
(the product of two) is often 0 in float16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgevision.compiler.quantize.ranges import Ranges
from edgevision.compiler.sources.graph import shape_of, to_bytes
from edgevision.compiler.sources.parity import brief
from edgevision.errors import InputError, ModelFileError

LARGEST = 65504.0  # of float16
LEAST = np.float16(2.0**-24)  # above 0
HEADROOM = 4.0  # how much larger than on the calibration photos a value may be in use
# Relative error (root of squares) up to which weights count as fitting. Rounding normal numbers costs at most 2^-11;
# more means that they are too small (below 2^-14 bits are lost) or too large.
MAX_WEIGHT_ERROR = 2.0**-9

FLOAT32_OPS = frozenset({
    "Softmax", "LogSoftmax", "Softplus", "Exp", "Log", "Pow", "Erf", "Reciprocal",
    "ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
    "ReduceProd", "CumSum", "Einsum",
    "LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization", "RMSNormalization",
    "MeanVarianceNormalization", "LRN", "GridSample",
})  # fmt: skip
AVERAGES = frozenset({"GlobalAveragePool", "AveragePool"})  # sums over few values: float16 where they are known to fit
MOVES = frozenset({
    "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "MaxPool", "GlobalMaxPool",
    "Relu", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
})  # fmt: skip
QUANTIZES = frozenset({"QuantizeLinear", "DequantizeLinear"})
DEQUANTIZED = "_dequantized"  # what ``quantize`` adds to the name of a tensor behind Q/DQ
_HALF_SCALES = 19  # the first opset with float16 scales
# An attribute of theirs, not an input, decides what they make.
_TYPED_BY_ATTRIBUTE = frozenset({
    "Cast", "CastLike", "Constant", "ConstantOfShape", "EyeLike", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike", "Bernoulli", "Multinomial", "Range",
})  # fmt: skip
_TYPELESS = frozenset({"Shape", "Size"})  # read a tensor of any type, and nothing of its values


@dataclass(frozen=True)
class Float16Graph:
    """A float16 graph as ONNX bytes. ``float32_nodes``: each node that stayed float32, and why; nodes without float
    tensors are in neither list."""

    graph: bytes
    float16_nodes: tuple[str, ...]
    float32_nodes: dict[str, str]


def to_float16(
    graph: bytes, *, ranges: Ranges | None = None, keep_float32: frozenset[str] = frozenset(),
    float16_inputs: bool = False, float16_outputs: bool = False,
) -> Float16Graph:  # fmt: skip
    """Emit the float16 form of a float32 graph. The same arguments give the same bytes.

    Args:
        graph: float32 ONNX, opset 13 or later, one input, weights as initializers; with Q/DQ or without.
        ranges: (low, high) of activations, from calibration. Without them averages stay float32, and nothing else is
            known of overflow.
        keep_float32: names of nodes that stay float32.
        float16_inputs, float16_outputs: whether the graph's own inputs and outputs are float16 too; they keep their
            names either way.

    Raises:
        InputError: ``keep_float32`` names no node.
        ModelFileError: the graph cannot be read, has no single input, or has a branch or loop inside.
    """
    view = _Graph.parse(graph)
    if unknown := sorted(keep_float32 - {node.name for node in view.model.graph.node}):
        raise InputError(f"keep_float32 names {unknown[:3]}, which are no nodes of the graph")
    return _Converter(view, ranges, keep_float32, float16_inputs, float16_outputs).convert()


@dataclass(frozen=True, eq=False)
class _Graph:
    """A model with what is asked of it: its ends, initializers, which tensors are float32, shapes where they are known."""

    model: onnx.ModelProto
    opset: int
    input: str
    outputs: frozenset[str]
    constants: dict[str, onnx.TensorProto]
    floats: frozenset[str]
    shapes: dict[str, tuple[int | None, ...]]

    @staticmethod
    def parse(graph: bytes) -> _Graph:
        try:
            model = onnx.load_model_from_string(graph)
            nodes = model.graph.node
            quantized = any(node.op_type in QUANTIZES for node in nodes)
            (opset,) = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
            if quantized:
                opset.version = max(opset.version, _HALF_SCALES)
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        except Exception as error:  # of protobuf and onnx, of several kinds
            raise ModelFileError(f"the graph is not readable ONNX: {brief(error)}") from error
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        inputs = [value.name for value in model.graph.input if value.name not in constants]
        if len(inputs) != 1:
            raise ModelFileError(f"float16 expects a graph with one input, got {len(inputs)}: {inputs}")
        for node in nodes:
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                raise ModelFileError(
                    f"'{node.name}' ({node.op_type}) is a branch or loop, which float16 does not enter"
                )
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        types = {value.name: value.type.tensor_type.elem_type for value in values}
        types |= {name: tensor.data_type for name, tensor in constants.items()}
        return _Graph(
            model,
            opset.version,
            inputs[0],
            frozenset(value.name for value in model.graph.output),
            constants,
            frozenset(name for name, kind in types.items() if kind == TensorProto.FLOAT),
            {value.name: shape_of(value) or () for value in values},
        )


class _Converter:
    """Builds one float16 graph; used once."""

    def __init__(
        self, view: _Graph, ranges: Ranges | None, keep: frozenset[str], half_inputs: bool, half_outputs: bool
    ) -> None:
        self._view = view
        self._ranges = ranges
        self._keep = keep
        self._half_inputs = half_inputs
        self._half_outputs = half_outputs
        self._weights: dict[str, tuple[NDArray[np.float16], bool]] = {}
        self._half: set[str] = set()  # tensors that are float16 under their own name
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._casts: dict[tuple[str, int], str] = {}

    def convert(self) -> Float16Graph:
        half_nodes: list[str] = []
        reasons: dict[str, str] = {}
        if self._half_inputs and self._is_float(self._view.input):
            self._half.add(self._view.input)
        for node in self._view.model.graph.node:
            half = False
            if node.op_type not in _TYPELESS and any(map(self._is_float, (*node.input, *node.output))):
                reason = self._why_float32(node)
                half = not reason
                if half:
                    half_nodes.append(node.name)
                else:
                    reasons[node.name] = reason
            self._emit(node, half)
        return Float16Graph(self._assemble(), tuple(half_nodes), reasons)

    def _is_float(self, name: str) -> bool:
        return name in self._view.floats

    def _slots(self, node: onnx.NodeProto) -> tuple[list[bool], list[bool]] | None:
        """Which inputs and outputs ONNX lets be float16; None for an operator that it does not define."""
        try:
            schema = onnx.defs.get_schema(node.op_type, self._view.opset, node.domain)
        except onnx.defs.SchemaError:
            return None
        inputs = [_allows_half(schema.inputs, place) for place in range(len(node.input))]
        return inputs, [_allows_half(schema.outputs, place) for place in range(len(node.output))]

    def _why_float32(self, node: onnx.NodeProto) -> str:
        """Why a node stays float32; empty where it becomes float16."""
        if node.name in self._keep:
            return "asked for"
        if node.op_type in _TYPED_BY_ATTRIBUTE:
            return "its type is written in it"
        slots = self._slots(node)
        if slots is None or not any(ok for ok, name in zip(slots[0], node.input, strict=True) if self._is_float(name)):
            return "not defined on float16"
        if node.op_type in FLOAT32_OPS:
            return "overflows or cancels in float16"
        floats = [name for name in node.input if self._is_float(name)]
        data = [name for name in floats if name not in self._view.constants]
        if node.op_type in MOVES and data and not any(self._is_half_source(name) for name in data):
            return "moves float32"
        for ok, name in zip(slots[0], node.input, strict=True):
            weights = ok and self._is_float(name) and name in self._view.constants and node.op_type != "Clip"
            if weights and not (self._scales_fit(node) if node.op_type in QUANTIZES else self._rounded(name)[1]):
                return f"its {'scales' if node.op_type in QUANTIZES else 'weights'} {name} do not fit"
        return self._overflow(node, data)

    def _is_half_source(self, name: str) -> bool:
        """Whether a tensor is float16, or may as well be: a graph input is cast once wherever that happens."""
        return name in self._half or name == self._view.input

    def _overflow(self, node: onnx.NodeProto, data: list[str]) -> str:
        if self._ranges is None:
            return "an average, without ranges" if node.op_type in AVERAGES else ""
        terms = self._terms(node)
        for name in (*data, *node.output):
            if (origin := name.removesuffix(DEQUANTIZED)) in self._ranges:
                greatest = max(abs(bound) for bound in self._ranges[origin])
                if not greatest * (terms if name in data else 1) * HEADROOM <= LARGEST:
                    return f"{name} reaches {greatest:.3g}" + (f" and {terms} of it are summed" if terms > 1 else "")
            elif node.op_type in AVERAGES and name in data:
                return "an average, without ranges"
        return ""

    def _terms(self, node: onnx.NodeProto) -> int:
        """How many values an average sums up; 1 for other nodes, whose accumulators are float32."""
        if node.op_type == "AveragePool":
            return math.prod(next((a.ints for a in node.attribute if a.name == "kernel_shape"), ()))
        if node.op_type == "GlobalAveragePool":
            cells = [side or int(LARGEST) for side in self._view.shapes.get(node.input[0], ())[2:]]  # unknown: many
            return math.prod(cells) if cells else int(LARGEST)
        return 1

    def _rounded(self, name: str) -> tuple[NDArray[np.float16], bool]:
        """A constant in float16, and whether it fits (see ``MAX_WEIGHT_ERROR``)."""
        if name not in self._weights:
            exact = numpy_helper.to_array(self._view.constants[name])
            with np.errstate(over="ignore"):
                half = exact.astype(np.float16)
            wide = exact.astype(np.float64)
            with np.errstate(invalid="ignore"):
                error = np.linalg.norm((half.astype(np.float64) - wide).ravel())
            fits = bool(error <= MAX_WEIGHT_ERROR * np.linalg.norm(wide.ravel()))  # False for NaN
            self._weights[name] = half, fits
        return self._weights[name]

    def _half_scales(self, name: str) -> NDArray[np.float16]:
        """Scales in float16, none of them 0, which engines refuse."""
        scales: NDArray[np.float16] = np.maximum(self._rounded(name)[0], LEAST)
        return scales

    def _scales_fit(self, node: onnx.NodeProto) -> bool:
        """Whether the scales fit: of weights, as the weights would; of an activation, itself."""
        wide = numpy_helper.to_array(self._view.constants[node.input[1]]).astype(np.float64)
        error = np.abs(self._half_scales(node.input[1]).astype(np.float64) - wide)
        if node.input[0] in self._view.constants:
            values = numpy_helper.to_array(self._view.constants[node.input[0]]).astype(np.float64)
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            others = tuple(i for i in range(values.ndim) if wide.ndim == 0 or i != axis % values.ndim)
            sizes = np.sqrt(np.sum(values**2, axis=others))
            wide, error = wide * sizes, error * sizes
        return bool(np.linalg.norm(error) <= MAX_WEIGHT_ERROR * np.linalg.norm(wide))  # False for NaN

    def _emit(self, node: onnx.NodeProto, half: bool) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        slots = self._slots(node) if half else None
        able_in, able_out = slots or ([False] * len(node.input), [False] * len(node.output))
        for place, name in enumerate(node.input):
            if node.op_type in _TYPELESS:
                copy.input[place] = self._raw(name)
            elif self._is_float(name):
                copy.input[place] = self._reading(name, able_in[place], node.op_type)
        for place, name in enumerate(node.output):
            if able_out[place] and self._is_float(name):
                self._half.add(name)
            copy.output[place] = self._raw(name)
        self._nodes.append(copy)
        for name in node.output:
            if self._raw(name) != name:  # the graph's output, of the other type
                self._cast(name, name, to_half=self._half_outputs)

    def _raw(self, name: str) -> str:
        """What a tensor is called where it is made. A graph output that has to be cast keeps its name for the result."""
        if name in self._view.outputs and self._is_float(name) and (name in self._half) != self._half_outputs:
            return f"{name}_uncast"
        return name

    def _reading(self, name: str, half: bool, reader: str) -> str:
        """What to read in place of the float tensor ``name`` as float16 or float32; a Cast is made where needed.

        ``reader``: kind of the node that reads it.
        """
        if name in self._view.constants:
            return self._constant(name, half, reader)
        if (name in self._half) == half:
            return self._raw(name)
        if name in self._view.outputs and half == self._half_outputs:
            return name
        key = name, half
        if key not in self._casts:
            self._casts[key] = self._cast(name, f"{name}_{'float16' if half else 'float32'}", to_half=half)
        return self._casts[key]

    def _cast(self, name: str, target: str, to_half: bool) -> str:
        to = TensorProto.FLOAT16 if to_half else TensorProto.FLOAT
        self._nodes.append(helper.make_node("Cast", [self._raw(name)], [target], f"{target}_Cast", to=to))
        return target

    def _constant(self, name: str, half: bool, reader: str) -> str:
        if not half:
            self._initializers[name] = self._view.constants[name]
            return name
        rounded = self._rounded(name)[0]
        if reader in QUANTIZES:
            rounded = self._half_scales(name)
        if reader == "Clip":  # a bound beyond float16 bounds nothing
            rounded = np.clip(rounded, -np.float16(LARGEST), np.float16(LARGEST))
        target = f"{name}_float16"
        self._initializers[target] = numpy_helper.from_array(np.asarray(rounded), target)
        return target

    def _assemble(self) -> bytes:
        model = onnx.ModelProto()
        model.CopyFrom(self._view.model)
        graph = model.graph
        for ends, half in ((graph.input, self._half_inputs), (graph.output, self._half_outputs)):
            for value in ends:
                if half and self._is_float(value.name):
                    value.type.tensor_type.elem_type = TensorProto.FLOAT16
        read = {name for node in self._nodes for name in node.input} | {value.name for value in graph.output}
        kept = [t for t in graph.initializer if t.name in read and t.name not in self._initializers]
        for part in ("node", "initializer", "value_info"):
            graph.ClearField(part)
        graph.node.extend(self._nodes)
        graph.initializer.extend([*kept, *self._initializers.values()])
        try:
            model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
            onnx.checker.check_model(model)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ModelFileError(f"the float16 graph is not valid ONNX: {brief(error)}") from error
        return to_bytes(model, "the float16 graph")


def _allows_half(formal: object, place: int) -> bool:
    """Whether the input or output at ``place`` may be float16; the last formal one stands for all that follow it."""
    formals = list(formal)  # type: ignore[call-overload]
    return bool(formals) and "tensor(float16)" in formals[min(place, len(formals) - 1)].types
