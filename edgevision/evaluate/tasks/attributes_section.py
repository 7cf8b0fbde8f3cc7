"""Attribute by attribute, for the compile report: what each lost on the validation photos, and each of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevision.evaluate.page.html import Block, Cell, Rich, Section, Table, Text
from edgevision.evaluate.page.tables import Line, long_table, named
from edgevision.evaluate.statistics.paired import MAX_PHOTOS_LOST, MIN_PHOTOS_PER_CLASS
from edgevision.evaluate.tasks.attributes_losses import ValueLoss

_COLUMNS = (
    "attribute or value",
    "photos",
    "float right",
    "variant right",
    "lost",
    "gained",
    "net loss, points",
    "rule",
)


def attributes_section(losses: Mapping[str, Sequence[ValueLoss]], chosen: str | None, max_points: float) -> Section:
    """What each attribute and value lost, by variant; the ``chosen`` variant's table is open, others are folded.

    ``losses``: in the order to show them; ``max_points``: what the rule allows.
    """
    blocks: list[Block] = []
    for variant in sorted(losses, key=lambda name: name != chosen):
        rows = [_line(loss, max_points) for loss in losses[variant]]
        about = (
            f"{variant}: photos where the value is known. An attribute or value of {MIN_PHOTOS_PER_CLASS} photos or more may lose "
            f"{MAX_PHOTOS_LOST}, or {max_points:g} points where that is more."
        )
        if variant == chosen:
            blocks += [Text(about), *long_table(_COLUMNS, rows, range(len(rows)), "those that lost most", "all")]
        else:
            blocks.append(Table(_COLUMNS, tuple(rows), about, folded=True))
    return Section("Attributes", tuple(blocks))


def _line(loss: ValueLoss, max_points: float) -> Line:
    points = f"{100 * loss.share:+.1f}".replace("-", "−") if loss.net else "0"
    counts = (loss.n, loss.reference_right, loss.right, loss.lost, loss.gained)
    return (named(loss.name), *counts, Rich(100 * loss.share, points), _rule(loss, max_points))


def _rule(loss: ValueLoss, max_points: float) -> Cell:
    if not loss.ruled:
        return "too few photos"
    return Rich("loses too much", tone="bad") if loss.exceeds(max_points) else "within"
