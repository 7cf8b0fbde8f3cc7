"""Layer by layer, for the report: what a graph writes, and what the engines really ran."""

from __future__ import annotations

import re
from dataclasses import dataclass

import onnx

from edgevision.compiler.quantize.placement import ACTIVATIONS, PASS_THROUGH
from edgevision.compiler.select.precision_check import CHECKED, precision_by_node
from edgevision.compiler.variants import Candidate, CompiledVariant

# Nodes that compute nothing of their own: they move values, or belong to the layer before them.
_QUIET = (
    PASS_THROUGH
    | ACTIVATIONS
    | {"QuantizeLinear", "DequantizeLinear", "Cast", "Identity", "Dropout", "Gather", "Slice", "Split", "Pad", "Expand"}
)


@dataclass(frozen=True)
class GraphNode:
    """A node that computes. ``layer``: the network's own name for it, where the weights tell, such as
    ``blocks.0.depthwise.conv``; else ``name``, the graph's.

    ``operator``: with the kernel's size and whether it is depthwise. ``written``: ``int8`` between Q/DQ, else the
    graph's floating-point precision. ``is_fallback``: in float because int8 would have cost too much accuracy.
    """

    name: str
    layer: str
    operator: str
    written: str
    is_fallback: bool = False


def graph_nodes(candidate: Candidate) -> tuple[GraphNode, ...]:
    """The nodes of the candidate's graph that compute, in graph order."""
    graph = onnx.load_model_from_string(candidate.graph).graph
    dequantized = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    # Constants and what is made of them, and the arithmetic of shapes.
    fixed = {tensor.name for tensor in graph.initializer}
    dims = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    weights = {node.output[0]: dims.get(node.input[0], ()) for node in graph.node if node.op_type == "DequantizeLinear"}
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in graph.initializer)
    floating = "float16" if half else "float32"
    found = []
    for node in graph.node:
        if node.op_type == "Shape" or all(name in fixed for name in node.input if name):
            fixed.update(node.output)
            continue
        if node.op_type in _QUIET:
            continue
        read = node.input[:2] if node.op_type in CHECKED else [name for name in node.input if name]
        weight = node.input[1] if node.op_type in CHECKED and len(node.input) > 1 else ""
        found.append(
            GraphNode(
                node.name,
                _layer(node.name, weight),
                _operator(node, dims.get(weight) or weights.get(weight, ())),
                "int8" if read and set(read) <= dequantized else floating,
                node.name in candidate.float_fallback,
            )
        )
    return tuple(found)


def ran_in(one: CompiledVariant) -> dict[str, str]:
    """Node → precision that the one's engine ran it in. Of nodes that the engine does not name, nothing is said.

    For what the graph writes in int8 the precision check has the word: it knows by which other names engines go.
    """
    ran = precision_by_node(one.measurement.layers)
    if one.measurement.precision_check is not None:
        ran |= dict.fromkeys(one.measurement.precision_check.confirmed, "int8") | dict(
            one.measurement.precision_check.refuted
        )
    return ran


def _layer(name: str, weight: str) -> str:
    """``blocks.0.conv`` of a weight called that + ``.weight``, as PyTorch's exporter and ours name them."""
    tensor = weight.removeprefix(f"{name}/").removesuffix("_dequantized")
    return tensor.removesuffix(".weight") if tensor.endswith(".weight") else re.sub(r"^node_(?=.)", "", name)


def _operator(node: onnx.NodeProto, weight: tuple[int, ...]) -> str:
    if node.op_type != "Conv" or len(weight) < 3:
        return str(node.op_type)
    kernel = "×".join(map(str, weight[2:]))
    group = next((a.i for a in node.attribute if a.name == "group"), 1)
    kind = "" if group == 1 else ", depthwise" if weight[1] == 1 else f", {group} groups"
    return f"Conv {kernel}{kind}"
