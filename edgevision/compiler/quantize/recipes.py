"""Int8 candidates: one calibration, and for each dialect what agrees best with float on the calibration photos.

Tried are the range estimators; then bias correction; and for networks with depthwise convolutions, which have most to
gain and to lose, cross-layer equalization. Ranges come from all calibration photos; recipes are tried on some of them,
the same for all, so that what photos differ in counts alike for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.effort import REPORT_PHOTOS
from edgevision.compiler.progress import ProgressFn, silent
from edgevision.compiler.quantize.bias_correction import correct_biases_by
from edgevision.compiler.quantize.channels import channel_statistics
from edgevision.compiler.quantize.dialects import X86_VNNI, Dialect
from edgevision.compiler.quantize.emitter import QuantizedGraph, quantize
from edgevision.compiler.quantize.equalize import equalize
from edgevision.compiler.quantize.estimators import ESTIMATORS, estimate
from edgevision.compiler.quantize.placement import WEIGHTED, Graph
from edgevision.compiler.quantize.ranges import RangeTable, collect_ranges
from edgevision.compiler.quantize.sensitivity import fallback_until, measure_nodes, rank_nodes
from edgevision.compiler.variants import Candidate
from edgevision.evaluate.base import NodeInfo, Truths
from edgevision.tensors import Outputs

# Photos that recipes are tried on. What 128 of 400 choose diverges on all 400 by 2 % more than the best recipe would, on
# average over draws, and by 6 % at worst (EfficientNet-Lite0, each dialect): recipes that few photos mix up are as good.
TRIAL_PHOTOS = 128
MEAN_PHOTOS = 64  # that channels' means are taken over
SENSITIVITY_PHOTOS = 64  # that nodes are ranked on before some fall back to float
RUNNERS_UP = 2  # estimators that a further dialect tries: the best of those before
MAX_FLOAT_NODES = 8  # that may fall back to float: with more, little of the gain is left
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
class CalibrationStatistics:
    """A float graph and what calibration saw of it. ``means``: of each channel [c] of what weighted operators read."""

    graph: bytes
    table: RangeTable
    means: Mapping[str, npt.NDArray[np.float64]]
    _ranges: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    def ranges(self, estimator: str) -> dict[str, tuple[float, float]]:
        """(low, high) of every tensor; worked out once, for all dialects."""
        if estimator not in self._ranges:
            self._ranges[estimator] = estimate(self.table, estimator)
        return self._ranges[estimator]


@dataclass(frozen=True, eq=False)
class RecipeTrials:
    """The photos that recipes are tried on, with float's answers there; and what was tried.

    ``known``: the divergence of int8 graphs by their SHA-256. Dialects often come out the same.
    """

    tensors: Tensors
    reference: Outputs
    measure: AnswerMeasure
    threads: int
    known: dict[bytes, float] = field(default_factory=dict)

    def divergence(self, graph: bytes) -> float:
        """Of the graph's answers from float's."""
        key = hashlib.sha256(graph).digest()
        if key not in self.known:
            answers = self.measure.run(graph, self.tensors, threads=self.threads)
            self.known[key] = self.measure.divergence(self.reference, answers)
        return self.known[key]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What calibration found. ``estimators``: the divergence from float of the int8 graph by each estimator.

    ``float_graph``: the one that int8 is written from, equalized where ``recipe`` says so; ``recipes``: the divergence
    of each that was tried; ``tensors``: all calibration photos; ``always_float``: nodes that the task wants in float.
    """

    plain: CalibrationStatistics
    equalized: CalibrationStatistics | None
    tensors: Tensors
    trials: RecipeTrials
    estimators: dict[str, float]
    recipes: dict[Recipe, float]
    recipe: Recipe
    ranges: dict[str, tuple[float, float]]
    dialect: Dialect
    always_float: frozenset[str] = frozenset()

    @property
    def measure(self) -> AnswerMeasure:
        """Of the task."""
        return self.trials.measure

    @cached_property
    def reference(self) -> Outputs:
        """Float's answers on all calibration photos."""
        return self.measure.run(self.plain.graph, self.tensors, threads=self.trials.threads)

    @property
    def observed(self) -> CalibrationStatistics:
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
    float_graph: bytes, tensors: Tensors, measure: AnswerMeasure, threads: int, progress: ProgressFn = silent,
    dialect: Dialect = X86_VNNI, trial_photos: int = TRIAL_PHOTOS,
) -> Calibrated:  # fmt: skip
    """Collect ranges on the calibration photos, and try every estimator, and then what else may help, on
    ``trial_photos`` of them.

    ``tensors``: prepared batches [n, c, h, w] float32; ``measure``: of the model's task.
    """
    plain = _observe(float_graph, tensors, threads, progress)
    equalized = None
    if has_depthwise(float_graph):
        graph = equalize(float_graph, tensors, threads=threads)
        equalized = _observe(graph, tensors, threads, progress) if graph != float_graph else None
    some = some_photos(tensors, trial_photos)
    trials = RecipeTrials(some, measure.run(float_graph, some, threads=threads), measure, threads)
    always_float = measure.float_nodes(describe_nodes(float_graph))
    return _fit(plain, equalized, tensors, trials, dialect, tuple(ESTIMATORS), always_float, progress)


