"""How far two models give the same answer to one frame."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tasks.results import Classification
from edgevision.tracking.assignment import Pairs, assign

LEAST_IOU = 0.5  # of two boxes that are taken for the same product


def agreement(one: Any, other: Any) -> float:
    """0 … 1, where 1 says that nobody would tell the answers apart.

    Classifications: 1 for the same best class, or where neither knows the product. Detections: the share of boxes that both have, with
    the same class and an overlap over 0.5 (the F1 score of one against the other). Products: the same, where a pair counts as far
    as what was recognised agrees. Other answers, arrays too: 1 where they are equal. Scores are not compared.

    >>> agreement(("till", 1), ("till", 1))
    1.0
    """
    return 0.0 if type(one) is not type(other) else _agreement(one, other)


@singledispatch
def _agreement(one: Any, other: Any) -> float:
    return 1.0 if one == other else 0.0


@_agreement.register
def _(one: np.ndarray, other: Any) -> float:
    return 1.0 if np.array_equal(one, other) else 0.0


@_agreement.register
def _(one: Classification, other: Classification) -> float:
    if not one.known or not other.known:
        return 1.0 if one.known is other.known else 0.0
    return 1.0 if one.best.id == other.best.id else 0.0


@_agreement.register
def _(one: Detections, other: Detections) -> float:
    return _f1(len(_pairs(one, other)), len(one), len(other))


@_agreement.register
def _(one: Products, other: Products) -> float:
    pairs = _pairs(one.detections, other.detections).tolist()
    same = sum(agreement(one.results[place], other.results[beside]) for place, beside in pairs)
    return _f1(same, len(one), len(other))


def _f1(same: float, count: int, others: int) -> float:
    return 2 * same / (count + others) if count + others else 1.0


def _pairs(one: Detections, other: Detections) -> Pairs:
    """Boxes of both that are taken for the same product."""
    from edgevision.evaluate.statistics.average_precision import iou_matrix

    overlap = iou_matrix(one.boxes, other.boxes)
    return assign(np.where(_ids(one)[:, None] == _ids(other)[None], overlap, 0.0), LEAST_IOU)


def _ids(detections: Detections) -> npt.NDArray[np.int64]:
    """The user's number of each box's class: places in the labels may differ between two models."""
    return np.array([label.id for label in detections.labels], np.int64)[detections.classes]
