"""How a detector answered each photo: what was found, and what of it is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.base import ImageScores, Truths
from edgevision.evaluate.statistics.average_precision import (
    Matches,
    average_precision,
    match,
    mean_average_precision,
)
from edgevision.evaluate.tasks.detect_boxes import TensorBoxes, found_boxes, marked_boxes
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.detect.task import DetectTask
from edgevision.tensors import Outputs


@dataclass(frozen=True, eq=False)
class DetectScores:
    """Photo by photo. ``matches``: every detection, and whether it is right. ``kept`` bool [n]: which detections are above the
    thresholds. ``agreement``: whether they are held against another model's answers, so that the metric is agreement."""

    matches: Matches
    kept: npt.NDArray[np.bool_]
    agreement: bool

    def __len__(self) -> int:
        return self.matches.pictures


@dataclass(frozen=True, eq=False)
class Counts:
    """At the thresholds, photo by photo: ``right``, ``found`` and ``marked`` boxes, int64 [photos, classes]."""

    right: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    marked: npt.NDArray[np.int64]


def detect_scores(task: DetectTask, preprocess: PreprocessSpec | None, digest: Outputs, truths: Truths) -> DetectScores:
    """The scores of a digest of ``task``, whose thresholds say which boxes a user sees.

    Raises InputError where truths and digest do not fit together, UnreadableOutputError for numbers that are none.
    """
    classes = len(task.spec.labels)
    marked = marked_boxes(truths, classes)
    matches = match(found_boxes(digest, truths, preprocess), marked, classes)
    kept = matches.scores > task.thresholds[matches.classes]
    return DetectScores(matches, kept, any(isinstance(one, TensorBoxes) for one in truths))


def checked(scores: ImageScores) -> DetectScores:
    """``scores``, if they are a detector's. Raises InputError for those of another task."""
    if not isinstance(scores, DetectScores):
        raise InputError(f"expected the scores of a detector, got {type(scores).__name__}")
    return scores


def counts(scores: DetectScores, threshold: int = 0) -> Counts:
    """How many boxes are right, found and marked. ``threshold``: the place of the IoU that makes a box right; the first is 0.5."""
    m = scores.matches
    counted = scores.kept & ~m.ignored[threshold]

    def add(which: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        table = np.zeros(m.truths.shape, np.int64)
        np.add.at(table, (m.picture[which], m.classes[which]), 1)
        return table

    return Counts(add(counted & m.right[threshold]), add(counted), m.truths)


def f1(right: npt.ArrayLike, found: npt.ArrayLike, marked: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """F1, 0…1: twice the right boxes as a share of those found and those marked. 1 where there are neither.

    >>> f1(2, 3, 3).item()
    0.6666666666666666
    """
    both = np.asarray(found, np.float64) + np.asarray(marked, np.float64)
    return np.where(both > 0, 2.0 * np.asarray(right, np.float64) / np.where(both > 0, both, 1.0), 1.0)


def values(scores: DetectScores, weights: npt.NDArray[np.floating] | None = None) -> npt.NDArray[np.float64]:
    """The metric in points: float64 [draws], one for each row of ``weights`` [draws, photos]; one draw of each photo once
    where that is None.

    Against marked boxes: mean average precision over IoU 0.50:0.05:0.95; NaN where nothing is to be found. Against another
    model's answers: F1 of what a user sees of both, as the mean over the same IoUs.
    """
    if not scores.agreement:
        return 100.0 * mean_average_precision(average_precision(scores.matches, weights))
    drawn = np.ones((1, len(scores))) if weights is None else np.asarray(weights, np.float64)
    shares = []
    for threshold in range(len(scores.matches.right)):
        c = counts(scores, threshold)
        shares.append(f1(*(drawn @ table.sum(axis=1) for table in (c.right, c.found, c.marked))))
    return np.asarray(100.0 * np.mean(shares, axis=0))