def describe_nodes(graph: bytes) -> tuple[NodeInfo, ...]:
    """The graph's nodes, as a task sees them."""
    nodes = Graph.parse(graph).model.graph.node
    return tuple(NodeInfo(node.name, node.op_type, tuple(node.input), tuple(node.output)) for node in nodes)


def for_dialect(calibrated: Calibrated, dialect: Dialect, progress: ProgressFn = silent) -> Calibrated:
    """The same calibration, with the recipe that suits another dialect.

    Of the range estimators only those are tried that were best for ``calibrated``: they differ in how much of a
    tensor's tail they clip, and what a network bears of that hardly depends on how an engine wants its int8 written.
    """
    best = sorted(calibrated.estimators, key=lambda name: calibrated.estimators[name])[:RUNNERS_UP]
    estimators = tuple(name for name in ESTIMATORS if name in best)
    return _fit(
        calibrated.plain, calibrated.equalized, calibrated.tensors, calibrated.trials, dialect, estimators,
        calibrated.always_float, progress,
    )  # fmt: skip


def _observe(graph: bytes, tensors: Tensors, threads: int, progress: ProgressFn) -> CalibrationStatistics:
    table = collect_ranges(graph, tensors, threads=threads, progress=partial(progress, "calibrate"))
    nodes = Graph.parse(graph).model.graph.node
    read = {node.input[0] for node in nodes if node.op_type in WEIGHTED} & set(table.tensors)
    statistics = channel_statistics(graph, read, some_photos(tensors, MEAN_PHOTOS), threads=threads)
    return CalibrationStatistics(graph, table, {name: entry.mean for name, entry in statistics.items()})


def has_depthwise(graph: bytes) -> bool:
    """Whether the graph has a convolution with a single input channel for each output channel."""
    view = Graph.parse(graph)
    return any(
        node.op_type == "Conv" and view.is_float_constant(node.input[1]) and view.constants[node.input[1]].dims[1] == 1
        for node in view.model.graph.node
    )


def _fit(
    plain: CalibrationStatistics, equalized: CalibrationStatistics | None, tensors: Tensors, trials: RecipeTrials, dialect: Dialect,
    estimators: Sequence[str], always_float: frozenset[str], progress: ProgressFn,
) -> Calibrated:  # fmt: skip
    steps = len(estimators) + (1 if equalized is None else 3)
    divergence: dict[Recipe, float] = {}

    def attempt(recipe: Recipe) -> None:
        progress("range estimators", len(divergence), steps)
        observed = equalized if recipe.equalization and equalized is not None else plain
        graph = _int8_graph(observed, observed.ranges(recipe.estimator), recipe, dialect, always_float).graph
        divergence[recipe] = trials.divergence(graph)

    for name in estimators:
        attempt(Recipe(name))
    best = min(divergence, key=lambda recipe: divergence[recipe]).estimator
    by_estimator = {recipe.estimator: value for recipe, value in divergence.items()}
    attempt(Recipe(best, bias_correction=True))
    if equalized is not None:
        attempt(Recipe(best, equalization=True))
        attempt(Recipe(best, bias_correction=True, equalization=True))
    progress("range estimators", steps, steps)
    recipe = min(divergence, key=lambda recipe: divergence[recipe])
    chosen = equalized if recipe.equalization and equalized is not None else plain
    return Calibrated(
        plain, equalized, tensors, trials, by_estimator, divergence, recipe, chosen.ranges(recipe.estimator), dialect,
        always_float,
    )  # fmt: skip


