"""The int8 candidate: one range table, several range estimators, the one that agrees best with float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler.agreement import agreement, graph_outputs
from edgevision.compiler.dialects import X86_VNNI, Dialect
from edgevision.compiler.estimators import ESTIMATORS, estimate
from edgevision.compiler.options import Candidate, ProgressFn, silent
from edgevision.compiler.quantize import QuantizedGraph, quantize
from edgevision.compiler.ranges import RangeTable, collect_ranges
from edgevision.compiler.sensitivity import rank_nodes

SENSITIVITY_PHOTOS = 64
Tensors = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What calibration found. ``estimators``: mean KL divergence from float of the int8 graph by each estimator."""

    float_graph: bytes
    tensors: Tensors
    probabilities: bool
    table: RangeTable
    estimators: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    dialect: Dialect
    threads: int

    @property
    def estimator(self) -> str:
        """The chosen one: least divergence; of equals, the first listed."""
        return min(self.estimators, key=lambda name: self.estimators[name])


def calibrate(
    float_graph: bytes, tensors: Tensors, output: str, threads: int, progress: ProgressFn = silent,
    dialect: Dialect = X86_VNNI,
) -> Calibrated:  # fmt: skip
    """Collect ranges on the calibration photos, and try every estimator on them.

    ``tensors``: prepared batches [n, c, h, w] float32; ``output``: "logits" or "probabilities".
    """
    table = collect_ranges(float_graph, tensors, threads=threads, progress=partial(progress, "calibrate"))
    reference = graph_outputs(float_graph, tensors, threads=threads)
    divergence = {}
    for place, name in enumerate(ESTIMATORS):
        progress("range estimators", place, len(ESTIMATORS))
        graph = quantize(float_graph, estimate(table, name), dialect).graph
        outputs = graph_outputs(graph, tensors, threads=threads)
        divergence[name] = agreement(reference, outputs, probabilities=output == "probabilities").kl
    best = min(divergence, key=lambda name: divergence[name])
    return Calibrated(
        float_graph, tensors, output == "probabilities", table, divergence, estimate(table, best), dialect, threads
    )  # fmt: skip


def int8_candidate(calibrated: Calibrated, keep_float: Sequence[str] = ()) -> Candidate:
    """The int8 graph with the chosen ranges; nodes of ``keep_float`` stay in float."""
    made: QuantizedGraph = quantize(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect, keep_float=frozenset(keep_float)
    )
    return Candidate(
        "int8", made.graph, "int8", calibrated.dialect.name, calibrated.estimator, tuple(sorted(keep_float))
    )


def sensitive_nodes(calibrated: Calibrated, progress: ProgressFn = silent) -> tuple[str, ...]:
    """Nodes by how much their quantization hurts, worst first, measured on calibration photos."""
    some = list(calibrated.tensors)
    taken, photos = [], 0
    while some and photos < SENSITIVITY_PHOTOS:
        taken.append(np.asarray(some.pop(0)))
        photos += len(taken[-1])
    ranking = rank_nodes(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect, taken, threads=calibrated.threads,
        probabilities=calibrated.probabilities, progress=partial(progress, "sensitivity"),
    )  # fmt: skip
    return tuple(name for name, _ in ranking)
