"""Metrics of a classifier over labelled photos.

Definitions, where tools differ:

* classes are ranked by score, higher first; equal scores by index, lower first. Top-1 and top-5 follow that ranking;
* precision of a class that was never predicted is 0, and so is F1 where precision and recall are 0;
* macro averages run over the classes that occur in the truth; a class without photos has no recall to average. Photos
  taken for such a class still count as wrong;
* ROC-AUC is one class against the rest; macro = mean over the classes where it is defined (some photos are of the
  class and some are not), micro = all (photo, class) scores pooled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.statistics.ranking import auroc
from edgevision.tasks.results import Label


@dataclass(frozen=True)
class ClassRow:
    """One class: ``n`` photos of it, ``predicted`` photos taken for it; precision, recall and F1 in percent."""

    label: Label
    n: int
    predicted: int
    precision: float
    recall: float
    f1: float
    roc_auc: float | None


@dataclass(frozen=True)
class Confusion:
    """``count`` of the ``n`` photos of ``truth`` were taken for ``predicted``."""

    truth: Label
    predicted: Label
    count: int
    n: int


@dataclass(frozen=True)
class ClassificationMetrics:
    """See the module for definitions. All in percent, but for the areas under the ROC curve, which are 0…1.

    ``per_class`` has one row for each label, in the labels' order; ``confused`` the most frequent errors first.
    """

    n: int
    classes_present: int
    top1: float
    top5: float
    precision: float
    recall: float
    f1: float
    roc_auc_macro: float | None
    roc_auc_micro: float | None
    per_class: tuple[ClassRow, ...]
    confused: tuple[Confusion, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def classification_metrics(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[Label], *, max_confused: int = 20
) -> ClassificationMetrics:
    """Metrics of ``probabilities`` [n, classes] (or any scores, higher = likelier) against ``truth`` [n] (indices).

    >>> metrics = classification_metrics([[0.9, 0.1], [0.6, 0.4]], [0, 1], [Label(0, "tea"), Label(1, "salt")])
    >>> metrics.top1, metrics.confused[0].predicted.name
    (50.0, 'tea')

    Raises InputError when shapes do not fit each other, scores are not finite, or there is nothing to measure.
    """
    scores, target = checked_scores(probabilities, truth)
    if scores.shape[1] != len(labels):
        raise InputError(f"expected scores for {len(labels)} labels, got {scores.shape[1]} for each photo")
    n, classes = scores.shape
    predicted = scores.argmax(axis=1)  # the first of equals
    right = predicted == target

    photos = np.bincount(target, minlength=classes)
    taken = np.bincount(predicted, minlength=classes)
    hits = np.bincount(target[right], minlength=classes)
    precision = 100.0 * _ratio(hits, taken)
    recall = 100.0 * _ratio(hits, photos)
    f1 = 100.0 * _ratio(2 * hits, photos + taken)  # = 2PR / (P + R)
    areas = [auroc(scores[target == c, c], scores[target != c, c]) for c in range(classes)]
    defined = [area for area in areas if area is not None]
    of_class = np.zeros(scores.shape, dtype=bool)
    of_class[np.arange(n), target] = True

    present = photos > 0
    pairs = Counter(zip(target[~right].tolist(), predicted[~right].tolist(), strict=True))
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:max_confused]
    return ClassificationMetrics(
        n=n,
        classes_present=int(present.sum()),
        top1=100.0 * float(right.mean()),
        top5=100.0 * float((true_ranks(scores, target) < 5).mean()),
        precision=float(precision[present].mean()),
        recall=float(recall[present].mean()),
        f1=float(f1[present].mean()),
        roc_auc_macro=float(np.mean(defined)) if defined else None,
        roc_auc_micro=auroc(scores[of_class], scores[~of_class]),
        per_class=tuple(
            ClassRow(
                label, int(photos[c]), int(taken[c]), float(precision[c]), float(recall[c]), float(f1[c]), areas[c]
            )
            for c, label in enumerate(labels)
        ),
        confused=tuple(Confusion(labels[t], labels[p], count, int(photos[t])) for (t, p), count in ordered),
    )


def true_ranks(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rank of each photo's true class among its scores [n, classes], 0 = best; equals ranked by index. int64 [n]."""
    own = scores[np.arange(len(truth)), truth][:, None]
    before = np.arange(scores.shape[1])[None, :] < truth[:, None]
    ranks: npt.NDArray[np.int64] = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    return ranks


def checked_scores(
    scores: npt.ArrayLike, truth: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Scores as float64 [n, classes] and truth as int64 [n]. Raises InputError unless they fit each other."""
    values = np.asarray(scores, dtype=np.float64)
    target = np.asarray(truth)
    if values.ndim != 2 or target.ndim != 1 or len(values) != len(target):
        raise InputError(f"expected scores [n, classes] and truth [n], got {values.shape} and {target.shape}")
    if not len(target):
        raise InputError("expected at least one photo to measure on, got none")
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise InputError(
            f"expected finite scores, got NaN or infinity for {len(bad)} photos, first for number {bad[0]}"
        )
    if not np.issubdtype(target.dtype, np.integer) or target.min() < 0 or target.max() >= values.shape[1]:
        raise InputError(
            f"expected class indices of 0…{values.shape[1] - 1} as truth, got {target.dtype} "
            f"from {target.min()} to {target.max()}"
        )
    return values, target.astype(np.int64)


def _ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """``part / whole``, 0 where ``whole`` is."""
    return np.divide(part, whole, out=np.zeros(len(part), dtype=np.float64), where=whole > 0)