def _int8_graph(
    observed: CalibrationStatistics, ranges: Mapping[str, tuple[float, float]], recipe: Recipe, dialect: Dialect,
    keep_float: frozenset[str],
) -> QuantizedGraph:  # fmt: skip
    graph = observed.graph
    if recipe.bias_correction:
        graph = correct_biases_by(graph, ranges, dialect, observed.means, keep_float=keep_float)
    return quantize(graph, ranges, dialect, keep_float=keep_float)


def int8_graph(calibrated: Calibrated, keep_float: frozenset[str] = frozenset()) -> QuantizedGraph:
    """The int8 graph by the chosen recipe; nodes of ``keep_float`` stay in float."""
    kept = keep_float | calibrated.always_float
    return _int8_graph(calibrated.observed, calibrated.ranges, calibrated.recipe, calibrated.dialect, kept)


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


def some_photos(tensors: Tensors, count: int) -> Tensors:
    """``count`` of the photos, or all; in order, in batches like the first one.

    Drawn at random, always the same: lists of photos are often sorted by class, or go through the classes in turns.
    """
    sizes = [len(batch) for batch in tensors]
    if sum(sizes) <= count:
        return tensors
    chosen = set(np.random.default_rng(0).permutation(sum(sizes))[:count].tolist())
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    photos = [
        batch[i] for start, batch in zip(starts, tensors, strict=True) for i in range(len(batch)) if start + i in chosen
    ]
    return [np.stack(photos[start : start + sizes[0]]) for start in range(0, count, sizes[0])]


def sensitivities(
    calibrated: Calibrated, progress: ProgressFn = silent, time_limit_s: float = 40.0
) -> list[tuple[str, float]]:
    """For the report: nodes with the divergence that quantizing each alone causes, worst first.

    On ``REPORT_PHOTOS`` calibration photos, or as many fewer as ``time_limit_s`` allows. Nodes that even the first few
    photos left no time for are not in the list.
    """
    losses = measure_nodes(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect, some_photos(calibrated.tensors, REPORT_PHOTOS),
        calibrated.measure, threads=calibrated.trials.threads, time_limit_s=time_limit_s,
        progress=partial(progress, "sensitivity"),
    )  # fmt: skip
    return sorted(losses.items(), key=lambda item: -item[1])


def sensitive_nodes(
    calibrated: Calibrated, progress: ProgressFn = silent, time_limit_s: float = 300.0
) -> list[tuple[str, float]]:
    """All nodes with how much their quantization hurts, worst first, measured on more photos than ``sensitivities``, or
    as many fewer as ``time_limit_s`` allows."""
    return rank_nodes(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect,
        some_photos(calibrated.tensors, SENSITIVITY_PHOTOS), calibrated.measure,
        threads=calibrated.trials.threads, time_limit_s=time_limit_s, progress=partial(progress, "sensitivity"),
    )  # fmt: skip


def fall_back(
    calibrated: Calibrated, ranking: Sequence[tuple[str, float]], refused: Candidate, max_drop: float,
    truth: Truths | None = None, progress: ProgressFn = silent,
) -> Candidate | None:  # fmt: skip
    """The int8 graph with the fewest of the worst nodes in float that promises more than ``refused`` did.

    Decided on the calibration photos alone: the answers' divergence from float must be at most half of what that of
    ``refused`` was, and the loss at most ``max_drop`` points: of the metric where ``truth`` is given, else of
    agreement with float. Where no number of nodes reaches that, as many as may go back do. None when ``refused`` has
    as many in float already.
    """
    ranking = [(name, loss) for name, loss in ranking if name not in calibrated.always_float]
    most = min(MAX_FLOAT_NODES, len(ranking) - 1)
    if len(refused.float_fallback) >= most:
        return None
    reference, measure = calibrated.reference, calibrated.measure
    expected = measure.evaluator.pseudo_truth(reference) if truth is None else truth
    best = measure.accuracy(reference, expected)

    def answers_of(graph: bytes) -> Outputs:
        return measure.run(graph, calibrated.tensors, threads=calibrated.trials.threads)

    bound = measure.divergence(reference, answers_of(refused.graph)) / 2

    def accept(graph: bytes) -> bool:
        answers = answers_of(graph)
        drop = best - measure.accuracy(answers, expected)
        return drop <= max_drop + 1e-9 and measure.divergence(reference, answers) <= bound

    made = fallback_until(
        calibrated.float_graph, calibrated.ranges, calibrated.dialect, ranking, accept, most,
        make=partial(int8_graph, calibrated), progress=partial(progress, "float fallback"),
    )  # fmt: skip
    return int8_candidate(calibrated, made.nodes if made else [name for name, _ in ranking[:most]])
