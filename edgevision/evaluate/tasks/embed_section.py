"""Product by product, for the compile report: who lost what on the validation photos; and variants that ask each other's gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevision.evaluate.page.html import Block, Cell, Rich, Section, Table, Text
from edgevision.evaluate.page.tables import Line, long_table, named
from edgevision.evaluate.statistics.paired import MAX_PHOTOS_LOST, MIN_PHOTOS_PER_CLASS
from edgevision.evaluate.tasks.embed_losses import ProductLoss, product_losses
from edgevision.evaluate.tasks.embed_scores import EmbedScores, recall, recall_across

_COLUMNS = ("product", "photos", "float right", "variant right", "lost", "gained", "net loss, points", "product rule")


def embed_sections(
    reference: EmbedScores, others: Mapping[str, EmbedScores], chosen: str | None, max_points: float
) -> tuple[Section, ...]:
    """The products, by variant, the ``chosen`` one's open and others folded; and recall across variants. None without variants."""
    if not others:
        return ()
    blocks: list[Block] = []
    for variant in sorted(others, key=lambda name: name != chosen):
        losses = product_losses(reference, others[variant])
        rows = [_line(loss, max_points) for loss in losses]
        about = _about(variant, losses, reference, max_points)
        if variant == chosen:
            blocks += [Text(about), *long_table(_COLUMNS, rows, range(len(rows)), "those that lost most", "all")]
        else:
            blocks.append(Table(_COLUMNS, tuple(rows), about, folded=True))
    return Section("Products", tuple(blocks)), _across(reference, others)


def _line(loss: ProductLoss, max_points: float) -> Line:
    points = f"{100 * loss.net / loss.n:+.1f}".replace("-", "−") if loss.net else "0"
    counts = (loss.n, loss.reference_right, loss.right, loss.lost, loss.gained)
    return (named(loss.name), *counts, Rich(100 * loss.net / loss.n, points), _rule(loss, max_points))


def _rule(loss: ProductLoss, max_points: float) -> Cell:
    if not loss.ruled:
        return "too few photos"
    return Rich("loses too much", tone="bad") if loss.exceeds(max_points) else "within"


def _about(variant: str, losses: Sequence[ProductLoss], reference: EmbedScores, max_points: float) -> str:
    changed = len([loss for loss in losses if loss.lost or loss.gained])
    left = len(reference) - int(reference.judged.sum())
    alone = f" {left} photos are the only one of their product, and are not judged." if left else ""
    return (
        f"{variant}: {changed} of {len(losses)} products are found differently.{alone} A product of {MIN_PHOTOS_PER_CLASS} photos or more "
        f"may lose {MAX_PHOTOS_LOST}, or {max_points:g} points where that is more; "
        f"{len([loss for loss in losses if loss.ruled])} of these have so many."
    )


def _across(reference: EmbedScores, others: Mapping[str, EmbedScores]) -> Section:
    """Recall where a gallery is filled with one variant and asked with another."""
    rows = [
        (name, recall(own), recall_across(own, reference), recall_across(reference, own))
        for name, own in others.items()
    ]
    about = (
        "A gallery may be filled on one device and asked on another, which runs another variant of this bundle. Recall@1 in percent "
        f"on the validation photos; float in its own gallery: {recall(reference):.2f} %."
    )
    columns = ("variant", "in its own gallery", "asks float's gallery", "float asks its gallery")
    return Section("Galleries across variants", (Text(about), Table(columns, tuple(rows))))
