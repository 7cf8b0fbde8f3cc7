"""Class by class, for the compile report: who lost what on the validation photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevision.evaluate.page.html import Block, Cell, Rich, Section, Table, Text
from edgevision.evaluate.page.tables import Line, long_table, named
from edgevision.evaluate.statistics.paired import MAX_PHOTOS_LOST, MIN_PHOTOS_PER_CLASS, ClassLoss

_COLUMNS = ("class", "photos", "float right", "variant right", "lost", "gained", "net loss, points", "class rule")


def class_section(
    losses: Mapping[str, Sequence[ClassLoss]], labels: int, chosen: str | None, max_points: float
) -> Section:
    """What each class lost, by variant; the ``chosen`` variant's classes are open, others folded.

    ``losses``: in the order to show them, at least one for each variant; ``labels``: how many classes the model knows;
    ``max_points``: what the class rule allows.
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


def _line(loss: ClassLoss, max_points: float) -> Line:
    points = f"{100 * loss.net / loss.n:+.1f}".replace("-", "−") if loss.net else "0"
    counts = (loss.n, loss.reference_right, loss.right, loss.lost, loss.gained)
    return (named(loss.name), *counts, Rich(100 * loss.net / loss.n, points), _rule(loss, max_points))


def _rule(loss: ClassLoss, max_points: float) -> Cell:
    if not loss.ruled:
        return "too few photos"
    return Rich("loses too much", tone="bad") if loss.exceeds(max_points) else "within"


def _about(variant: str, losses: Sequence[ClassLoss], labels: int, max_points: float) -> str:
    changed = len([loss for loss in losses if loss.lost or loss.gained])
    ruled = len([loss for loss in losses if loss.ruled])
    without = f", {labels - len(losses)} classes have none" if labels > len(losses) else ""
    return (
        f"{variant}: {changed} of {len(losses)} classes with validation photos are answered differently{without}. A class of "
        f"{MIN_PHOTOS_PER_CLASS} photos or more may lose {MAX_PHOTOS_LOST}, or {max_points:g} points "
        f"where that is more; {ruled} of these have so many."
    )
