"""Class by class, for the compile report: what each variant lost on the validation photos, and what a user sees of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevision.evaluate.page.html import Block, Cell, Rich, Section, Table, Text
from edgevision.evaluate.page.tables import Line, long_table, named
from edgevision.evaluate.tasks.detect_losses import MIN_BOXES, BoxLoss

_COLUMNS = ("group", "measure", "boxes", "float %", "variant %", "loss, points", "rule")


def box_section(losses: Mapping[str, Sequence[BoxLoss]], labels: int, chosen: str | None, max_points: float) -> Section:
    """What each class lost, by variant, and F1 at the thresholds; the ``chosen`` variant's table is open, others are folded.

    ``losses``: in the order to show them; ``labels``: how many classes the model knows; ``max_points``: what the rule allows.
    """
    blocks: list[Block] = []
    for variant in sorted(losses, key=lambda name: name != chosen):
        rows = [_line(loss, max_points) for loss in losses[variant]]
        about = _about(variant, losses[variant], labels, max_points)
        if variant == chosen:
            blocks += [Text(about), *long_table(_COLUMNS, rows, range(len(rows)), "those that lost most", "all")]
        else:
            blocks.append(Table(_COLUMNS, tuple(rows), about, folded=True))
    return Section("Classes", tuple(blocks))


def _line(loss: BoxLoss, max_points: float) -> Line:
    points = f"{loss.drop:+.1f}".replace("-", "−")
    return (
        named(loss.name), loss.metric, loss.n, loss.reference, loss.value, Rich(loss.drop, points), _rule(loss, max_points),
    )  # fmt: skip


def _rule(loss: BoxLoss, max_points: float) -> Cell:
    if not loss.ruled:
        return "too few boxes"
    return Rich("loses too much", tone="bad") if loss.exceeds(max_points) else "within"


def _about(variant: str, losses: Sequence[BoxLoss], labels: int, max_points: float) -> str:
    classes = len(losses) - 1  # F1 is no class
    without = f", {labels - classes} classes have none" if labels > classes else ""
    return (
        f"{variant}: {classes} classes have boxes in the validation photos{without}. A group of {MIN_BOXES} boxes or more may lose "
        f"{max_points:g} points; more is refused where drawing other photos would not make up for it. F1 is what a user sees: both "
        "models at their own thresholds, IoU 0.5."
    )
