"""Average precision of boxes, as COCO defines it; on weighted pictures too, so that pictures can be drawn again and again.

The definition is that of pycocotools 2.0 (``cocoeval.py``, iouType "bbox"), to the last tie: ten IoU thresholds, 101 recalls, at most 100
detections of a class in a picture, crowds that any number of detections may lie in, and truths outside a range of areas
that count neither way. Which detection found which truth is settled once for each picture (``match``). What is left, ranking
all detections and adding up, is arrays, and takes a weight for each picture (``average_precision``): a bootstrap over
pictures repeats only that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

IOU_THRESHOLDS: npt.NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
RECALLS: npt.NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100  # of one class in one picture
EVERY_AREA = (0.0, 1e10)
# Square pixels of the photo. Both ends belong to a range, as in pycocotools.
AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
_VALUES_AT_ONCE = 2**18  # draws × detections of a class: stays in the cache


@dataclass(frozen=True, eq=False)
class Found:
    """Detections in one picture: ``boxes`` [n, 4] as x1 y1 x2 y2, ``scores`` [n], ``classes`` int64 [n]; in any order."""

    boxes: npt.NDArray[np.floating]
    scores: npt.NDArray[np.floating]
    classes: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Marked:
    """The truth of one picture: ``boxes`` [n, 4] as x1 y1 x2 y2, ``classes`` int64 [n], ``crowd`` bool [n], ``areas`` [n] in
    square pixels: of the outlines where they are known."""

    boxes: npt.NDArray[np.floating]
    classes: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    areas: npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Matches:
    """Which detections of ``pictures`` pictures are right. Detections stand class by class, best score first; of equal scores
    the earlier picture first, and within it the one that was given first.

    ``picture``, ``classes`` int64 [n] and ``scores`` float64 [n] of each detection. ``right``, ``ignored`` bool [10, n], by IoU
    threshold: found a truth; counts neither way. ``truths`` int64 [pictures, classes]: how many boxes are to be found.
    """

    picture: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]
    truths: npt.NDArray[np.int64]

    @property
    def pictures(self) -> int:
        """How many."""
        return len(self.truths)


def iou_matrix(
    a: npt.NDArray[np.floating], b: npt.NDArray[np.floating], crowd: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Intersection over union of each of ``a`` [n, 4] with each of ``b`` [m, 4], boxes as x1 y1 x2 y2: float64 [n, m].

    ``crowd`` bool [m]: for those of ``b`` the intersection is held against the area of ``a`` alone, as COCO has it. Boxes
    without area overlap nothing.

    >>> iou_matrix(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).round(3).tolist()
    [[0.333]]
    """
    first, second = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    shared = _shared(first, second)
    whole = _areas(first) + _areas(second) - shared
    if crowd is not None:
        whole = np.where(crowd[None], _areas(first), whole)
    return _ratio(shared, whole)


