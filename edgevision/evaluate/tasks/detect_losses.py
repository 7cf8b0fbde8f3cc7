"""What a detector's variant lost in each class, and of what a user sees: F1 at the thresholds that it ships with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgevision.errors import InputError
from edgevision.evaluate.statistics.average_precision import average_precision
from edgevision.evaluate.statistics.bootstrap import draw_weights, interval
from edgevision.evaluate.statistics.paired import MAX_POINTS_LOST
from edgevision.evaluate.tasks.detect_scores import DetectScores, counts, f1
from edgevision.tasks.results import Label

MIN_BOXES = 20  # of a class: of fewer, one box is more than the rule allows
DRAWS = 200
CONFIDENCE = 0.9  # two-sided; that the loss is no chance rests on the lower end alone, so 0.95
_ROUNDING = 1e-9  # points: what adding and dividing may have moved


@dataclass(frozen=True)
class BoxLoss:
    """What a group of boxes lost, in points of ``metric``: ``reference`` → ``value``. A ``GroupLoss`` as ``evaluate.base`` has it.

    ``n``: marked boxes. ``least``: the lower end of the loss's interval.

    >>> BoxLoss("class 'salt'", "average precision", 40, 61.0, 56.5, 1.2).sentence()
    "class 'salt' loses 4.5 points of average precision, 61.0 → 56.5 on 40 boxes"
    """

    name: str
    metric: str
    n: int
    reference: float
    value: float
    least: float

    @property
    def drop(self) -> float:
        """Points lost; negative = gained."""
        return self.reference - self.value

    @property
    def share(self) -> float:
        """``drop``, -1…1."""
        return self.drop / 100.0

    @property
    def ruled(self) -> bool:
        """Whether there are boxes enough for the rule."""
        return self.n >= MIN_BOXES

    def exceeds(self, max_points: float = MAX_POINTS_LOST) -> bool:
        """Whether it lost too much: with at least ``MIN_BOXES``, more than ``max_points``, and more than chance."""
        return self.ruled and self.drop > max_points + _ROUNDING and self.least > 0

    def sentence(self) -> str:
        """Name and loss in words."""
        return (
            f"{self.name} loses {self.drop:.1f} points of {self.metric}, {self.reference:.1f} → {self.value:.1f} on "
            f"{self.n} boxes"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "drop": self.drop}


def box_losses(reference: DetectScores, other: DetectScores, labels: Sequence[Label]) -> tuple[BoxLoss, ...]:
    """What every class that has boxes lost, and F1 over all boxes; most lost first.

    Raises InputError for scores of different photos.
    """
    if not np.array_equal(reference.matches.truths, other.matches.truths):
        raise InputError("expected the scores of two models on the same photos, got photos with different boxes")
    losses = [*_classes(reference, other, labels), _seen(reference, other)]
    return tuple(sorted(losses, key=lambda loss: -loss.drop))


def _classes(reference: DetectScores, other: DetectScores, labels: Sequence[Label]) -> list[BoxLoss]:
    pictures = len(reference)
    weights = np.concatenate([np.ones((1, pictures)), draw_weights(pictures, DRAWS, 0)])
    # In the first row each picture counts once. [draws, classes], in points.
    before, after = (100.0 * average_precision(one.matches, weights).mean(axis=1) for one in (reference, other))
    boxes, shown_in = reference.matches.truths.sum(axis=0), (reference.matches.truths > 0).sum(axis=0)
    return [
        BoxLoss(
            f"class {labels[c].name!r}", "average precision", int(boxes[c]), float(before[0, c]), float(after[0, c]),
            interval(float(before[0, c] - after[0, c]), (before - after)[1:, c], int(shown_in[c]), CONFIDENCE)[0],
        )
        for c in np.flatnonzero(boxes).tolist()
    ]  # fmt: skip


def _seen(reference: DetectScores, other: DetectScores) -> BoxLoss:
    """F1 at the thresholds, IoU 0.5, over the boxes of all classes."""
    pictures = len(reference)
    weights = np.concatenate([np.ones((1, pictures)), draw_weights(pictures, DRAWS, 0)])

    def points(scores: DetectScores) -> Any:
        c = counts(scores)
        return 100.0 * f1(*(weights @ table.sum(axis=1) for table in (c.right, c.found, c.marked)))

    before, after = points(reference), points(other)
    least, _ = interval(float(before[0] - after[0]), (before - after)[1:], pictures, CONFIDENCE)
    n = int(reference.matches.truths.sum())
    return BoxLoss("what is seen at the thresholds", "F1", n, float(before[0]), float(after[0]), least)
