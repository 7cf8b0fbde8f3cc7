"""The page of `eval --html` for detectors: one or two models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevision.decode import read_image
from edgevision.errors import ImageError
from edgevision.evaluate.page import pictures
from edgevision.evaluate.page.compared import compared
from edgevision.evaluate.page.html import Block, Fact, Facts, Figure, Section, Side, Table, Text, html_page
from edgevision.evaluate.page.photo_boxes import DrawnBox, photo_with_boxes
from edgevision.evaluate.page.tables import named
from edgevision.evaluate.statistics.average_precision import IOU_THRESHOLDS, precision_at_recalls
from edgevision.evaluate.statistics.paired import PairedComparison
from edgevision.evaluate.tasks.detect_evaluation import DetectEvaluation, PhotoAnswer

WORST_PHOTOS = 6


def evaluation_page(evaluations: Sequence[DetectEvaluation], paired: PairedComparison | None = None) -> str:
    """Self-contained HTML for one model, or for a model and the one it is compared with.

    Raises MissingExtraError without matplotlib.
    """
    first = evaluations[0]
    sections = [
        Section(
            "In short", (_facts(first), *compared(paired, first.name, evaluations[-1].name), _metrics(evaluations))
        ),
        Section("Precision and recall", tuple(_curve(evaluations, place) for place in (0, 5))),
        Section("Classes", (_classes(first),)),
    ]
    if first.confused:
        rows = tuple((named(c.truth.name), named(c.predicted.name), c.count, c.n) for c in first.confused)
        sections.append(Section("Errors", (Table(("marked", "taken for", "boxes", "of"), rows),)))
    worst = _worst(first)
    if worst:
        about = "Found and right: a line; found and wrong: a line of another colour; missed: a broken line. IoU 0.5, at the thresholds."
        sections.append(Section("Photos with most errors", (Text(about), Side(worst))))
    n = int(first.scores.matches.truths.sum())
    return html_page(
        f"Evaluation of {first.name}", sections, f"{len(first.scores)} photos, {n} boxes, {len(first.labels)} classes"
    )


def _facts(evaluation: DetectEvaluation) -> Block:
    c = evaluation.coco
    facts = [
        Fact("mAP50-95", _percent(c.map), "mean over IoU 0.50:0.05:0.95"),
        Fact("mAP50", _percent(c.map50)),
        Fact("F1", _percent(evaluation.f1), "at the thresholds, IoU 0.5"),
        Fact("recall", _percent(evaluation.recall), "at the thresholds"),
    ]
    if evaluation.false_per_photo is not None:
        facts.append(Fact("boxes on unknown products", f"{evaluation.false_per_photo:.2f}", "in each photo"))
    return Facts(tuple(facts))


def _metrics(evaluations: Sequence[DetectEvaluation]) -> Block:
    columns = [dict(one.rows()) for one in evaluations]
    rows = tuple((metric, *(column.get(metric, "–") for column in columns)) for metric in columns[0])
    return Table(("metric", *(one.name for one in evaluations)), rows)


def _curve(evaluations: Sequence[DetectEvaluation], place: int) -> Block:
    curves: dict[str, Any] = {}
    for one in evaluations:
        by_class = precision_at_recalls(one.scores.matches, place)
        known = by_class[~np.isnan(by_class).any(axis=1)]
        curves[one.name] = known.mean(axis=0) if len(known) else np.zeros(by_class.shape[1])
    title = f"Precision against recall, IoU {IOU_THRESHOLDS[place]:g}"
    return Figure(
        pictures.precision_recall(curves), title, "Mean over the classes; all scores, not only those above thresholds."
    )


def _classes(evaluation: DetectEvaluation) -> Block:
    columns = ("class", "boxes", "AP50-95 %", "AP50 %", "threshold", "precision %", "recall %", "F1 %")
    rows = tuple(
        (named(r.label.name), r.n, r.ap, r.ap50, r.threshold, r.precision, r.recall, r.f1) for r in evaluation.weakest()
    )
    return Table(columns, rows, "Lowest average precision first.")


def _worst(evaluation: DetectEvaluation) -> tuple[Figure, ...]:
    """The photos with most errors, drawn; none where nobody said where they are."""
    answers = evaluation.answers
    order = sorted(range(len(evaluation.photos)), key=lambda i: (-answers[i].errors, i))
    figures = []
    for i in [i for i in order if answers[i].errors][:WORST_PHOTOS]:
        path, answer = evaluation.photos[i], answers[i]
        try:
            svg = photo_with_boxes(read_image(path), _drawn(answer, evaluation))
        except ImageError:  # moved or changed since it was evaluated
            continue
        wrong, missed = int((~answer.right).sum()), int(answer.missed.sum())
        figures.append(Figure(svg, path.name, f"{wrong} wrong, {missed} missed"))
    return tuple(figures)


def _drawn(answer: PhotoAnswer, evaluation: DetectEvaluation) -> list[DrawnBox]:
    names = [label.name for label in evaluation.labels]
    found = answer.found
    boxes = [
        DrawnBox((x1, y1, x2, y2), f"{names[c]} {score:.2f}", "right" if right else "wrong")
        for (x1, y1, x2, y2), score, c, right in zip(
            found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), answer.right.tolist(), strict=True
        )
    ]
    missed = zip(
        answer.marked.boxes[answer.missed].tolist(), answer.marked.classes[answer.missed].tolist(), strict=True
    )
    return boxes + [DrawnBox((x1, y1, x2, y2), names[c], "missed") for (x1, y1, x2, y2), c in missed]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} %"