def iou_pairs(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Intersection over union of each of ``a`` [n, 4] with the one of ``b`` [n, 4] beside it: float64 [n]. See ``iou_matrix``."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    shared = _shared(first, second)
    return _ratio(shared, _areas(first) + _areas(second) - shared)


def match(
    found: Sequence[Found],
    marked: Sequence[Marked],
    classes: int,
    area: tuple[float, float] = EVERY_AREA,
    max_detections: int = MAX_DETECTIONS,
) -> Matches:
    """Settle for each picture which detections found which truths.

    ``classes``: how many there are. ``area``: truths outside this range, both ends within it, count neither way, nor do
    detections outside it that found nothing. ``max_detections``: of each class in each picture, the best.

    Raises InputError where ``found`` and ``marked`` are not of the same pictures, or a class is not one of ``classes``.
    """
    if len(found) != len(marked):
        raise InputError(f"expected detections and truths of the same pictures, got {len(found)} and {len(marked)}")
    truths = np.zeros((len(marked), classes), np.int64)
    parts: list[_Part] = []
    for picture, (own, truth) in enumerate(zip(found, marked, strict=True)):
        _check_classes(own.classes, classes)
        _check_classes(truth.classes, classes)
        hidden = truth.crowd | (truth.areas < area[0]) | (truth.areas > area[1])
        truths[picture] = np.bincount(truth.classes[~hidden], minlength=classes)
        parts.append(_match_picture(own, _best(own, max_detections), truth, hidden, area))
    return _joined(parts, truths)


def average_precision(
    matches: Matches, weights: npt.NDArray[np.floating] | None = None, thresholds: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.float64]:
    """Average precision, 0…1: float64 [draws, thresholds, classes]; NaN for a class that has nothing to be found.

    ``weights`` [draws, pictures]: how often each picture counts, whole numbers; None = each once, in one draw. Of a picture that
    counts twice, detections with one score stay together.
    ``thresholds``: places in ``IOU_THRESHOLDS``, all where None.

    At each of 101 recalls, the best precision that is reached there or at a higher recall; their mean (T.-Y. Lin and others,
    "Microsoft COCO", ECCV 2014, and pycocotools).

    >>> box = np.array([[0.0, 0, 10, 10]])
    >>> found = Found(box, np.array([0.9]), np.array([0]))
    >>> truth = Marked(box, np.array([0]), np.array([False]), np.array([100.0]))
    >>> float(average_precision(match([found], [truth], 1)).mean())
    1.0
    """
    drawn = np.ones((1, matches.pictures)) if weights is None else np.asarray(weights, np.float64)
    if drawn.ndim != 2 or drawn.shape[1] != matches.pictures:
        raise InputError(f"expected weights [draws, {matches.pictures}], got {drawn.shape}")
    rows = np.arange(len(IOU_THRESHOLDS)) if thresholds is None else np.asarray(thresholds)
    classes = matches.truths.shape[1]
    result = np.full((len(drawn), len(rows), classes), np.nan)
    bounds = np.searchsorted(matches.classes, np.arange(classes + 1))
    for c in np.flatnonzero(matches.truths.any(axis=0)).tolist():
        own = slice(bounds[c], bounds[c + 1])
        picture = matches.picture[own]
        step = max(1, _VALUES_AT_ONCE // max(1, len(picture)))
        for start in range(0, len(drawn), step):
            some = drawn[start : start + step]
            result[start : start + step, :, c] = _precision_of_class(
                matches.right[rows, own], matches.ignored[rows, own], some[:, picture], some @ matches.truths[:, c]
            )
    return result


def mean_average_precision(precisions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean over thresholds and classes of ``average_precision``'s answer: float64 [draws]; classes without truth do not
    count. NaN where no class has any."""
    known = ~np.isnan(precisions)
    count = known.sum(axis=(1, 2))
    total = np.where(known, precisions, 0.0).sum(axis=(1, 2))
    return np.asarray(np.divide(total, count, out=np.full(len(precisions), np.nan), where=count > 0))


def precision_at_recalls(matches: Matches, threshold: int = 0) -> npt.NDArray[np.float64]:
    """What ``average_precision`` is the mean of, for curves: float64 [classes, 101]; NaN for a class without truth.

    ``threshold``: the place of the IoU in ``IOU_THRESHOLDS``.
    """
    curves = np.full((matches.truths.shape[1], len(RECALLS)), np.nan)
    marked = matches.truths.sum(axis=0)
    for c in np.flatnonzero(marked).tolist():
        counted = (matches.classes == c) & ~matches.ignored[threshold]
        right = np.cumsum(matches.right[threshold, counted])
        precision = right / (np.arange(len(right)) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        first = np.searchsorted(right / marked[c], RECALLS)
        curves[c] = np.append(best, 0.0)[first]
    return curves


# ---- one picture ----


@dataclass(frozen=True, eq=False)
class _Part:
    """Detections of one picture, class by class, best first: see ``Matches``."""

    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]


def _best(found: Found, most: int) -> npt.NDArray[np.int64]:
    """Places of the ``most`` best detections of each class, class by class, best first."""
    order = np.lexsort((-found.scores, found.classes))
    classes = found.classes[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)
    return np.asarray(order[rank < most], np.int64)


def _match_picture(
    found: Found, chosen: npt.NDArray[np.int64], truth: Marked, hidden: npt.NDArray[np.bool_],
    area: tuple[float, float],
) -> _Part:  # fmt: skip
    """Match the ``chosen`` detections, best first, with the truths of their classes. Each takes the truth that it overlaps
    most, of those that are left and overlap enough, the last of equals; one that counts neither way (``hidden``) only where
    no other is left."""
    count = len(IOU_THRESHOLDS)
    boxes, classes = np.asarray(found.boxes[chosen], np.float64), found.classes[chosen]
    right = np.zeros((count, len(chosen)), np.bool_)
    ignored = np.zeros((count, len(chosen)), np.bool_)
    overlaps = np.where(classes[:, None] == truth.classes[None, :], iou_matrix(boxes, truth.boxes, truth.crowd), 0.0)
    left = np.ones((count, len(hidden)), np.bool_)
    enough = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]
    near = np.flatnonzero(overlaps.max(axis=1, initial=0.0) >= enough[0, 0])
    for place in near.tolist():
        possible = (overlaps[place] >= enough) & (left | truth.crowd)
        counting = possible & ~hidden
        hit = counting.any(axis=1)
        usable = np.where(hit[:, None], counting, possible)
        taken = len(hidden) - 1 - np.where(usable, overlaps[place], -1.0)[:, ::-1].argmax(axis=1)
        takes = np.flatnonzero(usable.any(axis=1))
        left[takes, taken[takes]] = False
        right[:, place] = hit
        ignored[takes, place] = ~hit[takes]
    sizes = _areas(boxes)
    ignored |= ~right & ((sizes < area[0]) | (sizes > area[1]))
    return _Part(classes, found.scores[chosen].astype(np.float64), right, ignored)


def _joined(parts: Sequence[_Part], truths: npt.NDArray[np.int64]) -> Matches:
    nothing = np.zeros((len(IOU_THRESHOLDS), 0), np.bool_)
    picture = np.repeat(np.arange(len(parts)), [len(part.scores) for part in parts]).astype(np.int64)
    classes = np.concatenate([np.zeros(0, np.int64), *(part.classes for part in parts)])
    scores = np.concatenate([np.zeros(0), *(part.scores for part in parts)])
    right = np.concatenate([nothing, *(part.right for part in parts)], axis=1)
    ignored = np.concatenate([nothing, *(part.ignored for part in parts)], axis=1)
    order = np.lexsort((-scores, classes))  # stable: parts come picture by picture
    return Matches(picture[order], classes[order], scores[order], right[:, order], ignored[:, order], truths)


# ---- adding up ----


def _precision_of_class(
    right: npt.NDArray[np.bool_],
    ignored: npt.NDArray[np.bool_],
    counted: npt.NDArray[np.float64],
    to_find: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Average precision of one class: float64 [draws, thresholds]. ``right``, ``ignored`` bool [thresholds, n]; ``counted``
    [draws, n]: weights of the detections' pictures; ``to_find`` [draws].

    Precision falls with every wrong detection and rises only with a right one, so that the best precision from any recall
    on is reached at a right detection: nothing else has to be looked at.
    """
    values = np.zeros((len(counted), len(right)))
    values[to_find == 0] = np.nan
    before: npt.NDArray[np.bool_] | None = None
    for place in range(len(right)):
        if before is None or not np.array_equal(ignored[place], before):  # mostly the same at all thresholds
            before = ignored[place]
            so_far = np.cumsum(np.where(before, 0.0, counted), axis=1)
        hits = np.flatnonzero(right[place] & ~before)
        right_so_far = np.cumsum(counted[:, hits], axis=1)
        precision = right_so_far / np.maximum(so_far[:, hits], 1.0)  # whole numbers: only 0 of 0 is changed
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = right_so_far / np.maximum(to_find, 1.0)[:, None]
        reached = _recalls_up_to(recall)
        values[:, place] += (best * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)
    return values


def _recalls_up_to(recall: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many of ``RECALLS`` are not above each of ``recall``, 0…1: looks at the nearest one, where a search looks at seven."""
    nearest = np.rint(recall * 100).astype(np.int64)
    return np.where(RECALLS[nearest] <= recall, nearest + 1, nearest)


def _areas(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def _shared(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The areas that boxes have in common; ``a`` and ``b`` [..., 4] as NumPy broadcasts them."""
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    return np.asarray(np.maximum(width, 0.0) * np.maximum(height, 0.0))


def _ratio(shared: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0))


def _check_classes(values: npt.NDArray[np.int64], classes: int) -> None:
    if len(values) and not (values.min() >= 0 and values.max() < classes):
        raise InputError(f"expected classes of 0…{classes - 1}, got {values.min()}…{values.max()}")
