"""The page of `eval --html` for embedders: one or two models, and the photos that were taken for another product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevision.decode import read_image
from edgevision.errors import ImageError
from edgevision.evaluate.page import pictures
from edgevision.evaluate.page.compared import compared
from edgevision.evaluate.page.html import Block, Fact, Facts, Figure, Section, Side, Table, Text, html_page
from edgevision.evaluate.page.photo_boxes import photo_with_boxes
from edgevision.evaluate.page.tables import named
from edgevision.evaluate.statistics.paired import PairedComparison
from edgevision.evaluate.tasks.embed_evaluation import EmbedEvaluation

SHOWN_PAIRS = 6


def evaluation_page(evaluations: Sequence[EmbedEvaluation], paired: PairedComparison | None = None) -> str:
    """Self-contained HTML for one model, or for a model and the one it is compared with.

    Raises MissingExtraError without matplotlib.
    """
    first = evaluations[0]
    confused = Figure(pictures.confused_pairs(first.confused), "What is taken for what", f"{first.name}.")
    sections = [
        Section(
            "In short", (_facts(first), *compared(paired, first.name, evaluations[-1].name), _metrics(evaluations))
        ),
        Section("Products", _products(evaluations)),
        Section("Errors", (confused,)),
    ]
    if photos := _confused_photos(first):
        about = "Each photo beside the one that it was taken for: its nearest, of another product. The most similar pairs first."
        sections.append(Section("Confused photos", (Text(about), Side(photos))))
    if unknown := tuple(_unknown(one) for one in evaluations if one.ood_similarity is not None):
        sections.append(Section("Unknown products", unknown))
    m = first.metrics
    return html_page(f"Evaluation of {first.name}", sections, f"{m.photos} photos, {m.products} products")


def _facts(evaluation: EmbedEvaluation) -> Block:
    m = evaluation.metrics
    return Facts(
        (
            Fact("recall@1", f"{m.recall1:.2f} %", f"{m.judged} photos, each looked up among all others"),
            Fact("recall@5", f"{m.recall5:.2f} %"),
            Fact("mean average precision", f"{m.map:.2f} %"),
            Fact("dimension", str(m.dimension)),
        )
    )


def _metrics(evaluations: Sequence[EmbedEvaluation]) -> Block:
    columns = [dict(one.rows()) for one in evaluations]
    rows = tuple((metric, *(column.get(metric, "–") for column in columns)) for metric in columns[0])
    return Table(("metric", *(one.name for one in evaluations)), rows)


def _products(evaluations: Sequence[EmbedEvaluation]) -> tuple[Block, ...]:
    first, reference = evaluations[0], evaluations[1] if len(evaluations) > 1 else None
    names = (first.name, reference.name if reference else "")
    recall = pictures.class_recall(first.per_product, reference.per_product if reference else None, names=names)
    rows = tuple((named(r.label.name), r.n, r.recall, r.precision) for r in first.weakest())
    return (
        Figure(recall, "Recall@1 of the weakest products", "Worst first."),
        Table(("product", "photos", "recall@1 %", "precision %"), rows, folded=True),
    )


def _confused_photos(evaluation: EmbedEvaluation) -> tuple[Figure, ...]:
    """Photos and what they were taken for; none where nobody said where they are. One pair for each two products."""
    scores, products = evaluation.scores, evaluation.scores.products
    if not evaluation.photos:
        return ()
    wrong = np.flatnonzero(scores.judged & ~scores.right)
    figures: list[Figure] = []
    seen: set[tuple[int, int]] = set()
    for place in wrong[np.argsort(-scores.found.similarity[wrong], kind="stable")].tolist():
        other = int(scores.found.first[place])
        pair = int(products.truth[place]), int(products.truth[other])
        if pair in seen or len(seen) == SHOWN_PAIRS:
            continue
        seen.add(pair)
        similarity = f"cosine {scores.found.similarity[place]:.3f}"
        figures += _photo(evaluation, place, f"shows {products.names[pair[0]]}")
        figures += _photo(evaluation, other, f"taken for {products.names[pair[1]]}, {similarity}")
    return tuple(figures)


def _photo(evaluation: EmbedEvaluation, place: int, caption: str) -> list[Figure]:
    path = evaluation.photos[place]
    try:
        return [Figure(photo_with_boxes(read_image(path), ()), path.name, caption)]
    except ImageError:  # moved or changed since it was evaluated
        return []


def _unknown(evaluation: EmbedEvaluation) -> Block:
    assert evaluation.ood_similarity is not None
    known = evaluation.scores.found.similarity[evaluation.scores.judged]
    svg = pictures.score_histogram(known, evaluation.ood_similarity, None)
    return Figure(
        svg, evaluation.name, "Cosine to the nearest photo. Where the line is drawn, the gallery's calibration says."
    )
