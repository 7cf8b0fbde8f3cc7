"""Int8 candidates: one calibration, and for each dialect what agrees best with float on the calibration photos.

Tried are the range estimators; then bias correction; and for networks with depthwise convolutions, which have most to
gain and to lose, cross-layer equalization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler.agreement import agreement, graph_outputs
from edgevision.compiler.bias_correction import correct_biases_by
from edgevision.compiler.channels import channel_statistics
from edgevision.compiler.dialects import X86_VNNI, Dialect
from edgevision.compiler.equalize import equalize
from edgevision.compiler.estimators import ESTIMATORS, estimate
from edgevision.compiler.options import Candidate, ProgressFn, silent
from edgevision.compiler.placement import WEIGHTED, Graph
from edgevision.compiler.quantize import QuantizedGraph, quantize
from edgevision.compiler.ranges import RangeTable, collect_ranges
from edgevision.compiler.sensitivity import rank_nodes, restore_until

SENSITIVITY_PHOTOS = 64
MAX_FLOAT_NODES = 8  # that may go back to float: with more, little of the gain is left
Tensors = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True)
class Recipe:
    """How an int8 graph is made of the float one."""

    estimator: str
    bias_correction: bool = False
    equalization: bool = False

    @property
    def name(self) -> str:
        """As reports write it: ``mse + bias correction``."""
        steps = {"equalization": self.equalization, "bias correction": self.bias_correction}
        return " + ".join([self.estimator, *(step for step, taken in steps.items() if taken)])


@dataclass(frozen=True, eq=False)
class Observed:
    """A float graph and what calibration saw of it. ``means``: of each channel [c] of what weighted operators read."""

    graph: bytes
    table: RangeTable
    means: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What calibration found. ``estimators``: mean KL divergence from float of the int8 graph by each estimator.

    ``float_graph``: the one that int8 is written from, equalized where ``recipe`` says so; ``recipes``: the divergence
    of each that was tried; ``reference``: float's outputs [n, k] on the calibration photos.
    """

    plain: Observed
    equalized: Observed | None
    tensors: Tensors
    probabilities: bool
    reference: npt.NDArray[np.float32]
    estimators: dict[str, float]
    recipes: dict[Recipe, float]
    recipe: Recipe
    ranges: dict[str, tuple[float, float]]
    dialect: Dialect
    threads: int

    @property
    def observed(self) -> Observed:
        """What int8 graphs are written from."""
        return self.equalized if self.recipe.equalization and self.equalized is not None else self.plain

    @property
    def float_graph(self) -> bytes:
        """The float graph that int8 graphs are written from."""
        return self.observed.graph

    @property
    def table(self) -> RangeTable:
        """Its range table."""
        return self.observed.table

    @property
    def estimator(self) -> str:
        """The chosen one: least divergence; of equals, the first listed."""
        return self.recipe.estimator


def calibrate(
    float_graph: bytes, tensors: Tensors, output: str, threads: int, progress: ProgressFn = silent,
    dialect: Dialect = X86_VNNI,
) -> Calibrated:  # fmt: skip
    """Collect ranges on the calibration photos, and try every estimator, and then what else may help, on them.

    ``tensors``: prepared batches [n, c, h, w] float32; ``output``: "logits" or "probabilities".
    """
    plain = _observe(float_graph, tensors, threads, progress)
    equalized = None
    if _has_depthwise(float_graph):
        graph = equalize(float_graph, tensors, threads=threads)
        equalized = _observe(graph, tensors, threads, progress) if graph != float_graph else None
    reference = graph_outputs(float_graph, tensors, threads=threads)
    return _fit(plain, equalized, tensors, output == "probabilities", reference, dialect, threads, progress)


def for_dialect(calibrated: Calibrated, dialect: Dialect, progress: ProgressFn = silent) -> Calibrated:
    """The same calibration, with the recipe that suits another dialect."""
    return _fit(
        calibrated.plain, calibrated.equalized, calibrated.tensors, calibrated.probabilities, calibrated.reference,
        dialect, calibrated.threads, progress,
    )  # fmt: skip


def _observe(graph: bytes, tensors: Tensors, threads: int, progress: ProgressFn) -> Observed:
    table = collect_ranges(graph, tensors, threads=threads, progress=partial(progress, "calibrate"))
    nodes = Graph.parse(graph).model.graph.node
    read = {node.input[0] for node in nodes if node.op_type in WEIGHTED} & set(table.tensors)
    statistics = channel_statistics(graph, read, _first_photos(tensors), threads=threads)
    return Observed(graph, table, {name: entry.mean for name, entry in statistics.items()})


