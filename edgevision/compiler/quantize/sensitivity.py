"""Which nodes int8 hurts, by measured loss of agreement, and which of them to return to float.

A node is measured by quantizing it alone in a float network. Against the other way (quantize all but one) this has an
exact baseline, since without quantization the loss is zero, so few photos rank reliably; and a badly quantized tensor
counts against every node that makes or reads it. All of these have to return to float before the tensor does, while
returning any one of them shows little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.quantize.dialects import Dialect
from edgevision.compiler.quantize.emitter import QuantizedGraph, quantizable_nodes, quantize
from edgevision.compiler.quantize.placement import PASS_THROUGH, Graph
from edgevision.compiler.quantize.ranges import Ranges
from edgevision.compiler.quantize.segments import SegmentedGraph
from edgevision.errors import InputError

# Their activations between all segments are in memory: eight photos of 320 × 320 pixels, two of 640 × 640.
PHOTOS_AT_ONCE, VALUES_AT_ONCE = 8, 8 * 3 * 320 * 320

Progress = Callable[[int, int], None]  # steps done, steps to do


def rank_nodes(
    graph: bytes,
    ranges: Ranges,
    dialect: Dialect,
    batches: Sequence[NDArray[Any]],
    measure: AnswerMeasure,
    *,
    limit: int | None = None,
    threads: int = 1,
    time_limit_s: float = 300.0,
    progress: Progress | None = None,
) -> list[tuple[str, float]]:
    """(Node name, loss) by ``measure_nodes``, worst first, at most ``limit``; of equals, the earlier in the graph.

    Nodes that there was no time for are ranked behind all others, with loss 0. Arguments and errors are those of
    ``measure_nodes``.
    """
    losses = measure_nodes(
        graph, ranges, dialect, batches, measure, threads=threads, time_limit_s=time_limit_s,
        progress=progress,
    )  # fmt: skip
    ranked = [(name, losses.get(name, 0.0)) for name in measurable_nodes(graph, dialect)]
    return sorted(ranked, key=lambda item: -item[1])[:limit]  # stable: graph order among equals


def measurable_nodes(graph: bytes, dialect: Dialect) -> tuple[str, ...]:
    """Names of the nodes that int8 can hurt, in graph order: all that run in it, but for those that only move values."""
    moving = {node.name for node in Graph.parse(graph).model.graph.node if node.op_type in PASS_THROUGH}
    return tuple(name for name in quantizable_nodes(graph, dialect) if name not in moving)


def measure_nodes(
    graph: bytes,
    ranges: Ranges,
    dialect: Dialect,
    batches: Sequence[NDArray[Any]],
    measure: AnswerMeasure,
    *,
    threads: int = 1,
    time_limit_s: float = 300.0,
    progress: Progress | None = None,
) -> dict[str, float]:
    """The loss that quantizing each node alone causes: divergence of the answers from float's, by name.

    Args:
        graph: float ONNX.
        ranges: (low, high) per tensor, as for ``quantize``.
        dialect: as for ``quantize``.
        batches: calibration tensors [n, c, h, w] float32; 32 to 64 photos are enough.
        measure: of the graph's task.
        threads: for ONNX Runtime.
        time_limit_s: when it is spent, the losses are those on the photos that all nodes have been measured on, a few
            at a time. If it does not suffice for the first few, nodes not yet measured are left out. Nodes of several
            kinds are measured early: the order is a fixed shuffle of the graph's.
        progress: called with (measurements done, measurements to do); each is of one node on a few photos.

    Raises:
        EngineError: ONNX Runtime cannot run the graph.
        InputError, ModelFileError: as ``quantize``.
    """
    segmented = SegmentedGraph(graph, threads=threads)
    everything = frozenset(quantizable_nodes(graph, dialect))
    names = measurable_nodes(graph, dialect)
    order = [names[index] for index in np.random.default_rng(0).permutation(len(names)).tolist()]
    parts = list(in_parts(batches))
    losses: dict[str, float] = {}
    photos = 0
    started = time.monotonic()
    for turn, part in enumerate(parts):
        values = segmented.run(part)
        reference = measure.digest(segmented.answer(values[-1]))
        measured: dict[str, float] = {}
        for name in order:
            if time.monotonic() - started > time_limit_s:
                break
            place = segmented.segment_of(name)
            alone = quantize(segmented.without_other_weights(place), ranges, dialect, keep_float=everything - {name})
            measured[name] = 0.0
            if alone.int8_nodes:  # what takes part only among int8 neighbours is not int8 alone
                changed = onnx.load_model_from_string(alone.graph)
                outputs = segmented.outputs_with(name, changed, values[place])
                measured[name] = measure.divergence(reference, measure.digest(outputs))
            if progress:
                progress(turn * len(names) + len(measured), len(parts) * len(names))
        if turn and len(measured) < len(names):
            break  # losses on some photos more would not compare with the others'
        for name, loss in measured.items():
            losses[name] = (losses.get(name, 0.0) * photos + loss * len(part)) / (photos + len(part))
        photos += len(part)
    return losses


def in_parts(batches: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """The photos, as many at once as are measured together.

    >>> [len(part) for part in in_parts([np.zeros((12, 3, 32, 32)), np.zeros((3, 3, 640, 640))])]
    [8, 4, 2, 1]
    """
    for batch in batches:
        count = max(1, min(PHOTOS_AT_ONCE, VALUES_AT_ONCE // max(1, batch[:1].size)))
        for start in range(0, len(batch), count):
            yield batch[start : start + count]


@dataclass(frozen=True)
class FloatFallback:
    """An accepted graph, and the nodes that are kept in float for it, worst first."""

    quantized: QuantizedGraph
    nodes: tuple[str, ...]


def fallback_until(
    graph: bytes,
    ranges: Ranges,
    dialect: Dialect,
    ranking: Sequence[tuple[str, float]],
    accept: Callable[[bytes], bool],
    max_nodes: int,
    *,
    make: Callable[[frozenset[str]], QuantizedGraph] | None = None,
    progress: Progress | None = None,
) -> FloatFallback | None:
    """Return the worst nodes to float, as few as make ``accept`` true, at most ``max_nodes``.

    Tries 0, 1, 2, 4, 8 … nodes, then halves the gap between the last refusal and the first acceptance: about
    2·log2(max_nodes) calls of ``accept``, which may be slow. It gets the ONNX bytes. None when nothing is accepted.
    ``make``: writes the graph with these nodes in float, where there is more to it than ``quantize``.

    Raises:
        InputError: ``max_nodes`` is negative.
    """
    if max_nodes < 0:
        raise InputError(f"max_nodes must be at least 0, got {max_nodes}")
    worst = [name for name, _ in ranking[:max_nodes]]
    counts = [0, *(2**k for k in range(len(worst).bit_length()) if 2**k < len(worst)), len(worst)]
    steps = sorted(set(counts))

    def attempt(count: int) -> QuantizedGraph | None:
        kept = frozenset(worst[:count])
        candidate = make(kept) if make else quantize(graph, ranges, dialect, keep_float=kept)
        return candidate if accept(candidate.graph) else None

    refused = -1
    best: QuantizedGraph | None = None
    count = 0
    for done, count in enumerate(steps):
        best = attempt(count)
        if progress:
            progress(done + 1, len(steps))
        if best is not None:
            break
        refused = count
    if best is None:
        return None
    while count - refused > 1:
        middle = (refused + count) // 2
        candidate = attempt(middle)
        if candidate is None:
            refused = middle
        else:
            best, count = candidate, middle
    return FloatFallback(best, tuple(worst[:count]))
