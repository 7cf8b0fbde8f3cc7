"""Boxes on a part of a product, or around several: of two of which one holds most of the other, the weaker is left out.

Suppression after a detector looks at intersection over union, which is small for a box on a part: it stays, moves with the product for as
long as that is seen, and is counted as one more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

NESTED_SHARE = 0.6  # chosen on rendered belts: benchmarks/README.md


def nested(
    boxes: npt.NDArray[np.floating[Any]],
    scores: npt.NDArray[np.floating[Any]],
    classes: npt.NDArray[np.integer[Any]],
    share: float = NESTED_SHARE,
) -> npt.NDArray[np.bool_]:
    """Which boxes to leave out: bool [n].

    ``boxes`` [n, 4] as x1 y1 x2 y2; ``scores`` [n]; ``classes`` [n]: the detector's, for a product may well lie in a box of another class.
    From the strongest down, a box that stays takes out each weaker one with which it shares more than ``share`` of the smaller's area.

    >>> whole, part, beside = [0, 0, 100, 60], [0, 0, 40, 60], [90, 0, 150, 60]
    >>> nested(np.array([whole, part, beside]), np.array([0.8, 0.6, 0.7]), np.array([0, 0, 0])).tolist()
    [False, True, False]
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    tight = common > share * np.minimum(area[:, None], area[None, :])
    tight &= np.asarray(classes)[:, None] == np.asarray(classes)[None, :]
    out = np.zeros(len(corners), bool)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    for place, row in enumerate(order.tolist()):
        if not out[row]:
            weaker = order[place + 1 :]
            out[weaker] |= tight[row, weaker]
    return out
