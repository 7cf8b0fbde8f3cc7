"""Cross-layer equalization: channels of very different size, brought to one size, without a change of the network.

M. Nagel et al., "Data-free quantization through weight equalization and bias correction" (ICCV 2019, arXiv:1906.04721),
section 4.1: between two convolutions, channel i may be divided by s_i > 0 if the second one's weights for it are
multiplied by s_i, because ReLU(x / s) = ReLU(x) / s. The small channels of an activation tensor, which one int8 scale
rounds to nothing, become as large as the others. Depthwise networks have the most to gain.

Two differences from the paper. Weights have a scale per channel in every dialect here, so what wants equal ranges is the
activations: their peaks on calibration photos take the place of the first weights' ranges. And factors are powers of
two, so that the float network stays the same to the last bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgevision.compiler.quantize.channels import channel_statistics
from edgevision.compiler.quantize.placement import Graph
from edgevision.errors import InputError

CLIP_MARGIN = 2.0  # a channel may reach this many times its peak before a clip acts on it that did not before
SMALLEST_FACTOR = 2.0**-8  # a channel that hardly lives is not blown up to the size of the others
SMALLEST_CLIPPED_FACTOR = 2.0**-3  # nor so far that a clip meets it on the first photo that brings it to life


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two convolutions, the tensor ``before`` the activation function between them, and the ``bound`` at which that
    clips (None for ReLU, and for none).
    """

    first: onnx.NodeProto
    second: onnx.NodeProto
    before: str
    bound: float | None


def equalize(graph: bytes, batches: Iterable[NDArray[np.float32]], *, threads: int = 1) -> bytes:
    """The same float network with channels between convolutions equalized. The same bytes where there is nothing to do.

    Behind a Clip (ReLU6), only those channels change that stay far below the bound on all photos: no factor brings one
    beyond 1 / ``CLIP_MARGIN`` of it. Where a channel exceeds its peak by more than that, and there alone, outputs may
    differ from the original's.

    Args:
        graph: float32 ONNX, batch norms folded, weights as initializers.
        batches: calibration tensors [n, c, h, w] float32.
        threads: for ONNX Runtime.

    Raises:
        DataError: no photos.
        EngineError: ONNX Runtime cannot run the graph.
        ModelFileError: the graph cannot be read.
    """
    view = Graph.parse(graph)
    pairs = _pairs(view)
    if not pairs:
        return graph
    statistics = channel_statistics(graph, [pair.before for pair in pairs], batches, threads=threads)
    return equalize_by(graph, {name: entry.peak for name, entry in statistics.items()})


def equalize_by(graph: bytes, peaks: Mapping[str, NDArray[np.float64]]) -> bytes:
    """As ``equalize``, from the peaks [c] of the tensors before each activation function.

    Raises:
        InputError: peaks of a tensor are missing, or not one for each channel.
        ModelFileError: the graph cannot be read.
    """
    view = Graph.parse(graph)
    weights = {name: np.array(view.constant(name)) for name in view.constants if view.is_float_constant(name)}
    changed: set[str] = set()
    for pair in _pairs(view):
        channels = weights[pair.first.input[1]].shape[0]
        peak = peaks.get(pair.before)
        if peak is None or peak.shape != (channels,):
            raise InputError(f"equalization needs the peaks of the {channels} channels of '{pair.before}'")
        factors = _factors(peak, _input_ranges(weights[pair.second.input[1]], channels), pair.bound)
        if (factors == 1).all():
            continue
        changed |= {pair.first.input[1], pair.second.input[1], *pair.first.input[2:3]}
        weights[pair.first.input[1]] /= factors.reshape(-1, 1, 1, 1)
        if len(pair.first.input) > 2 and pair.first.input[2]:
            weights[pair.first.input[2]] /= factors
        second = weights[pair.second.input[1]]
        grouped = second.reshape(channels // second.shape[1], -1, *second.shape[1:])
        grouped *= factors.reshape(len(grouped), 1, -1, 1, 1)
    if not changed:
        return graph
    model = view.model
    for tensor in model.graph.initializer:
        if tensor.name in changed:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    return bytes(model.SerializeToString(deterministic=True))


def _factors(peak: NDArray[np.float64], weight_range: NDArray[np.float64], bound: float | None) -> NDArray[np.float32]:
    """What to divide each channel by: powers of two, 1 for channels to be left alone.

    The precision of channel i is peak_i / max peak in the activations, and range_i / max range in the second weights.
    Their product is best shared evenly (the paper's equation 11): s = sqrt(peak share / range share). No channel
    grows beyond the largest.
    """
    if not peak.any() or not weight_range.any():
        return np.ones(len(peak), np.float32)
    share = peak / peak.max()
    weight_share = weight_range / weight_range.max()
    lives = (share > 0) & (weight_share > 0)
    factors = np.sqrt(np.where(lives, share, 1) / np.where(lives, weight_share, 1))
    floor = np.maximum(share, SMALLEST_FACTOR)
    if bound is not None:
        # A factor above 1 would let through what the clip held back; below, the clip must stay out of reach.
        floor = np.maximum(floor, np.maximum(CLIP_MARGIN * peak / bound, SMALLEST_CLIPPED_FACTOR))
        factors = np.minimum(factors, 1.0)
    powers = np.exp2(np.ceil(np.log2(np.maximum(factors, floor)) - 1e-9))
    if bound is not None:
        powers = np.minimum(powers, 1.0)
    return np.where(lives, np.clip(powers, SMALLEST_FACTOR, 1 / SMALLEST_FACTOR), 1.0).astype(np.float32)


def _input_ranges(weight: NDArray[np.generic], channels: int) -> NDArray[np.float64]:
    """max|w| over all weights [o, i / groups, h, w] that read each of the input channels.

    All ones for a depthwise convolution: a scale per output channel is one per input channel there, so that any factor
    leaves its precision as it is.
    """
    if weight.shape[1] == 1 and channels > 1:
        return np.ones(channels)
    grouped = np.abs(weight.astype(np.float64)).reshape(channels // weight.shape[1], -1, *weight.shape[1:])
    ranges: NDArray[np.float64] = grouped.max(axis=(1, 3, 4)).reshape(-1)
    return ranges


def _pairs(view: Graph) -> list[_Pair]:
    """Convolutions that one other convolution alone reads, through nothing but a ReLU or a clip at 0 and above."""
    uses = Counter(name for node in view.model.graph.node for name in node.input)

    def own(node: onnx.NodeProto) -> bool:
        parameters = [name for name in node.input[1:] if name]
        return node.op_type == "Conv" and all(view.is_float_constant(n) and uses[n] == 1 for n in parameters) and (
            len(view.constants[node.input[1]].dims) == 4
        )  # fmt: skip

    found = []
    for first in view.model.graph.node:
        if not own(first):
            continue
        activation = view.activation_of(first)
        after = view.result(first)
        readers = view.consumers.get(after, [])
        if after in view.outputs or len(readers) != 1 or not own(readers[0]) or readers[0].input[0] != after:
            continue
        bounds = view.clip_bounds(activation) if activation is not None else None
        if activation is not None and (bounds is None or bounds[0] != 0 or bounds[1] <= 0):
            continue
        bound = bounds[1] if bounds is not None and np.isfinite(bounds[1]) else None
        found.append(_Pair(first, readers[0], first.output[0], bound))
    return found
