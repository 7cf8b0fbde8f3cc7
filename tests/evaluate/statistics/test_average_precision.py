from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from scenes import scene

from edgevision.errors import InputError
from edgevision.evaluate.statistics import average_precision as average_precision_module
from edgevision.evaluate.statistics.average_precision import (
    AREAS,
    EVERY_AREA,
    Found,
    Marked,
    average_precision,
    iou_matrix,
    match,
    mean_average_precision,
    precision_at_recalls,
)


def as_coco(found: list[Found], marked: list[Marked], classes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same in COCO's words. Ids begin at 1: pycocotools takes 0 for "not found"."""

    def xywh(box: Any) -> list[float]:
        x1, y1, x2, y2 = map(float, box)
        return [x1, y1, x2 - x1, y2 - y1]

    truths = [
        {"id": 0, "image_id": i + 1, "category_id": int(c) + 1, "bbox": xywh(b), "area": float(a), "iscrowd": int(k)}
        for i, one in enumerate(marked)
        for b, c, k, a in zip(one.boxes, one.classes, one.crowd, one.areas, strict=True)
    ]
    for number, truth in enumerate(truths, 1):
        truth["id"] = number
    images = [{"id": i + 1, "width": 1000, "height": 1000} for i in range(len(marked))]
    categories = [{"id": c + 1, "name": str(c)} for c in range(classes)]
    detections = [
        {"image_id": i + 1, "category_id": int(c) + 1, "bbox": xywh(b), "score": float(s)}
        for i, one in enumerate(found)
        for b, c, s in zip(one.boxes, one.classes, one.scores, strict=True)
    ]
    return {"images": images, "annotations": truths, "categories": categories}, detections


def pycocotools_precision(found: list[Found], marked: list[Marked], classes: int, ranges: dict[str, Any]) -> Any:
    """pycocotools' own average precision, [areas, thresholds, classes]; NaN where it says -1."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, detections = as_coco(found, marked, classes)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO()
        dataset.dataset = truth
        dataset.createIndex()
        run = COCOeval(dataset, dataset.loadRes(detections), "bbox")
        run.params.areaRng = [list(value) for value in ranges.values()]
        run.params.areaRngLbl = list(ranges)
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][..., -1]  # [thresholds, recalls, classes, areas], at most 100 detections
    value = np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1))
    return np.moveaxis(value, -1, 0)


@pytest.mark.requires("pycocotools")
@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (0, {}),
        (1, {"crowds": 0.5}),  # most of a class may be crowds
        (2, {"levels": 2}),  # nearly all scores tie
        (3, {"levels": 1}),
        (4, {"classes": 2, "unseen": 0}),
        (5, {"pictures": 3, "classes": 8, "unseen": 5}),
        (6, {"levels": 10**6, "crowds": 0.0}),
    ],
)
def test_equals_pycocotools_in_every_area_threshold_and_class(seed, options):
    found, marked = scene(seed, **options)
    classes = options.get("classes", 5)
    ranges = {"all": EVERY_AREA, **AREAS}
    expected = pycocotools_precision(found, marked, classes, ranges)
    for place, area in enumerate(ranges.values()):
        own = average_precision(match(found, marked, classes, area))[0]
        np.testing.assert_allclose(own, expected[place], rtol=0, atol=1e-12)
    assert np.isfinite(expected).any()


@pytest.mark.requires("pycocotools")
def test_only_the_best_hundred_of_a_class_in_a_picture_count():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 900, (160, 2))
    boxes = np.concatenate([corner, corner + 20], axis=1)
    marked = [Marked(boxes, np.zeros(160, np.int64), np.zeros(160, np.bool_), np.full(160, 400.0))]
    found = [Found(boxes, rng.random(160), np.zeros(160, np.int64))]
    own = average_precision(match(found, marked, 1))[0]
    np.testing.assert_allclose(own, pycocotools_precision(found, marked, 1, {"all": EVERY_AREA})[0], atol=1e-12)
    assert own[0, 0] == pytest.approx(63 / 101)  # 100 of 160 boxes: recalls 0 … 0.62


def test_weights_are_pictures_given_so_often(monkeypatch):
    found, marked = scene(7, pictures=12, levels=10**6)  # no ties: copies of a picture would not stay together
    rng = np.random.default_rng(1)
    weights = rng.multinomial(12, np.full(12, 1 / 12), size=40)
    monkeypatch.setattr(average_precision_module, "_VALUES_AT_ONCE", 100)  # a few draws at a time
    drawn = average_precision(match(found, marked, 5), weights)
    for own, counts in zip(drawn, weights, strict=True):
        again = [i for i, count in enumerate(counts) for _ in range(count)]
        repeated = match([found[i] for i in again], [marked[i] for i in again], 5)
        np.testing.assert_allclose(own, average_precision(repeated)[0], atol=1e-12)


BOX = np.array([[10.0, 10.0, 30.0, 30.0]])


def one(scores: list[float], boxes: list[list[float]], classes: list[int] | None = None) -> list[Found]:
    return [Found(np.array(boxes).reshape(-1, 4), np.array(scores), np.array(classes or [0] * len(scores), np.int64))]


def marked_box(*, crowd: bool = False) -> list[Marked]:
    return [Marked(BOX, np.array([0]), np.array([crowd]), np.array([400.0]))]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (one([0.9], [[10, 10, 30, 30]]), 1.0),
        (one([], []), 0.0),
        (one([0.9, 0.8], [[100, 100, 120, 120], [10, 10, 30, 30]]), 0.5),  # the wrong one comes first
        (one([0.8, 0.9], [[100, 100, 120, 120], [10, 10, 30, 30]]), 1.0),  # … and here last
        (one([0.9, 0.9], [[10, 10, 30, 30], [10, 10, 30, 30]]), 1.0),  # found twice: the second is wrong, and later
        (one([0.9], [[10, 10, 30, 30]], [1]), 0.0),  # of another class
        (one([0.9], [[10, 10, 30, 23]]), 0.4),  # IoU 0.65, and four thresholds up to it
    ],
)
def test_known_by_construction(found, expected):
    value = average_precision(match(found, marked_box(), 2))
    assert mean_average_precision(value)[0] == pytest.approx(expected)
    assert np.isnan(value[0, :, 1]).all()  # nothing of class 1 is to be found


def test_a_crowd_may_be_found_any_number_of_times_or_not_at_all():
    inside = one([0.9, 0.9, 0.9], [[10, 10, 20, 20], [12, 12, 18, 18], [100, 100, 120, 120]])
    value = match(inside, marked_box(crowd=True), 1)
    assert value.truths.sum() == 0
    assert value.ignored[0].tolist() == [True, True, False]
    assert np.isnan(mean_average_precision(average_precision(value)))[0]


def test_curves_are_what_average_precision_is_the_mean_of():
    found, marked = scene(8)
    matches = match(found, marked, 5)
    for threshold in (0, 5, 9):
        expected = average_precision(matches)[0, threshold]
        np.testing.assert_allclose(precision_at_recalls(matches, threshold).mean(axis=1), expected, atol=1e-12)


def test_iou_of_boxes_without_area_is_nothing():
    assert iou_matrix(np.array([[5.0, 5, 5, 9]]), np.array([[5.0, 5, 5, 9], [0, 0, 10, 10]])).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: match(one([], []), [], 1), "same pictures, got 1 and 0"),
        (lambda: match(one([0.5], [[0, 0, 1, 1]], [3]), marked_box(), 2), "classes of 0…1, got 3…3"),
        (lambda: average_precision(match(one([], []), marked_box(), 1), np.ones((1, 2))), r"\[draws, 1\]"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(InputError, match=message):
        call()
