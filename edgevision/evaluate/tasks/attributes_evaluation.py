"""Everything `eval` reports of a model of attributes: each attribute as a classifier, and the means over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgevision.errors import InputError
from edgevision.evaluate.base import TaskEvaluator, Truths
from edgevision.evaluate.statistics.calibration import expected_calibration_error
from edgevision.evaluate.statistics.classification import ClassificationMetrics, classification_metrics
from edgevision.evaluate.statistics.rejection import false_accept_rate, true_accept_rate
from edgevision.evaluate.tasks.attributes_scores import AttributesScores, attributes_scores
from edgevision.tasks.attributes import AttributesTask, Head
from edgevision.tasks.classify import SCORES
from edgevision.tensors import Outputs

SHOWN = 10  # rows of the terminal's tables


@dataclass(frozen=True)
class HeadMetrics:
    """One attribute, on the photos where its value is known. ``ece``: expected calibration error, 0…1. ``true_accept_rate``: share of
    right answers that reach the threshold; ``false_accepts``: share of photos of unknown products that do; None where there is
    no threshold, or no such photo."""

    name: str
    metrics: ClassificationMetrics
    ece: float
    true_accept_rate: float | None
    false_accepts: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class AttributesEvaluation:
    """One model on one data set: see ``TaskEvaluation``. ``heads``: those that are known of any photo."""

    name: str
    evaluator: TaskEvaluator
    scores: AttributesScores
    heads: tuple[HeadMetrics, ...]

    def mean(self, of: Callable[[HeadMetrics], float]) -> float:
        """The mean of a figure over the heads."""
        return float(np.mean([of(head) for head in self.heads]))

    def rows(self) -> list[tuple[str, str]]:
        """See ``TaskEvaluation``."""
        rows = [
            ("photos", str(len(self.scores))),
            ("accuracy (mean of attributes)", f"{self.mean(lambda head: head.metrics.top1):.2f} %"),
            ("F1 (macro, mean of attributes)", f"{self.mean(lambda head: head.metrics.f1):.2f} %"),
            ("calibration error (ECE, mean)", f"{100 * self.mean(lambda head: head.ece):.2f} %"),
        ]
        for head in self.heads:
            rows.append((f"{head.name}: accuracy", f"{head.metrics.top1:.2f} %"))
            rows.append((f"{head.name}: F1 (macro)", f"{head.metrics.f1:.2f} %"))
        return rows

    def tables(self) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
        """See ``TaskEvaluation``: the attributes, their weakest values, and the most frequent errors."""
        tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
            ("Attributes", HEAD_COLUMNS, [tuple(map(_shown, head_row(head))) for head in self.heads]),
            ("Weakest values", ("attribute", "value", "photos", "precision %", "recall %", "F1 %"), self._weakest()),
        ]
        if confused := self._confused():
            tables.append(("Most confused", ("attribute", "shown", "taken for", "photos", "of"), confused))
        return tables

    def _weakest(self) -> list[tuple[str, ...]]:
        rows = [(head.name, row) for head in self.heads for row in head.metrics.per_class if row.n]
        rows.sort(key=lambda one: (one[1].recall, one[1].precision))
        return [
            (name, r.label.name, str(r.n), f"{r.precision:.1f}", f"{r.recall:.1f}", f"{r.f1:.1f}")
            for name, r in rows[:SHOWN]
        ]

    def _confused(self) -> list[tuple[str, ...]]:
        pairs = [(head.name, pair) for head in self.heads for pair in head.metrics.confused]
        pairs.sort(key=lambda one: -one[1].count)
        return [
            (name, pair.truth.name, pair.predicted.name, str(pair.count), str(pair.n)) for name, pair in pairs[:SHOWN]
        ]

    def to_dict(self) -> dict[str, Any]:
        """See ``TaskEvaluation``; without the arrays."""
        return {
            "model": self.name,
            "accuracy": self.mean(lambda head: head.metrics.top1),
            "f1": self.mean(lambda head: head.metrics.f1),
            "attributes": [head.to_dict() for head in self.heads],
        }


HEAD_COLUMNS = (
    "attribute", "photos", "values", "accuracy %", "F1 %", "ECE %", "true-accept rate %", "false accepts %",
)  # fmt: skip


def head_row(head: HeadMetrics) -> tuple[str | int | float | None, ...]:
    """An attribute's figures, as ``HEAD_COLUMNS`` names them."""
    m = head.metrics
    rates = (None if rate is None else 100 * rate for rate in (head.true_accept_rate, head.false_accepts))
    return (head.name, m.n, m.classes_present, m.top1, m.f1, 100 * head.ece, *rates)


def evaluate_attributes(
    evaluator: TaskEvaluator, task: AttributesTask, name: str, digest: Outputs, truth: Truths, ood: Outputs | None
) -> AttributesEvaluation:
    """See ``TaskEvaluator.evaluate``. Raises InputError where nothing is known of any photo."""
    scores = attributes_scores(task, digest, truth)
    heads = [
        _metrics(head, scores, column, digest, ood)
        for column, head in enumerate(task.heads)
        if scores.known[:, column].any()
    ]
    if not heads:
        raise InputError(f"no attribute is known of any of {len(scores)} photos; give a table that says some")
    return AttributesEvaluation(name, evaluator, scores, tuple(heads))


def _metrics(head: Head, scores: AttributesScores, column: int, digest: Outputs, ood: Outputs | None) -> HeadMetrics:
    known = scores.known[:, column]
    confidence, right = scores.confidence[known, column], scores.right[known, column]
    probabilities = head.task.probabilities(head.digest(digest)[SCORES])
    fitted = "threshold" in head.task.spec.parameters
    accepted = true_accept_rate(confidence[right], head.task.threshold) if fitted and right.any() else None
    wrongly = None
    if fitted and ood is not None:
        wrongly = false_accept_rate(head.task.probabilities(head.digest(ood)[SCORES]).max(axis=1), head.task.threshold)
    return HeadMetrics(
        head.name,
        classification_metrics(probabilities[known], scores.truth[known, column], head.task.labels),
        expected_calibration_error(confidence, right),
        accepted,
        wrongly,
    )


def _shown(value: str | float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
