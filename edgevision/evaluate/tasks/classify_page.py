"""The page of `eval --html` for classifiers: one or two models."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.evaluate.page import pictures
from edgevision.evaluate.page.compared import compared
from edgevision.evaluate.page.html import Block, Fact, Facts, Figure, Section, Table, html_page
from edgevision.evaluate.statistics.calibration import reliability
from edgevision.evaluate.statistics.paired import PairedComparison
from edgevision.evaluate.tasks.classify_evaluation import ClassifyEvaluation


def evaluation_page(evaluations: Sequence[ClassifyEvaluation], paired: PairedComparison | None = None) -> str:
    """Self-contained HTML for one model, or for a model and the one it is compared with.

    Raises MissingExtraError without matplotlib.
    """
    first = evaluations[0]
    reference = evaluations[1] if len(evaluations) > 1 else None
    sections = [
        Section("In short", (_facts(first), *compared(paired, first.name, evaluations[-1].name), _metrics(evaluations)))
    ]
    rows = first.metrics.per_class
    names = (first.name, reference.name if reference else "")
    recall = pictures.class_recall(rows, reference.metrics.per_class if reference else None, names=names)
    table = Table(
        ("class", "photos", "precision %", "recall %", "F1 %", "ROC-AUC"),
        tuple((r.label.name, r.n, r.precision, r.recall, r.f1, r.roc_auc) for r in first.weakest()),
        folded=True,
    )  # fmt: skip
    sections.append(Section("Classes", (Figure(recall, "Recall of the weakest classes", "Worst first."), table)))
    confused = pictures.confused_pairs(first.metrics.confused)
    sections.append(Section("Errors", (Figure(confused, "What is taken for what", f"{first.name}."),)))
    curves = {e.name: reliability(e.scores.confidence, e.scores.right) for e in evaluations}
    figure = Figure(
        pictures.reliability_diagram(curves), "Is a score of 0.8 right 8 times in 10?", "On the diagonal it is."
    )
    sections.append(Section("Calibration", (figure,)))
    if first.ood_confidence is not None:
        sections.append(Section("Unknown products", tuple(_unknown(e) for e in evaluations)))
    return html_page(f"Evaluation of {first.name}", sections, f"{first.metrics.n} photos, {len(rows)} classes")


def _facts(evaluation: ClassifyEvaluation) -> Block:
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


def _metrics(evaluations: Sequence[ClassifyEvaluation]) -> Block:
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
        row("true-accept rate %", [_times_100(u.true_accept_rate) for u in us]),
    ]
    if us[0].n_unknown:
        rows.append(row("AUROC, known against unknown", [u.auroc for u in us]))
        rows.append(row("false accepts %", [_times_100(u.false_accepts) for u in us]))
    return Table(("metric", *(e.name for e in evaluations)), tuple(rows), digits=3)


def _times_100(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _unknown(evaluation: ClassifyEvaluation) -> Block:
    assert evaluation.ood_confidence is not None
    svg = pictures.score_histogram(
        evaluation.scores.confidence, evaluation.ood_confidence, evaluation.unknown.threshold
    )
    note = "Best scores; what lies left of the threshold is called unknown."
    if evaluation.unknown.threshold is None:
        note = (
            "Best scores. Nothing says what is unknown: the model carries too few labelled photos to fit a threshold."
        )
    return Figure(svg, evaluation.name, note)