def _has_depthwise(graph: bytes) -> bool:
    view = Graph.parse(graph)
    return any(
        node.op_type == "Conv" and view.is_float_constant(node.input[1]) and view.constants[node.input[1]].dims[1] == 1
        for node in view.model.graph.node
    )


def _fit(
    plain: Observed, equalized: Observed | None, tensors: Tensors, probabilities: bool,
    reference: npt.NDArray[np.float32], dialect: Dialect, threads: int, progress: ProgressFn,
) -> Calibrated:  # fmt: skip
    steps = len(ESTIMATORS) + (1 if equalized is None else 3)
    divergence: dict[Recipe, float] = {}

    def attempt(recipe: Recipe) -> None:
        progress("range estimators", len(divergence), steps)
        observed = equalized if recipe.equalization and equalized is not None else plain
        graph = _int8_graph(observed, estimate(observed.table, recipe.estimator), recipe, dialect, frozenset()).graph
        outputs = graph_outputs(graph, tensors, threads=threads)
        divergence[recipe] = agreement(reference, outputs, probabilities=probabilities).kl

    for name in ESTIMATORS:
        attempt(Recipe(name))
    best = min(divergence, key=lambda recipe: divergence[recipe]).estimator
    estimators = {recipe.estimator: value for recipe, value in divergence.items()}
    attempt(Recipe(best, bias_correction=True))
    if equalized is not None:
        attempt(Recipe(best, equalization=True))
        attempt(Recipe(best, bias_correction=True, equalization=True))
    recipe = min(divergence, key=lambda recipe: divergence[recipe])
    table = equalized.table if recipe.equalization and equalized is not None else plain.table
    return Calibrated(
        plain, equalized, tensors, probabilities, reference, estimators, divergence, recipe,
        estimate(table, recipe.estimator), dialect, threads,
    )  # fmt: skip


def _int8_graph(
    observed: Observed, ranges: Mapping[str, tuple[float, float]], recipe: Recipe, dialect: Dialect,
    keep_float: frozenset[str],
) -> QuantizedGraph:  # fmt: skip
    graph = observed.graph
    if recipe.bias_correction:
        graph = correct_biases_by(graph, ranges, dialect, observed.means, keep_float=keep_float)
    return quantize(graph, ranges, dialect, keep_float=keep_float)


def int8_graph(calibrated: Calibrated, keep_float: frozenset[str] = frozenset()) -> QuantizedGraph:
    """The int8 graph by the chosen recipe; nodes of ``keep_float`` stay in float."""
    return _int8_graph(calibrated.observed, calibrated.ranges, calibrated.recipe, calibrated.dialect, keep_float)


def int8_candidate(calibrated: Calibrated, keep_float: Sequence[str] = (), key: str = "int8") -> Candidate:
    """``int8_graph`` as a candidate, called ``key`` in the bundle."""
    made = int8_graph(calibrated, frozenset(keep_float))
    return Candidate(
        key, made.graph, "int8", calibrated.dialect.name, calibrated.recipe.name, tuple(sorted(keep_float))
    )


def int8_candidates(calibrated: Sequence[Calibrated], keep_float: Sequence[str] = ()) -> list[Candidate]:
    """One int8 graph for each dialect; those that come out the same are one."""
    found: list[Candidate] = []
    for one in calibrated:
        candidate = int8_candidate(one, keep_float, "int8" if not found else f"int8-{one.dialect.name}")
        if all(candidate.graph != other.graph for other in found):
            found.append(candidate)
    return found


def _first_photos(tensors: Tensors) -> list[npt.NDArray[Any]]:
    """Whole batches from the start, until there are ``SENSITIVITY_PHOTOS``."""
    taken: list[npt.NDArray[Any]] = []
    for batch in tensors:
        if sum(map(len, taken)) >= SENSITIVITY_PHOTOS:
            break
        taken.append(np.asarray(batch))
    return taken


def sensitive_nodes(calibrated: Calibrated, progress: ProgressFn = silent) -> list[tuple[str, float]]:
    """Nodes with how much their quantization hurts, worst first, measured on calibration photos."""
    return rank_nodes(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect, _first_photos(calibrated.tensors), threads=calibrated.threads,
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
        make=partial(int8_graph, calibrated), progress=partial(progress, "back to float"),
    )  # fmt: skip
    return int8_candidate(calibrated, made.restored if made else [name for name, _ in ranking[:most]])
