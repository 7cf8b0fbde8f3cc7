"""How far a detector's boxes are from another's, without a truth: chooses recipes, and ranks layers by what they cost."""

from __future__ import annotations

import numpy as np

from edgevision.evaluate.statistics.average_precision import Found, iou_pairs


def shared_boxes(a: Found, b: Found) -> float:
    """What two answers to one picture have in common: the sum, over pairs of boxes of one class, of IoU × the square of
    the lower score. Each box is in one pair at most; pairs with the greatest such product are made first."""
    rows, columns = np.nonzero(a.classes[:, None] == b.classes[None, :])
    lower = np.minimum(a.scores[rows], b.scores[columns]).astype(np.float64)
    worth = iou_pairs(a.boxes[rows], b.boxes[columns]) * lower**2
    order = np.argsort(-worth, kind="stable")[: np.count_nonzero(worth)]
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    total = 0.0
    for row, column, value in zip(rows[order].tolist(), columns[order].tolist(), worth[order].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            total += value
    return total


def box_divergence(reference: list[Found], other: list[Found]) -> float:
    """1 − 2·shared / (Σ score² of both), over all pictures: 0 = equal, 1 = nothing in common. Symmetric.

    Scores count by their square, so that the many boxes that hardly anybody believes in do not drown the few that matter;
    a box that moves, fades, vanishes, comes up or changes its class makes it greater. Two models that find nothing are equal.

    >>> one = Found(np.array([[0.0, 0, 10, 10]]), np.array([0.9]), np.array([0]))
    >>> box_divergence([one], [one])
    0.0
    """
    whole = sum(float((one.scores.astype(np.float64) ** 2).sum()) for one in (*reference, *other))
    if whole == 0.0:
        return 0.0
    shared = sum(shared_boxes(a, b) for a, b in zip(reference, other, strict=True))
    return max(0.0, 1.0 - 2.0 * shared / whole)
