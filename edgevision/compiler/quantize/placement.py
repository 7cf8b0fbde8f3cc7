"""Where int8 goes: which nodes of a float graph run in int8, and which tensors are quantized for them.

Three kinds of operators take part:

* weighted: Conv, Gemm, MatMul with constant weights. What int8 is for;
* arithmetic: Add, Mul, pools, Concat: int8 in, int8 out, each tensor with its own scale;
* saturating: HardSigmoid and HardSwish, which int8 computes with an addition that saturates;
* pass-through: MaxPool, Reshape…: move int8 values, so output and input share one quantization.

A Relu or Clip behind one of the first two belongs to it. What lies behind the last weighted operator on the way to an
output stays float: it is cheap, and often mixes values of different sizes. Nothing here depends on ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgevision.compiler.quantize.dialects import Dialect
from edgevision.errors import InputError, ModelFileError

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
ARITHMETIC = frozenset({"Add", "Mul", "Concat", "GlobalAveragePool", "AveragePool"})
SATURATING = frozenset({"HardSigmoid", "HardSwish"})
PASS_THROUGH = frozenset({"MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"})
ACTIVATIONS = frozenset({"Relu", "Clip"})
FIRST_OPSET = 13  # the first with per-channel QuantizeLinear


@dataclass(eq=False)
class Graph:
    """An ONNX model with the lookups that placing needs. Every node has a unique name.

    ``floats``: the float32 tensors; shape arithmetic is not among them.
    """

    model: onnx.ModelProto
    input: str
    outputs: frozenset[str]
    constants: dict[str, onnx.TensorProto]
    floats: frozenset[str]
    producer: dict[str, onnx.NodeProto] = field(default_factory=dict)
    consumers: dict[str, list[onnx.NodeProto]] = field(default_factory=dict)

    @staticmethod
    def parse(graph: bytes) -> Graph:
        """Read a float graph with one image input.

        Raises:
            ModelFileError: not ONNX, opset below 13, not one input, two nodes share a name, a branch or loop inside, or
                quantized already.
        """
        try:
            model = onnx.load_model_from_string(graph)
        except Exception as error:  # protobuf's DecodeError is not part of onnx's API
            raise ModelFileError(f"the float graph is not readable ONNX: {error}") from error
        opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
        if opset < FIRST_OPSET:
            raise ModelFileError(
                f"quantization needs opset {FIRST_OPSET} or later, got {opset}; export the model again"
            )
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        inputs = [value.name for value in model.graph.input if value.name not in constants]
        if len(inputs) != 1:
            raise ModelFileError(f"quantization expects a graph with one input, got {len(inputs)}: {inputs}")
        outputs = frozenset(value.name for value in model.graph.output)
        view = Graph(model, inputs[0], outputs, constants, _float_tensors(model))
        names: set[str] = set()
        for index, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{index}"
            if node.name in names:
                raise ModelFileError(f"two nodes of the float graph are called '{node.name}'; names must be unique")
            names.add(node.name)
            if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
                raise ModelFileError(f"the graph is quantized already ('{node.name}'); give the float one")
            if any(attribute.HasField("g") for attribute in node.attribute):
                raise ModelFileError(
                    f"'{node.name}' ({node.op_type}) is a branch or loop, which int8 graphs cannot have"
                )
            for name in node.output:
                view.producer[name] = node
            for name in dict.fromkeys(filter(None, node.input)):
                view.consumers.setdefault(name, []).append(node)
        return view

    def constant(self, name: str) -> NDArray[np.generic]:
        """The initializer's values."""
        array: NDArray[np.generic] = numpy_helper.to_array(self.constants[name])
        return array

    def is_float_constant(self, name: str) -> bool:
        """Whether the tensor is a float32 initializer."""
        return name in self.constants and self.constants[name].data_type == onnx.TensorProto.FLOAT

    def activation_of(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The Relu or Clip that is the only reader of a weighted or arithmetic node's output."""
        if node.op_type not in WEIGHTED | ARITHMETIC or node.output[0] in self.outputs:
            return None
        readers = self.consumers.get(node.output[0], [])
        if len(readers) != 1 or readers[0].op_type not in ACTIVATIONS or readers[0].input[0] != node.output[0]:
            return None
        return readers[0]

    def result(self, node: onnx.NodeProto) -> str:
        """The tensor a node hands on: its activation's output where it has one, else its own."""
        activation = self.activation_of(node)
        return str((activation or node).output[0])

    def clip_bounds(self, node: onnx.NodeProto) -> tuple[float, float] | None:
        """(least, greatest) output of a Relu or Clip; None when a bound is computed at run time."""
        if node.op_type == "Relu":
            return 0.0, np.inf
        bounds = [-np.inf, np.inf]
        for index, name in enumerate(node.input[1:3]):
            if not name:
                continue
            if name not in self.constants:
                return None
            bounds[index] = float(self.constant(name).reshape(()))
        return bounds[0], bounds[1]


def _float_tensors(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the tensors known to be float32, inferred where the graph does not say."""
    typed = {value.name for value in [*model.graph.value_info, *model.graph.output]}
    if any(name not in typed for node in model.graph.node for name in node.output if name):
        model = onnx.shape_inference.infer_shapes(model)
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    return frozenset(value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT)


def data_inputs(graph: Graph, node: onnx.NodeProto) -> list[str]:
    """The node's activation inputs: neither weights nor shapes."""
    if node.op_type in WEIGHTED | PASS_THROUGH:
        return [node.input[0]]
    return [name for name in dict.fromkeys(node.input) if name and name not in graph.constants]


def weight_axis(node: onnx.NodeProto) -> int:
    """The axis of a weighted node's second input that counts output channels."""
    if node.op_type == "Conv" or (node.op_type == "Gemm" and _attribute(node, "transB", 0)):
        return 0
    return 1


def calibrated_tensors(graph: Graph) -> tuple[str, ...]:
    """Every tensor some dialect may quantize, in graph order: what calibration has to look at."""
    wanted: dict[str, None] = {}
    for node in graph.model.graph.node:
        if _can_be_int8(graph, node):
            wanted.update(dict.fromkeys(data_inputs(graph, node)))
            wanted[graph.result(node)] = None
    return tuple(wanted)


@dataclass(frozen=True)
class Placement:
    """``int8``: names of the nodes that run in int8 (activations not counted). ``quantized``: tensors with Q/DQ.

    ``tied``: groups of tensors that share one quantization.
    """

    int8: frozenset[str]
    quantized: tuple[str, ...]
    tied: tuple[tuple[str, ...], ...]


def place(graph: Graph, dialect: Dialect, keep_float: frozenset[str]) -> Placement:
    """Decide what runs in int8.

    Raises:
        InputError: ``keep_float`` names a node the graph does not have.
    """
    nodes = list(graph.model.graph.node)
    if unknown := keep_float - {node.name for node in nodes}:
        raise InputError(f"keep_float names nodes the graph does not have: {', '.join(sorted(unknown)[:3])}")
    leads_to_weights = _before_weights(graph)
    int8: set[str] = set()
    int8_tensors: set[str] = set()
    for node in nodes:
        activation = graph.activation_of(node)
        if (
            node.op_type not in dialect.int8_ops
            or node.name in keep_float
            or (activation is not None and activation.name in keep_float)
            or not _can_be_int8(graph, node)
            or (node.op_type not in WEIGHTED and node.name not in leads_to_weights)
            # Moving or clamping values is worth int8 only where they already are int8.
            or (node.op_type in PASS_THROUGH | SATURATING and node.input[0] not in int8_tensors)
            or (node.op_type == "Add" and dialect.fuses_residual and _residual_conv(graph, node, int8) is None)
        ):
            continue
        int8.add(node.name)
        int8_tensors.add(graph.result(node))

    quantized: dict[str, None] = {}
    for node in nodes:
        if node.name not in int8:
            continue
        inputs = data_inputs(graph, node)
        if node.op_type == "Add" and dialect.fuses_residual:
            inputs = [name for name in inputs if name != _residual_conv(graph, node, int8)]
        quantized.update(dict.fromkeys(inputs))
        if _rounds_result(node, dialect):
            quantized[graph.result(node)] = None
    return Placement(frozenset(int8), tuple(quantized), tuple(_ties(graph, int8, frozenset(quantized))))


def _rounds_result(node: onnx.NodeProto, dialect: Dialect) -> bool:
    """Whether what an int8 node hands on gets Q/DQ whoever reads it; where not, an int8 reader asks for it."""
    if node.op_type in WEIGHTED:
        return node.op_type == "Conv" and dialect.quantize_conv_outputs
    if node.op_type == "Add":
        return not dialect.fuses_residual
    return node.op_type != "Concat" or dialect.quantize_concat_for_float


def _residual_conv(graph: Graph, add: onnx.NodeProto, int8: set[str]) -> str | None:
    """The input of ``add`` that an int8 convolution makes for it alone: the last such, as the graph runs. Else None."""
    found = [
        node.output[0]
        for node in graph.model.graph.node
        if node.output[0] in add.input
        and node.name in int8
        and node.op_type == "Conv"
        and node.output[0] not in graph.outputs
        and len(graph.consumers[node.output[0]]) == 1
    ]
    return found[-1] if found else None


def _ties(graph: Graph, int8: set[str], quantized: frozenset[str]) -> Iterator[tuple[str, ...]]:
    for node in graph.model.graph.node:
        if node.name in int8 and node.op_type in PASS_THROUGH | {"Concat"}:
            yield tuple(name for name in (*data_inputs(graph, node), graph.result(node)) if name in quantized)


def _before_weights(graph: Graph) -> frozenset[str]:
    """Names of the nodes from which a path leads to a weighted node."""
    found: set[str] = set()
    for node in reversed(graph.model.graph.node):
        readers = [reader for name in node.output for reader in graph.consumers.get(name, [])]
        if any(reader.name in found or _can_be_weighted(graph, reader) for reader in readers):
            found.add(node.name)
    return frozenset(found)


def _can_be_int8(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether the node has a form that int8 kernels exist for, whatever the dialect."""
    if node.domain not in ("", "ai.onnx") or node.output[0] not in graph.floats:
        return False
    if node.op_type in WEIGHTED:
        return _can_be_weighted(graph, node)
    if node.op_type in ARITHMETIC:
        inputs = [name for name in node.input if name]
        if any(name in graph.constants for name in inputs):
            return False
        return node.op_type not in {"Add", "Mul"} or len(set(inputs)) == 2
    if node.op_type in SATURATING:
        return node.input[0] not in graph.constants and hard_sigmoid(node)[0] > 0
    if node.op_type in PASS_THROUGH:
        single = len([name for name in node.output if name]) == 1  # MaxPool's indices have no int8 form
        return single and node.input[0] not in graph.constants
    return False


def _can_be_weighted(graph: Graph, node: onnx.NodeProto) -> bool:
    if node.op_type not in WEIGHTED or len(node.input) < 2 or node.input[0] in graph.constants:
        return False
    if not graph.is_float_constant(node.input[1]):
        return False
    dimensions = graph.constants[node.input[1]].dims
    if node.op_type == "MatMul":
        return len(dimensions) == 2
    if len(node.input) > 2 and node.input[2]:
        channels = dimensions[weight_axis(node)]
        bias = node.input[2]
        if not graph.is_float_constant(bias) or list(graph.constants[bias].dims) != [channels]:
            return False
    if node.op_type == "Gemm":
        return (
            _attribute(node, "alpha", 1.0) == 1.0
            and _attribute(node, "beta", 1.0) == 1.0
            and not _attribute(node, "transA", 0)
        )
    return True


def hard_sigmoid(node: onnx.NodeProto) -> tuple[float, float]:
    """(a, b) of the gate min(max(a·x + b, 0), 1) that is HardSigmoid and that HardSwish multiplies x with."""
    if node.op_type == "HardSwish":
        return 1 / 6, 0.5
    return _attribute(node, "alpha", 0.2), _attribute(node, "beta", 0.5)


def _attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    for attribute in node.attribute:
        if attribute.name == name:
            return float(onnx.helper.get_attribute_value(attribute))
    return default
