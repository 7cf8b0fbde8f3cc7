"""Everything `eval` reports of a classifier: metrics on labelled photos, and what happens to unknown ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.base import TaskEvaluator, Truths
from edgevision.evaluate.statistics.calibration import expected_calibration_error
from edgevision.evaluate.statistics.classification import ClassificationMetrics, ClassRow, classification_metrics
from edgevision.evaluate.statistics.ranking import auroc
from edgevision.evaluate.statistics.rejection import false_accept_rate, true_accept_rate
from edgevision.evaluate.tasks.classify_scores import ClassifyScores, classify_scores
from edgevision.tasks.classify import SCORES, ClassifyTask
from edgevision.tensors import Outputs

SHOWN = 10  # rows of the terminal's tables


@dataclass(frozen=True)
class UnknownMetrics:
    """How well "I don't know" works. Shares are 0…1.

    ``auroc``: chance that a known photo scores higher than an unknown one. ``false_accepts``: share of unknown photos
    that pass the threshold. ``true_accept_rate``: share of right answers that pass it; both None without a threshold.
    ``ece``: expected calibration error on known photos.
    """

    n_unknown: int
    auroc: float | None
    false_accepts: float | None
    threshold: float | None
    true_accept_rate: float | None
    ece: float


@dataclass(frozen=True, eq=False)
class ClassifyEvaluation:
    """One classifier on one data set: see ``TaskEvaluation``. ``ood_confidence`` float64 [m]: best scores of the unknown
    photos, if there were any."""

    name: str
    evaluator: TaskEvaluator
    scores: ClassifyScores
    metrics: ClassificationMetrics
    unknown: UnknownMetrics
    ood_confidence: npt.NDArray[np.float64] | None

    def weakest(self) -> list[ClassRow]:
        """The classes that have photos, lowest recall first; of equals, lowest precision."""
        return sorted((row for row in self.metrics.per_class if row.n), key=lambda row: (row.recall, row.precision))

    def rows(self) -> list[tuple[str, str]]:
        """See ``TaskEvaluation``."""
        m, u = self.metrics, self.unknown
        rows = [
            ("photos", str(m.n)),
            ("top-1", f"{m.top1:.2f} %"),
            ("top-5", f"{m.top5:.2f} %"),
            ("precision (macro)", f"{m.precision:.2f} %"),
            ("recall (macro)", f"{m.recall:.2f} %"),
            ("F1 (macro)", f"{m.f1:.2f} %"),
            ("ROC-AUC (macro)", _area(m.roc_auc_macro)),
            ("calibration error (ECE)", _percent(u.ece)),
            ("true-accept rate", _percent(u.true_accept_rate)),
        ]
        if u.n_unknown:
            rows += [
                ("unknown photos", str(u.n_unknown)),
                ("AUROC known against unknown", _area(u.auroc)),
                ("false accepts", _percent(u.false_accepts)),
            ]
        return rows

    def tables(self) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
        """See ``TaskEvaluation``: the weakest classes, and where there are errors, the most frequent ones."""
        weakest = [
            (r.label.name, str(r.n), f"{r.precision:.1f}", f"{r.recall:.1f}", f"{r.f1:.1f}")
            for r in self.weakest()[:SHOWN]
        ]
        confused = [(c.truth.name, c.predicted.name, str(c.count), str(c.n)) for c in self.metrics.confused[:SHOWN]]
        tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
            ("Weakest classes", ("class", "photos", "precision %", "recall %", "F1 %"), weakest)
        ]
        if confused:
            tables.append(("Most confused", ("shown", "taken for", "photos", "of"), confused))
        return tables

    def to_dict(self) -> dict[str, Any]:
        """See ``TaskEvaluation``; without the arrays."""
        return {"model": self.name, "metrics": asdict(self.metrics), "unknown": asdict(self.unknown)}


def evaluate_classify(
    evaluator: TaskEvaluator, task: ClassifyTask, name: str, digest: Outputs, truth: Truths, ood: Outputs | None
) -> ClassifyEvaluation:
    """See ``TaskEvaluator.evaluate``. A threshold that is not among the task's parameters was not fitted, and is None."""
    scores = classify_scores(task, digest, truth)
    unknown = None if ood is None else task.probabilities(ood[SCORES]).max(axis=1)
    return ClassifyEvaluation(
        name,
        evaluator,
        scores,
        classification_metrics(task.probabilities(digest[SCORES]), scores.truth, task.labels),
        _unknown_metrics(scores, unknown, task.threshold if "threshold" in task.spec.parameters else None),
        unknown,
    )


def _unknown_metrics(
    scores: ClassifyScores, unknown: npt.NDArray[np.float64] | None, threshold: float | None
) -> UnknownMetrics:
    best = scores.confidence[scores.right]
    return UnknownMetrics(
        n_unknown=0 if unknown is None else len(unknown),
        auroc=None if unknown is None else auroc(scores.confidence, unknown),
        false_accepts=None if unknown is None or threshold is None else false_accept_rate(unknown, threshold),
        threshold=threshold,
        true_accept_rate=None if threshold is None or not len(best) else true_accept_rate(best, threshold),
        ece=expected_calibration_error(scores.confidence, scores.right),
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.2f} %"


def _area(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
