"""Everything `eval` reports of a detector: COCO's figures, and what a user sees at the thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.base import TaskEvaluator, Truths
from edgevision.evaluate.statistics.average_precision import Found, Marked, average_precision, iou_matrix
from edgevision.evaluate.statistics.coco_summary import CocoSummary, coco_summary
from edgevision.evaluate.tasks.detect_boxes import checked_digest, found_boxes, kept, marked_boxes
from edgevision.evaluate.tasks.detect_scores import DetectScores, counts, detect_scores, f1
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.detect.task import CLASSES, SCORES, DetectTask
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs

SHOWN = 10  # rows of the terminal's tables
SAME_PLACE = 0.5  # IoU from which on a box of another class is a confusion


@dataclass(frozen=True)
class BoxRow:
    """One class. ``n``: marked boxes; ``found``: boxes above its ``threshold``, of which ``right`` are right at IoU 0.5. The rest in
    percent, None where there is nothing to measure: average precision over all IoUs and at 0.5; precision, recall and F1 at
    the threshold."""

    label: Label
    n: int
    found: int
    right: int
    threshold: float
    ap: float | None
    ap50: float | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class BoxConfusion:
    """Boxes of ``truth`` that were found where they are, and called ``predicted``: ``count`` of ``n`` marked ones."""

    truth: Label
    predicted: Label
    count: int
    n: int


@dataclass(frozen=True, eq=False)
class PhotoAnswer:
    """One photo: boxes above the thresholds with whether each is right at IoU 0.5, marked boxes with whether each was missed."""

    found: Found
    right: npt.NDArray[np.bool_]
    marked: Marked
    missed: npt.NDArray[np.bool_]

    @property
    def errors(self) -> int:
        """Wrong boxes and missed ones."""
        return int((~self.right).sum() + self.missed.sum())


@dataclass(frozen=True, eq=False)
class DetectEvaluation:
    """One detector on one data set: see ``TaskEvaluation``. ``precision``, ``recall``, ``f1``: in percent, at the thresholds,
    over all boxes, IoU 0.5. ``false_per_photo``: boxes above the thresholds in each photo of what the model does not know,
    as a mean; None without such photos. ``photos``: where they are, for the page."""

    name: str
    evaluator: TaskEvaluator
    scores: DetectScores
    coco: CocoSummary
    rows_by_class: tuple[BoxRow, ...]
    precision: float | None
    recall: float | None
    f1: float
    confused: tuple[BoxConfusion, ...]
    false_per_photo: float | None
    answers: tuple[PhotoAnswer, ...]
    labels: tuple[Label, ...]
    photos: tuple[Path, ...] = field(default=())

    def with_photos(self, paths: Sequence[Path]) -> DetectEvaluation:
        """The same, with where the photos are, so that the page can show some."""
        return replace(self, photos=tuple(paths))

    def weakest(self) -> list[BoxRow]:
        """The classes that have boxes, lowest average precision first."""
        return sorted((row for row in self.rows_by_class if row.ap is not None), key=lambda row: row.ap or 0.0)

    def rows(self) -> list[tuple[str, str]]:
        """See ``TaskEvaluation``."""
        c = self.coco
        rows = [
            ("photos", str(len(self.scores))),
            ("boxes", str(int(self.scores.matches.truths.sum()))),
            ("mAP50-95", _percent(c.map)),
            ("mAP50", _percent(c.map50)),
            ("mAP75", _percent(c.map75)),
            ("mAP50-95, small boxes", _percent(c.small)),
            ("mAP50-95, medium boxes", _percent(c.medium)),
            ("mAP50-95, large boxes", _percent(c.large)),
            ("average recall", _percent(c.recall)),
            ("precision at the thresholds", _percent(self.precision)),
            ("recall at the thresholds", _percent(self.recall)),
            ("F1 at the thresholds", _percent(self.f1)),
        ]
        if self.false_per_photo is not None:
            rows.append(("boxes in a photo of unknown products", f"{self.false_per_photo:.2f}"))
        return rows

    def tables(self) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
        """See ``TaskEvaluation``: the weakest classes, and where there are any, the most frequent confusions."""
        weakest = [
            (
                row.label.name, str(row.n), _short(row.ap), _short(row.ap50), f"{row.threshold:.2f}", _short(row.precision),
                _short(row.recall), _short(row.f1),
            )
            for row in self.weakest()[:SHOWN]
        ]  # fmt: skip
        header = ("class", "boxes", "AP50-95", "AP50", "threshold", "precision %", "recall %", "F1 %")
        tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [("Weakest classes", header, weakest)]
        if self.confused:
            lines = [(c.truth.name, c.predicted.name, str(c.count), str(c.n)) for c in self.confused[:SHOWN]]
            tables.append(("Most confused", ("marked", "taken for", "boxes", "of"), lines))
        return tables

    def to_dict(self) -> dict[str, Any]:
        """See ``TaskEvaluation``; without the boxes."""
        return {
            "model": self.name,
            "photos": len(self.scores),
            "boxes": int(self.scores.matches.truths.sum()),
            "coco": asdict(self.coco),
            "at_thresholds": {"precision": self.precision, "recall": self.recall, "f1": self.f1},
            "classes": [asdict(row) for row in self.rows_by_class],
            "confused": [asdict(one) for one in self.confused],
            "false_per_photo": self.false_per_photo,
        }


def evaluate_detect(
    evaluator: TaskEvaluator, task: DetectTask, preprocess: PreprocessSpec | None, name: str, digest: Outputs,
    truth: Truths, ood: Outputs | None,
) -> DetectEvaluation:  # fmt: skip
    """See ``TaskEvaluator.evaluate``. Raises MissingExtraError without hotcoco."""
    labels = task.spec.labels
    scores = detect_scores(task, preprocess, digest, truth)
    found, marked = found_boxes(digest, truth, preprocess), marked_boxes(truth, len(labels))
    answers = tuple(_answer(kept(one, task.thresholds), truths) for one, truths in zip(found, marked, strict=True))
    c = counts(scores)
    right, seen, n = int(c.right.sum()), int(c.found.sum()), int(c.marked.sum())
    return DetectEvaluation(
        name, evaluator, scores, coco_summary(found, marked, len(labels)), _rows(task, scores), _share(right, seen),
        _share(right, n), 100.0 * float(f1(right, seen, n)), _confused(answers, labels), _false_boxes(task, ood), answers, labels,
    )  # fmt: skip


def _rows(task: DetectTask, scores: DetectScores) -> tuple[BoxRow, ...]:
    precisions = 100.0 * average_precision(scores.matches)[0]
    c = counts(scores)
    right, found, n = (table.sum(axis=0).tolist() for table in (c.right, c.found, c.marked))
    return tuple(
        BoxRow(
            label, n[i], found[i], right[i], float(task.thresholds[i]), _known(precisions[:, i].mean()), _known(precisions[0, i]),
            _share(right[i], found[i]), _share(right[i], n[i]), 100.0 * float(f1(right[i], found[i], n[i])) if n[i] else None,
        )
        for i, label in enumerate(task.spec.labels)
    )  # fmt: skip


def _answer(found: Found, marked: Marked) -> PhotoAnswer:
    """Match what a user sees: best score first, each with the marked box of its class that it overlaps most; crowds take any number."""
    overlaps = iou_matrix(found.boxes, marked.boxes, marked.crowd)
    right = np.zeros(len(found.scores), np.bool_)
    left = np.ones(len(marked.classes), np.bool_)
    for place in np.argsort(-found.scores, kind="stable").tolist():
        fits = (marked.classes == found.classes[place]) & (overlaps[place] >= SAME_PLACE)
        single = fits & left & ~marked.crowd
        if single.any():
            left[np.where(single, overlaps[place], -1.0).argmax()] = False
        right[place] = single.any() or (fits & marked.crowd).any()
    return PhotoAnswer(found, right, marked, left & ~marked.crowd)


def _confused(answers: Sequence[PhotoAnswer], labels: Sequence[Label]) -> tuple[BoxConfusion, ...]:
    """What missed boxes were called: by the best wrong box in the same place. Most frequent first."""
    pairs: Counter[tuple[int, int]] = Counter()
    marked: Counter[int] = Counter()
    for answer in answers:
        marked.update(answer.marked.classes[~answer.marked.crowd].tolist())
        wrong = np.flatnonzero(~answer.right)
        missed = list(np.flatnonzero(answer.missed))
        overlaps = iou_matrix(answer.found.boxes, answer.marked.boxes)
        for place in wrong[np.argsort(-answer.found.scores[wrong], kind="stable")].tolist():
            near = max(missed, key=lambda box: overlaps[place, box], default=None)
            if near is not None and overlaps[place, near] >= SAME_PLACE:
                missed.remove(near)
                pairs[int(answer.marked.classes[near]), int(answer.found.classes[place])] += 1
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return tuple(BoxConfusion(labels[t], labels[p], count, marked[t]) for (t, p), count in ranked)


def _false_boxes(task: DetectTask, ood: Outputs | None) -> float | None:
    if ood is None:
        return None
    classes = checked_digest(ood)[CLASSES].astype(np.int64)
    seen = (classes >= 0) & (ood[SCORES] > task.thresholds[classes])
    return float(seen.sum(axis=1).mean())


def _share(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None


def _known(value: np.floating[Any]) -> float | None:
    return None if np.isnan(value) else float(value)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} %"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
