"""Bias correction: rounded weights move the mean of a layer's output; its bias takes that back.

M. Nagel et al., "Data-free quantization through weight equalization and bias correction" (ICCV 2019, arXiv:1906.04721),
section 4.2: with rounded weights W̃ the mean output differs by (W̃ − W)·E[x], which the float network's mean input on
calibration photos tells. Depthwise channels have few weights, whose rounding errors do not cancel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgevision.compiler.quantize.channels import channel_statistics
from edgevision.compiler.quantize.dialects import Dialect
from edgevision.compiler.quantize.emitter import tensor_params
from edgevision.compiler.quantize.parameters import quantize_weights
from edgevision.compiler.quantize.placement import Graph, place, weight_axis
from edgevision.compiler.quantize.ranges import Ranges


def correct_biases(
    graph: bytes,
    ranges: Ranges,
    dialect: Dialect,
    batches: Iterable[NDArray[np.float32]],
    *,
    keep_float: frozenset[str] = frozenset(),
    threads: int = 1,
) -> bytes:
    """The float graph with the biases that its int8 form in ``dialect`` should have. Give it to ``quantize``.

    Only the biases of nodes that become int8 change, and only those that no other node shares.

    Args:
        graph: float32 ONNX, as for ``quantize``.
        ranges: (low, high) per tensor, as for ``quantize``.
        dialect: as for ``quantize``.
        batches: calibration tensors [n, c, h, w] float32; a few dozen photos tell a mean.
        keep_float: as for ``quantize``.
        threads: for ONNX Runtime.

    Raises:
        DataError, EngineError, InputError, ModelFileError: as ``quantize`` and ``channel_statistics``.
    """
    names = [node.input[0] for node in _correctable(Graph.parse(graph), dialect, keep_float)]
    statistics = channel_statistics(graph, names, batches, threads=threads)
    means = {name: entry.mean for name, entry in statistics.items()}
    return correct_biases_by(graph, ranges, dialect, means, keep_float=keep_float)


def correct_biases_by(
    graph: bytes,
    ranges: Ranges,
    dialect: Dialect,
    means: Mapping[str, NDArray[np.float64]],
    *,
    keep_float: frozenset[str] = frozenset(),
) -> bytes:
    """As ``correct_biases``, from the mean [c] of every tensor that an int8 node with weights reads."""
    view = Graph.parse(graph)
    params = tensor_params(view, place(view, dialect, keep_float), ranges, dialect)
    corrected = {}
    for node in _correctable(view, dialect, keep_float):
        weight = view.constant(node.input[1]).astype(np.float32)
        bias = view.constant(node.input[2]).astype(np.float64)
        axis = weight_axis(node)
        quantized = quantize_weights(
            weight, bias, params[node.input[0]].scale, axis=axis, limit=dialect.weight_limit,
            per_channel=dialect.weight_per_channel,
        )  # fmt: skip
        shape = [-1 if place == axis and quantized.scale.ndim else 1 for place in range(weight.ndim)]
        error = quantized.weight * quantized.scale.astype(np.float64).reshape(shape) - weight
        shift = _shift(node, error if axis == 0 else error.T, means[node.input[0]])
        corrected[node.input[2]] = (bias - shift).astype(np.float32)
    model = view.model
    for tensor in model.graph.initializer:
        if tensor.name in corrected:
            tensor.CopyFrom(numpy_helper.from_array(corrected[tensor.name], tensor.name))
    return bytes(model.SerializeToString(deterministic=True))


def _shift(node: onnx.NodeProto, error: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean change [o] of the output by an error [o, i / groups, …] of the weights. Padding's zeros are left out."""
    per_input = error.reshape(*error.shape[:2], -1).sum(2)
    groups = len(mean) // per_input.shape[1]
    grouped = per_input.reshape(groups, -1, per_input.shape[1])
    shift: NDArray[np.float64] = np.einsum("goi,gi->go", grouped, mean.reshape(groups, -1)).reshape(-1)
    return shift


def _correctable(view: Graph, dialect: Dialect, keep_float: frozenset[str]) -> list[onnx.NodeProto]:
    """Conv and Gemm nodes that become int8, and have a bias of their own."""
    int8 = place(view, dialect, keep_float).int8
    uses = Counter(name for node in view.model.graph.node for name in node.input)
    return [
        node
        for node in view.model.graph.node
        if node.name in int8
        and node.op_type in {"Conv", "Gemm"}
        and len(node.input) > 2
        and view.is_float_constant(node.input[2])
        and uses[node.input[2]] == 1
    ]
