"""The pictures of `eval --html`: one page, one or two models."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.evaluate import pictures
from edgevision.evaluate.evaluation import Evaluation
from edgevision.evaluate.paired import Paired
from edgevision.evaluate.report import Block, Fact, Facts, Figure, Section, Table, Text, html_page
from edgevision.evaluate.unknown import reliability


def evaluation_page(evaluations: Sequence[Evaluation], paired: Paired | None = None) -> str:
    """Self-contained HTML for one model, or for a model and the one it is compared with.

    Raises MissingExtraError without matplotlib.
    """
    first = evaluations[0]
    reference = evaluations[1] if len(evaluations) > 1 else None
    sections = [Section("In short", (_facts(first), *_paired(paired, evaluations), _metrics(evaluations)))]
    rows = first.metrics.per_class
    names = (first.name, reference.name if reference else "")
    recall = pictures.class_recall(rows, reference.metrics.per_class if reference else None, names=names)
    worst = sorted((row for row in rows if row.n), key=lambda row: (row.recall, row.precision))
    table = Table(
        ("class", "photos", "precision %", "recall %", "F1 %", "ROC-AUC"),
        tuple((r.label.name, r.n, r.precision, r.recall, r.f1, r.roc_auc) for r in worst),
        folded=True,
    )  # fmt: skip
    sections.append(Section("Classes", (Figure(recall, "Recall of the weakest classes", "Worst first."), table)))
    confused = pictures.confused_pairs(first.metrics.confused)
    sections.append(Section("Errors", (Figure(confused, "What is taken for what", f"{first.name}."),)))
    curves = {e.name: reliability(e.probabilities.max(1), e.right) for e in evaluations}
    figure = Figure(
        pictures.reliability_diagram(curves), "Is a score of 0.8 right 8 times in 10?", "On the diagonal it is."
    )
    sections.append(Section("Calibration", (figure,)))
    if first.unknown_scores is not None:
        sections.append(Section("Unknown products", tuple(_unknown(e) for e in evaluations)))
    return html_page(f"Evaluation of {first.name}", sections, f"{first.metrics.n} photos, {len(first.labels)} classes")


def _facts(evaluation: Evaluation) -> Block:
    m, u = evaluation.metrics, evaluation.unknown
    facts = [
        Fact("top-1", f"{m.top1:.2f} %", f"{m.n} photos"),
        Fact("top-5", f"{m.top5:.2f} %"),
        Fact("F1, macro", f"{m.f1:.2f} %"),
        Fact("calibration error", f"{100 * u.ece:.2f} %", "ECE, 15 bins"),
    ]
    if u.false_accepts is not None:
        facts.append(Fact("false accepts", f"{100 * u.false_accepts:.1f} %", f"of {u.n_unknown} unknown photos"))
    return Facts(tuple(facts))


def _paired(paired: Paired | None, evaluations: Sequence[Evaluation]) -> tuple[Block, ...]:
    if paired is None:
        return ()
    low, high = paired.interval
    text = paired.sentence(evaluations[0].name, evaluations[1].name)
    return (Text(text, "good" if low <= 0 <= high else "plain"),)


def _metrics(evaluations: Sequence[Evaluation]) -> Block:
    def row(name: str, values: Sequence[float | None]) -> tuple[str | float | None, ...]:
        return (name, *values)

    ms, us = [e.metrics for e in evaluations], [e.unknown for e in evaluations]
    rows = [
        row("top-1 %", [m.top1 for m in ms]),
        row("top-5 %", [m.top5 for m in ms]),
        row("precision, macro %", [m.precision for m in ms]),
        row("recall, macro %", [m.recall for m in ms]),
        row("F1, macro %", [m.f1 for m in ms]),
        row("ROC-AUC, macro", [m.roc_auc_macro for m in ms]),
        row("calibration error, ECE %", [100 * u.ece for u in us]),
        row("right answers kept as known %", [None if u.kept is None else 100 * u.kept for u in us]),
    ]
    if us[0].n_unknown:
        rows.append(row("AUROC, known against unknown", [u.auroc for u in us]))
        rows.append(row("false accepts %", [None if u.false_accepts is None else 100 * u.false_accepts for u in us]))
    return Table(("metric", *(e.name for e in evaluations)), tuple(rows), digits=3)


def _unknown(evaluation: Evaluation) -> Block:
    assert evaluation.unknown_scores is not None
    svg = pictures.score_histogram(
        evaluation.probabilities.max(1), evaluation.unknown_scores, evaluation.unknown.threshold
    )
    note = "Best scores; what lies left of the threshold is called unknown."
    if evaluation.unknown.threshold is None:
        note = (
            "Best scores. Nothing says what is unknown: the model carries too few labelled photos to fit a threshold."
        )
    return Figure(svg, evaluation.name, note)
