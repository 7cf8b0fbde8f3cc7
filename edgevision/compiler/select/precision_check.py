"""Precision check: which of the layers that a graph writes in int8 really run in int8."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from edgevision.compiler.quantize.placement import WEIGHTED
from edgevision.compiler.variants import PrecisionCheck
from edgevision.engines.base import Layer

CHECKED = frozenset({*WEIGHTED, "ConvTranspose"})  # operators where the time goes: what "int8" is about


def int8_nodes(graph: bytes) -> tuple[str, ...]:
    """Names of the weighted nodes that stand between Q/DQ: data and weight both come out of a DequantizeLinear."""
    return tuple(_claims(graph))


def check(graph: bytes, layers: Sequence[Layer]) -> PrecisionCheck:
    """Compare what ``graph`` (ONNX, Q/DQ) writes in int8 with the ``layers`` that an engine runs."""
    ran = precision_by_node(layers)
    confirmed, refuted, missing = [], [], []
    for name, aliases in _claims(graph).items():
        precision = next((ran[alias] for alias in (name, *aliases) if alias in ran), None)
        if precision is None:
            missing.append(name)
        elif precision == "int8":
            confirmed.append(name)
        else:
            refuted.append((name, precision))
    return PrecisionCheck(tuple(confirmed), tuple(refuted), tuple(missing))


def precision_by_node(layers: Sequence[Layer]) -> dict[str, str]:
    """Name of the graph's node → precision of the layer that it became part of, as far as the engine tells."""
    return {_node_name(source): layer.precision for layer in reversed(layers) for source in layer.sources}


def _claims(graph: bytes) -> dict[str, tuple[str, ...]]:
    """Weighted nodes between Q/DQ → other names that an engine may give them: OpenVINO calls a matrix product after
    the tensor that it makes, the graph's output among them."""
    model = onnx.load_from_string(graph)
    nodes = model.graph.node
    dequantized = {output for node in nodes if node.op_type == "DequantizeLinear" for output in node.output}
    outputs = {output.name for output in model.graph.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    claims = {}
    for node in nodes:
        if node.op_type in CHECKED and len(node.input) > 1 and set(node.input[:2]) <= dequantized:
            made = _through_qdq(node.output[0], readers)
            claims[node.name] = (made[0], *(f"{name}_original" for name in made if name in outputs))
    return claims


def _through_qdq(name: str, readers: dict[str, list[onnx.NodeProto]]) -> list[str]:
    """A tensor, and what it is called behind the Q/DQ that follow it."""
    names = [name]
    while following := [n for n in readers.get(names[-1], []) if n.op_type in ("QuantizeLinear", "DequantizeLinear")]:
        names.append(following[0].output[0])
    return names


def _node_name(source: str) -> str:
    """The graph's node behind a name that an engine derived from it (OpenVINO appends parts behind a slash)."""
    head, _, tail = source.rpartition("/")
    return _node_name(head) if head and tail in _OPENVINO_PARTS else source


_OPENVINO_PARTS = {"WithoutBiases", "DequantizationMultiply", "DequantizationSubtract", "DequantizationAdd"}
