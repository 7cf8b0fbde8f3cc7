"""The page of `eval --html` for models of attributes: one or two of them."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.evaluate.page import pictures
from edgevision.evaluate.page.compared import compared
from edgevision.evaluate.page.drawing import SERIES
from edgevision.evaluate.page.html import Block, Fact, Facts, Figure, Section, Table, html_page
from edgevision.evaluate.statistics.calibration import reliability
from edgevision.evaluate.statistics.paired import PairedComparison
from edgevision.evaluate.tasks.attributes_evaluation import HEAD_COLUMNS, AttributesEvaluation, head_row


def evaluation_page(evaluations: Sequence[AttributesEvaluation], paired: PairedComparison | None = None) -> str:
    """Self-contained HTML for one model, or for a model and the one it is compared with.

    Raises MissingExtraError without matplotlib.
    """
    first = evaluations[0]
    sections = [
        Section(
            "In short", (_facts(first), *compared(paired, first.name, evaluations[-1].name), *map(_heads, evaluations))
        )
    ]
    for place, head in enumerate(first.heads):
        other = evaluations[1].heads[place].metrics.per_class if len(evaluations) > 1 else None
        names = (first.name, evaluations[1].name if len(evaluations) > 1 else "")
        blocks: list[Block] = [
            Figure(
                pictures.class_recall(head.metrics.per_class, other, names=names),
                "Recall of its values",
                "Worst first.",
            )
        ]
        if head.metrics.confused:
            blocks.append(
                Figure(pictures.confused_pairs(head.metrics.confused), "What is taken for what", f"{first.name}.")
            )
        sections.append(Section(head.name, tuple(blocks)))
    sections.append(Section("Calibration", _calibration(first)))
    values = sum(len(head.metrics.per_class) for head in first.heads)
    about = f"{len(first.scores)} photos, {len(first.heads)} attributes with {values} values"
    return html_page(f"Evaluation of {first.name}", sections, about)


def _facts(evaluation: AttributesEvaluation) -> Block:
    facts = [
        Fact("accuracy", f"{evaluation.mean(lambda head: head.metrics.top1):.2f} %", "mean of the attributes"),
        Fact("F1, macro", f"{evaluation.mean(lambda head: head.metrics.f1):.2f} %", "mean of the attributes"),
        Fact("calibration error", f"{100 * evaluation.mean(lambda head: head.ece):.2f} %", "ECE, 15 bins, mean"),
    ]
    return Facts(tuple(facts))


def _heads(evaluation: AttributesEvaluation) -> Block:
    return Table(HEAD_COLUMNS, tuple(map(head_row, evaluation.heads)), evaluation.name)


def _calibration(evaluation: AttributesEvaluation) -> tuple[Block, ...]:
    """A curve for each attribute, on the photos where it is known; as many in a picture as it can tell apart."""
    scores = evaluation.scores
    columns = [column for column in range(scores.known.shape[1]) if scores.known[:, column].any()]
    curves = {
        head.name: reliability(scores.confidence[known, column], scores.right[known, column])
        for head, column in zip(evaluation.heads, columns, strict=True)
        for known in (scores.known[:, column],)
    }
    title, note = "Is a score of 0.8 right 8 times in 10?", "On the diagonal it is; a curve for each attribute."
    names, most = list(curves), len(SERIES)
    parts = [names[first : first + most] for first in range(0, len(names), most)]
    return tuple(
        Figure(pictures.reliability_diagram({name: curves[name] for name in part}), title, note) for part in parts
    )
