"""Write a float graph as an int8 graph with explicit QuantizeLinear/DequantizeLinear pairs.

Every quantized tensor is rounded once, by one QuantizeLinear behind its producer, and read through one
DequantizeLinear; engines fuse DQ → operator → Q into their int8 kernels. Weights are stored in int8 only, so the file
shrinks with them. A Relu or Clip that the quantized range already enforces is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgevision.compiler.quantize.dialects import Dialect, QuantParams
from edgevision.compiler.quantize.parameters import exact_bias, quantize_weights
from edgevision.compiler.quantize.placement import (
    SATURATING,
    WEIGHTED,
    Graph,
    Placement,
    data_inputs,
    hard_sigmoid,
    place,
    weight_axis,
)
from edgevision.compiler.quantize.ranges import Ranges
from edgevision.errors import InputError


@dataclass(frozen=True)
class QuantizedGraph:
    """An int8 graph as ONNX bytes, and which nodes of the float graph are int8 or float in it, in graph order.

    A Relu or Clip behind an int8 node is part of it and in neither list.
    """

    graph: bytes
    int8_nodes: tuple[str, ...]
    float_nodes: tuple[str, ...]


def quantize(
    graph: bytes, ranges: Ranges, dialect: Dialect, *, keep_float: frozenset[str] = frozenset()
) -> QuantizedGraph:
    """Emit the int8 form of a float graph. The same arguments give the same bytes.

    Args:
        graph: float32 ONNX, opset 13 or later, batch norms folded, weights as initializers.
        ranges: (low, high) per activation tensor, from ``estimate``.
        dialect: the form the target engine runs in int8.
        keep_float: names of nodes that stay float; naming a fused Relu or Clip keeps its producer float too.

    Raises:
        InputError: a range is missing or not finite, or ``keep_float`` names no node.
        ModelFileError: the graph cannot be read, or a weight is NaN or infinite.
    """
    view = Graph.parse(graph)
    placement = place(view, dialect, keep_float)
    return _Emitter(view, placement, ranges, dialect).emit()


def quantizable_nodes(graph: bytes, dialect: Dialect) -> tuple[str, ...]:
    """Names of the nodes the dialect runs in int8 when nothing is kept float, in graph order."""
    view = Graph.parse(graph)
    int8 = place(view, dialect, frozenset()).int8
    return tuple(node.name for node in view.model.graph.node if node.name in int8)


class _Emitter:
    """Builds one int8 graph; used once."""

    def __init__(self, graph: Graph, placement: Placement, ranges: Ranges, dialect: Dialect) -> None:
        self._graph = graph
        self._placement = placement
        self._dialect = dialect
        self._params = tensor_params(graph, placement, ranges, dialect)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._shared: dict[tuple[str, str, tuple[int, ...], bytes], str] = {}

    def emit(self) -> QuantizedGraph:
        fused: set[str] = set()
        float_nodes: list[str] = []
        int8_nodes: list[str] = []
        if self._graph.input in self._params:
            self._quantize_tensor(self._graph.input, self._graph.input, self._params[self._graph.input])
        for node in self._graph.model.graph.node:
            if node.name in fused:
                continue
            if node.name in self._placement.int8:
                int8_nodes.append(node.name)
                activation = self._graph.activation_of(node)
                if activation is not None:
                    fused.add(activation.name)
                self._emit_int8(node, activation)
            else:
                float_nodes.append(node.name)
                self._emit_float(node)
        used = {name for node in self._nodes for name in node.input} | self._graph.outputs
        kept = [tensor for tensor in self._graph.model.graph.initializer if tensor.name in used]
        inputs = [value for value in self._graph.model.graph.input if value.name == self._graph.input]
        model = onnx.ModelProto()
        model.CopyFrom(self._graph.model)
        for part in ("input", "node", "initializer", "value_info"):
            model.graph.ClearField(part)
        model.graph.input.extend(inputs)
        model.graph.node.extend(self._nodes)
        model.graph.initializer.extend([*kept, *self._initializers.values()])
        return QuantizedGraph(model.SerializeToString(deterministic=True), tuple(int8_nodes), tuple(float_nodes))

    def _emit_int8(self, node: onnx.NodeProto, activation: onnx.NodeProto | None) -> None:
        if node.op_type in SATURATING:
            self._emit_saturating(node)
            return
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        inputs = {name for name in data_inputs(self._graph, node) if name in self._params}
        copy.input[:] = [self._reading(name) if name in inputs else name for name in node.input]
        if node.op_type in WEIGHTED:
            self._quantize_parameters(copy, node)
        result = self._graph.result(node)
        # A graph output keeps its name behind the DequantizeLinear; the raw tensor is renamed.
        raw = f"{result}_float" if self._made_in_int8(result) and result in self._graph.outputs else result
        if activation is None or self._saturates(activation, result):
            copy.output[0] = raw
            self._nodes.append(copy)
        else:
            bounded = onnx.NodeProto()
            bounded.CopyFrom(activation)
            bounded.output[0] = raw
            self._nodes += [copy, bounded]
        if result in self._params:
            self._quantize_tensor(result, raw, self._params[result])

    def _emit_saturating(self, node: onnx.NodeProto) -> None:
        """HardSigmoid(x) = a·min(max(x + b/a, 0), 1/a): int8 saturates at both bounds, and the scale takes the factor.

        Engines have no int8 kernel for it, nor for HardSwish(x) = x·HardSigmoid(x), but for Add and Mul. What is left
        is one addition in place of two conversions and a float operator.
        """
        a, b = hard_sigmoid(node)
        swish = node.op_type == "HardSwish"
        gate = f"{node.name}/gate" if swish else node.output[0]
        params = self._dialect.activation_params(0.0, 1.0) if swish else self._params[gate]
        shift = float(np.float32(b / a))
        addend = self._activation_constant(node.name, shift)
        raw = f"{node.name}/sum"
        sum_name = raw if swish else node.name
        self._nodes.append(helper.make_node("Add", [self._reading(node.input[0]), addend], [raw], sum_name))
        if not within((0.0, 1.0), params):
            bounds = [self._share(np.float32(value), "bound") for value in (0, 1 / a)]
            self._nodes.append(helper.make_node("Clip", [raw, *bounds], [f"{raw}_clipped"], f"{node.name}/clip"))
            raw = f"{raw}_clipped"
        self._quantize_tensor(gate, raw, params, a)
        if swish:
            result = node.output[0]
            raw = f"{result}_float" if result in self._graph.outputs else result
            inputs = [self._reading(node.input[0]), f"{gate}_dequantized"]
            self._nodes.append(helper.make_node("Mul", inputs, [raw], node.name))
            self._quantize_tensor(result, raw, self._params[result])

    def _activation_constant(self, owner: str, value: float) -> str:
        """Append a number, quantized as an activation, → DQ, and return the output's name.

        In int8 both are the node's alone, as weights are (``_dequantize``): to ONNX Runtime it is a weight.
        """
        params = self._dialect.activation_params(min(value, 0.0), max(value, 0.0))
        dtype = self._activation_dtype
        constant, zero_point = (f"{owner}/{part}" if dtype is np.int8 else "" for part in ("constant", "zero_point"))
        inputs = [
            self._share(dtype(params.zero_point + round(value / params.scale)), "constant", constant),
            self._share(np.float32(params.scale), "scale"),
            self._share(dtype(params.zero_point), "zero_point", zero_point),
        ]
        output = f"{owner}/constant_dequantized"
        self._nodes.append(helper.make_node("DequantizeLinear", inputs, [output], f"{owner}/constant_DequantizeLinear"))
        return output

    def _emit_float(self, node: onnx.NodeProto) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        # Behind an int8 node there is no float tensor to read; behind a float node the unrounded one is better.
        copy.input[:] = [self._reading(name) if self._made_in_int8(name) else name for name in node.input]
        if self._dialect.shield_float and self._made_in_int8(node.input[0] if node.input else ""):
            self._shield(copy)
        self._nodes.append(copy)
        for name in node.output:
            if name in self._params:
                self._quantize_tensor(name, name, self._params[name])

    def _shield(self, copy: onnx.NodeProto) -> None:
        """Write a float Conv or Gemm between int8 tensors so that ONNX Runtime leaves it float.

        Its WeightBiasQuantization (microsoft/onnxruntime#22969, since 1.21) turns such a node's float weights into int8
        on loading, with one scale for the whole tensor: ruin for a depthwise convolution, and just where float was
        asked for. It passes over nodes whose bias is not an initializer, so the bias goes behind a DequantizeLinear,
        exact to the last bit.
        """
        if copy.op_type not in {"Conv", "Gemm"} or not self._graph.is_float_constant(copy.input[1]):
            return
        bias_name = copy.input[2] if len(copy.input) > 2 else ""
        channels = self._graph.constants[copy.input[1]].dims[weight_axis(copy)]
        bias = self._graph.constant(bias_name) if bias_name in self._graph.constants else np.zeros(channels, np.float32)
        if bias_name and bias.shape != (channels,):
            return
        values, scale = exact_bias(bias.astype(np.float32))
        dequantized = self._dequantize(bias_name or "bias", copy.name, values, scale, 0)
        copy.input[:] = [*copy.input[:2], dequantized]

    def _made_in_int8(self, name: str) -> bool:
        if name not in self._params or name == self._graph.input:
            return False
        node = self._graph.producer[name]
        if node.name in self._placement.int8:
            return True
        # A fused activation's output is made by the node before it.
        before = self._graph.producer.get(node.input[0]) if node.input else None
        return before is not None and before.name in self._placement.int8 and self._graph.result(before) == name

    def _reading(self, name: str) -> str:
        """What a node reads in place of a quantized tensor. A graph output keeps its own name behind int8."""
        return name if name in self._graph.outputs and self._made_in_int8(name) else f"{name}_dequantized"

    def _saturates(self, activation: onnx.NodeProto, result: str) -> bool:
        return result in self._params and within(self._graph.clip_bounds(activation), self._params[result])

    @property
    def _activation_dtype(self) -> type[np.uint8] | type[np.int8]:
        return np.uint8 if self._dialect.activation_dtype == "uint8" else np.int8

    def _quantize_tensor(self, name: str, raw: str, params: QuantParams, factor: float = 1.0) -> None:
        """Append ``raw`` → Q → DQ. What is read, with scale and zero point of ``params``, is ``factor`` × ``raw``."""
        scale = self._share(np.float32(params.scale), "scale")
        raw_scale = self._share(np.float32(params.scale / factor), "scale")
        zero_point = self._share(self._activation_dtype(params.zero_point), "zero_point")
        quantized = f"{name}_quantized"
        self._nodes += [
            helper.make_node("QuantizeLinear", [raw, raw_scale, zero_point], [quantized], f"{name}_QuantizeLinear"),
            helper.make_node(
                "DequantizeLinear", [quantized, scale, zero_point], [self._reading(name)], f"{name}_DequantizeLinear"
            ),
        ]

    def _quantize_parameters(self, copy: onnx.NodeProto, node: onnx.NodeProto) -> None:
        """Put int8 weights and an int32 bias, each behind a DequantizeLinear, in place of the float ones."""
        bias_name = node.input[2] if len(node.input) > 2 else ""
        axis = weight_axis(node)
        parameters = quantize_weights(
            self._graph.constant(node.input[1]).astype(np.float32),
            self._graph.constant(bias_name).astype(np.float32) if bias_name else None,
            self._params[node.input[0]].scale,
            axis=axis,
            limit=self._dialect.weight_limit,
            per_channel=self._dialect.weight_per_channel,
        )
        copy.input[1] = self._dequantize(node.input[1], node.name, parameters.weight, parameters.scale, axis)
        if self._dialect.int32_bias and parameters.bias is not None and parameters.bias_scale is not None:
            copy.input[2] = self._dequantize(bias_name, node.name, parameters.bias, parameters.bias_scale, 0)

    def _dequantize(
        self, name: str, owner: str, values: NDArray[np.generic], scale: NDArray[np.float32], axis: int
    ) -> str:
        """Append values → DQ, and return the output's name.

        Weights and their zero points are stored for each node apart, though most are equal: where the CPU's sums
        saturate, ONNX Runtime 1.31 turns weights to u8 under new names, and cannot load a graph in which two nodes
        read one of them ("Attempt to replace the existing tensor").
        """
        zero_point = np.zeros(scale.shape, values.dtype)
        alone = owner if values.dtype == np.int8 else ""
        node = helper.make_node(
            "DequantizeLinear",
            [
                self._share(values, name, alone),
                self._share(scale, "scale"),
                self._share(zero_point, "zero_point", alone),
            ],
            [f"{owner}/{name}_dequantized"],
            f"{owner}/{name}_DequantizeLinear",
        )
        if scale.ndim:
            node.attribute.append(helper.make_attribute("axis", axis))
        self._nodes.append(node)
        return str(node.output[0])

    def _share(self, values: NDArray[np.generic] | np.generic, name: str, owner: str = "") -> str:
        """The name of an initializer with these values, made if the ``owner`` (or all nodes) has none yet."""
        array = np.asarray(values)
        key = (owner, array.dtype.str, array.shape, array.tobytes())
        if key not in self._shared:
            self._shared[key] = unique = f"{name}_quantized_{len(self._shared)}"
            self._initializers[unique] = numpy_helper.from_array(array, unique)
        return self._shared[key]


def within(bounds: tuple[float, float] | None, params: QuantParams) -> bool:
    """Whether int8 saturates inside the bounds of a Relu or Clip, to within its own rounding of half a step."""
    if bounds is None:
        return False
    slack = params.scale / 2 * (1 + 1e-6)
    return params.low >= bounds[0] - slack and params.high <= bounds[1] + slack


def tensor_params(graph: Graph, placement: Placement, ranges: Ranges, dialect: Dialect) -> dict[str, QuantParams]:
    """Scale and zero point of every quantized tensor; tensors that are tied get one that covers them all.

    An input of a Concat whose Relu or Clip only saturates in a range of its own is not tied: it would cost the fusion.
    """
    missing = [name for name in placement.quantized if name not in ranges]
    if missing:
        raise InputError(
            f"no range for {len(missing)} tensors, first '{missing[0]}'; calibrate this very graph before quantizing"
        )
    clips = {
        graph.result(node): graph.clip_bounds(activation)
        for node in graph.model.graph.node
        if (activation := graph.activation_of(node)) is not None
    }
    group = {name: [name] for name in placement.quantized}

    def params(names: list[str]) -> QuantParams:
        return dialect.activation_params(min(ranges[n][0] for n in names), max(ranges[n][1] for n in names))

    def keeps_fusion(names: list[str], shared: QuantParams) -> bool:
        own = params(names)
        return all(within(clips[n], shared) or not within(clips[n], own) for n in names if n in clips)

    for names in placement.tied:
        groups = {id(group[name]): group[name] for name in names}.values()
        shared = params([name for members in groups for name in members])
        merged = [name for members in groups if keeps_fusion(members, shared) for name in members]
        group.update(dict.fromkeys(merged, merged))
    return {name: params(members) for name, members in group.items()}
