"""Everything `eval` reports of an embedder: how often photos find their product among all others, and what they are taken for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.base import TaskEvaluator, Truths
from edgevision.evaluate.statistics.classification import ClassRow, Confusion
from edgevision.evaluate.statistics.ranking import auroc
from edgevision.evaluate.statistics.retrieval import ranking
from edgevision.evaluate.tasks.embed_scores import EmbedScores, embed_scores, recall
from edgevision.evaluate.tasks.embed_truth import require_pairs
from edgevision.tasks.embed import EMBEDDING, EmbedTask
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs

SHOWN = 10  # rows of the terminal's tables
DEPTH = 5


@dataclass(frozen=True)
class LookUpMetrics:
    """Of ``judged`` photos, each looked up among all others. ``recall1``, ``recall5``, ``map`` (mean average precision) in percent.

    ``auroc``, 0…1: the chance that a photo whose nearest is right is more similar to it than one whose nearest is wrong; None where all are
    right or all wrong. ``unknown_auroc``: the same of judged photos against ``unknown`` photos of what is in no gallery.
    ``dimension``: of the vectors.
    """

    photos: int
    judged: int
    products: int
    dimension: int
    recall1: float
    recall5: float
    map: float
    auroc: float | None
    unknown: int
    unknown_auroc: float | None


@dataclass(frozen=True, eq=False)
class EmbedEvaluation:
    """One embedder on one data set: see ``TaskEvaluation``. ``per_product``: one row for each, precision being the share right of the
    photos that were taken for it; ``confused``: the most frequent errors first; ``ood_similarity`` float64 [m]: of the unknown
    photos to the nearest known one, None without any; ``photos``: where they are, empty = nobody said."""

    name: str
    evaluator: TaskEvaluator
    scores: EmbedScores
    metrics: LookUpMetrics
    per_product: tuple[ClassRow, ...]
    confused: tuple[Confusion, ...]
    ood_similarity: npt.NDArray[np.float64] | None
    photos: tuple[Path, ...] = ()

    def with_photos(self, paths: Sequence[Path]) -> EmbedEvaluation:
        """See ``PhotoPage``."""
        return replace(self, photos=tuple(paths))

    def weakest(self) -> list[ClassRow]:
        """The products with judged photos, lowest recall first; of equals, lowest precision."""
        return sorted((row for row in self.per_product if row.n), key=lambda row: (row.recall, row.precision))

    def rows(self) -> list[tuple[str, str]]:
        """See ``TaskEvaluation``."""
        m = self.metrics
        rows = [
            ("photos", str(m.photos)),
            ("looked up", str(m.judged)),
            ("products", str(m.products)),
            ("dimension", str(m.dimension)),
            ("recall@1", f"{m.recall1:.2f} %"),
            ("recall@5", f"{m.recall5:.2f} %"),
            ("mean average precision", f"{m.map:.2f} %"),
            ("AUROC right against wrong", _area(m.auroc)),
        ]
        if m.unknown:
            rows += [("unknown photos", str(m.unknown)), ("AUROC known against unknown", _area(m.unknown_auroc))]
        return rows

    def tables(self) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
        """See ``TaskEvaluation``: the weakest products, and where there are errors, the most frequent ones."""
        weakest = [(r.label.name, str(r.n), f"{r.recall:.1f}", f"{r.precision:.1f}") for r in self.weakest()[:SHOWN]]
        tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
            ("Weakest products", ("product", "photos", "recall@1 %", "precision %"), weakest)
        ]
        if self.confused:
            lines = [(c.truth.name, c.predicted.name, str(c.count), str(c.n)) for c in self.confused[:SHOWN]]
            tables.append(("Most confused", ("shown", "taken for", "photos", "of"), lines))
        return tables

    def to_dict(self) -> dict[str, Any]:
        """See ``TaskEvaluation``; without the vectors."""
        products = [
            {"product": row.label.name, "n": row.n, "recall1": row.recall, "precision": row.precision}
            for row in self.per_product
        ]
        confused = [
            {"product": one.truth.name, "taken_for": one.predicted.name, "count": one.count, "n": one.n}
            for one in self.confused
        ]
        return {"model": self.name, "metrics": asdict(self.metrics), "products": products, "confused": confused}


def evaluate_embed(
    evaluator: TaskEvaluator, task: EmbedTask, name: str, digest: Outputs, truth: Truths, ood: Outputs | None
) -> EmbedEvaluation:
    """See ``TaskEvaluator.evaluate``. Raises DataError where no product has two photos."""
    require_pairs(truth, task.spec.labels, "the photos")
    scores = embed_scores(task, digest, truth)
    unknown = None if ood is None else _nearest_similarity(np.asarray(ood[EMBEDDING], np.float32), scores.vectors)
    labels = [Label(place, product) for place, product in enumerate(scores.products.names)]
    return EmbedEvaluation(
        name,
        evaluator,
        scores,
        _metrics(scores, unknown),
        _per_product(scores, labels),
        _confused(scores, labels),
        unknown,
    )


def _metrics(scores: EmbedScores, unknown: npt.NDArray[np.float64] | None) -> LookUpMetrics:
    judged = scores.judged
    right, similarity = scores.right[judged], scores.found.similarity[judged]
    ranked = ranking(scores.vectors, scores.products.truth, scores.products.contents, DEPTH)
    return LookUpMetrics(
        photos=len(scores),
        judged=int(judged.sum()),
        products=len(np.unique(scores.products.truth[judged])),
        dimension=scores.vectors.shape[1],
        recall1=recall(scores),
        recall5=100.0 * float(ranked.found[judged].mean()),
        map=100.0 * float(ranked.precision[judged].mean()),
        auroc=auroc(similarity[right], similarity[~right]),
        unknown=0 if unknown is None else len(unknown),
        unknown_auroc=None if unknown is None else auroc(similarity, unknown),
    )


def _nearest_similarity(vectors: npt.NDArray[np.float32], gallery: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.array([float((gallery @ vector).max()) for vector in vectors], np.float64)


def _taken(scores: EmbedScores) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each judged photo, its product and the one that its nearest photo shows."""
    truth = scores.products.truth
    return truth[scores.judged], truth[scores.found.first[scores.judged]]


def _per_product(scores: EmbedScores, labels: Sequence[Label]) -> tuple[ClassRow, ...]:
    shown, taken = _taken(scores)
    size = len(labels)
    photos, answers = np.bincount(shown, minlength=size), np.bincount(taken, minlength=size)
    hits = np.bincount(shown[shown == taken], minlength=size)
    return tuple(
        ClassRow(
            label, int(n), int(predicted), 100.0 * hit / max(1, predicted), 100.0 * hit / max(1, n),
            200.0 * hit / max(1, n + predicted), None,
        )
        for label, n, predicted, hit in zip(labels, photos.tolist(), answers.tolist(), hits.tolist(), strict=True)
    )  # fmt: skip


def _confused(scores: EmbedScores, labels: Sequence[Label]) -> tuple[Confusion, ...]:
    shown, taken = _taken(scores)
    wrong = shown != taken
    pairs = Counter(zip(shown[wrong].tolist(), taken[wrong].tolist(), strict=True))
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Confusion(labels[t], labels[p], count, int((shown == t).sum())) for (t, p), count in ranked)


def _area(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
