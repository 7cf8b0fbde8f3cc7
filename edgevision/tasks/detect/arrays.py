"""What decoders share: scores and boxes that are checked before they are used, and boxes turned into corners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import UnreadableOutputError
from edgevision.tasks.detect.candidates import Candidates

Floats = npt.NDArray[np.float32]

_ROUNDING = 0.01  # what rounding to int8 may add to a score, or take from it


def floats(array: npt.NDArray[Any]) -> Floats:
    """The array as float32; itself where it is."""
    return np.asarray(array, np.float32)


def check_scores(scores: Floats) -> None:
    """Raise UnreadableOutputError for NaN, and for what is clearly outside 0…1."""
    if not scores.size:
        return
    least, most = float(scores.min()), float(scores.max())
    if math.isnan(most):  # both are NaN where one score is
        raise UnreadableOutputError("the network's scores hold NaN; the graph or its input is broken")
    if least < -_ROUNDING or most > 1 + _ROUNDING:
        raise UnreadableOutputError(
            f"expected scores 0…1, got {least:.4g}…{most:.4g}; the outputs are not what --output says, or the graph is broken"
        )


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + e⁻ˣ) in float32; nothing overflows.

    >>> sigmoid(np.array([-200, 0, 200], np.float32)).tolist()
    [0.0, 0.5, 1.0]
    """
    power = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, power) / (1 + power), np.float32)


def least_logit(least_score: float) -> float:
    """A logit under which no score is above ``least_score``, with room for rounding: to look at few of many logits."""
    if least_score <= 0:
        return -np.inf
    return float(np.log(least_score / (1 - least_score))) - 1e-3 if least_score < 1 else np.inf


def check_logits(logits: Floats) -> None:
    """Raise UnreadableOutputError for NaN."""
    if logits.size and np.isnan(logits.max()):
        raise UnreadableOutputError("the network's scores hold NaN; the graph or its input is broken")


def corners(boxes: Floats, scale: Sequence[float] = (1.0, 1.0)) -> Floats:
    """Centre x, centre y, width, height [n, 4] → x1 y1 x2 y2 [n, 4], times ``scale`` (x, y).

    >>> corners(np.array([[0.5, 0.5, 0.5, 1.0]], np.float32), (100, 50)).tolist()
    [[25.0, 0.0, 75.0, 50.0]]
    """
    with np.errstate(invalid="ignore", over="ignore"):  # infinite boxes are refused where they are used
        half = boxes[:, 2:] / 2
        found = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
        return np.asarray(found * np.array([*scale, *scale], np.float32), np.float32)


def candidates_of(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Candidates:
    """Candidates of these columns, scores within 0…1. Raises UnreadableOutputError for boxes with NaN or infinite sides."""
    own = floats(boxes).reshape(-1, 4)
    if not np.isfinite(own).all():
        raise UnreadableOutputError("the network's boxes hold NaN or infinite values; the graph or its input is broken")
    return Candidates(own, np.clip(floats(scores), 0.0, 1.0), np.asarray(classes, np.int64))


def best_classes(boxes: Floats, scores: Floats, least_score: float) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Of ``boxes`` [4, n] and ``scores`` [classes, n], those whose best class has a score above ``least_score``: boxes
    [m, 4], scores [m], classes [m]; of equal classes the first. Raises UnreadableOutputError as ``check_scores`` does."""
    check_scores(scores)
    best = scores.max(axis=0)
    places = np.flatnonzero(best > least_score)
    return boxes[:, places].T, best[places], scores[:, places].argmax(axis=0)


def check_classes(classes: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """Classes that the network gives as numbers, as int64. Raises UnreadableOutputError unless all are whole, 0…``count`` - 1."""
    if classes.dtype.kind == "f" and not (np.isfinite(classes).all() and (classes == np.rint(classes)).all()):
        raise UnreadableOutputError("the network's classes are no whole numbers; the graph or its input is broken")
    if classes.size and not (classes.min() >= 0 and classes.max() < count):
        raise UnreadableOutputError(
            f"the network gives classes {classes.min():g}…{classes.max():g}, and there are {count} labels: 0…{count - 1}. "
            "Give one label for each class, also for numbers that are not used"
        )
    return np.asarray(classes, np.int64)


def best_pairs(boxes: Floats, scores: Floats, least_score: float) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Of ``boxes`` [q, 4] and ``scores`` [q, classes], the pairs of box and class with a score above ``least_score``, at most
    the q best: boxes [m, 4], scores [m], classes [m]. A box may come with several classes. Raises UnreadableOutputError as
    ``check_scores`` does.
    """
    check_scores(scores)
    flat = scores.ravel()
    pairs = np.flatnonzero(flat > least_score)
    if len(pairs) > len(boxes):
        pairs = pairs[np.argsort(-flat[pairs], kind="stable")[: len(boxes)]]
    queries, classes = np.divmod(pairs, scores.shape[1])
    return boxes[queries], flat[pairs], classes
