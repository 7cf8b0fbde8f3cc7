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
from edgevision.compiler.sensitivity import rank_nodes, restore_until

SENSITIVITY_PHOTOS = 64
MAX_FLOAT_NODES = 8  # that may go back to float: with more, little of the gain is left
Tensors = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What calibration found. ``estimators``: mean KL divergence from float of the int8 graph by each estimator.

    ``reference``: float's outputs [n, k] on the calibration photos.
    """

    float_graph: bytes
    tensors: Tensors
    probabilities: bool
    reference: npt.NDArray[np.float32]
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
        float_graph, tensors, output == "probabilities", reference, table, divergence, estimate(table, best), dialect,
        threads,
    )  # fmt: skip


def int8_candidate(calibrated: Calibrated, keep_float: Sequence[str] = ()) -> Candidate:
    """The int8 graph with the chosen ranges; nodes of ``keep_float`` stay in float."""
    made: QuantizedGraph = quantize(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect, keep_float=frozenset(keep_float)
    )
    return Candidate(
        "int8", made.graph, "int8", calibrated.dialect.name, calibrated.estimator, tuple(sorted(keep_float))
    )


def sensitive_nodes(calibrated: Calibrated, progress: ProgressFn = silent) -> list[tuple[str, float]]:
    """Nodes with how much their quantization hurts, worst first, measured on calibration photos."""
    some = list(calibrated.tensors)
    taken, photos = [], 0
    while some and photos < SENSITIVITY_PHOTOS:
        taken.append(np.asarray(some.pop(0)))
        photos += len(taken[-1])
    return rank_nodes(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect, taken, threads=calibrated.threads,
        probabilities=calibrated.probabilities, progress=partial(progress, "sensitivity"),
    )  # fmt: skip


def restore(
    calibrated: Calibrated, ranking: Sequence[tuple[str, float]], refused: Candidate, max_drop: float,
    truth: npt.NDArray[np.int64] | None = None, progress: ProgressFn = silent,
) -> Candidate | None:  # fmt: skip
    """The int8 graph with the fewest of the worst nodes back in float that promises more than ``refused`` did.

    Decided on the calibration photos alone: the answers' divergence from float must be at most half of what that of
    ``refused`` was, and the loss at most ``max_drop`` points: of accuracy where ``truth`` [n] is given, else of
    agreement with float. Where no number of nodes reaches that, as many as may go back do. None when ``refused`` has
    as many in float already.
    """
    most = min(MAX_FLOAT_NODES, len(ranking) - 1)
    if len(refused.float_parts) >= most:
        return None
    reference, probabilities = calibrated.reference, calibrated.probabilities
    best = reference.argmax(1)
    expected = best if truth is None else truth

    def outputs_of(graph: bytes) -> npt.NDArray[np.float32]:
        return graph_outputs(graph, calibrated.tensors, threads=calibrated.threads)

    bound = agreement(reference, outputs_of(refused.graph), probabilities=probabilities).kl / 2

    def accept(graph: bytes) -> bool:
        outputs = outputs_of(graph)
        drop = 100 * float(np.mean(best == expected) - np.mean(outputs.argmax(1) == expected))
        return drop <= max_drop and agreement(reference, outputs, probabilities=probabilities).kl <= bound

    made = restore_until(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect, ranking, accept, most,
        progress=partial(progress, "back to float"),
    )  # fmt: skip
    return int8_candidate(calibrated, made.restored if made else [name for name, _ in ranking[:most]])
