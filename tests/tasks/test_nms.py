"""nms against the definition in float64, and against torchvision."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import random_boxes, views

from edgevision.errors import InputError
from edgevision.tasks.postprocess import nms

pytestmark = pytest.mark.requires("native")

DTYPES = [np.float32, np.float64]


def reference_nms(boxes, scores, classes, iou_threshold, score_threshold) -> list[int]:
    """From the definition, in float64: greedy from the best score down, within each class."""
    boxes = boxes.astype(np.float64)
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if not scores[i] > np.float32(score_threshold) or not np.isfinite(boxes[i]).all():
            continue
        rivals = [j for j in kept if classes is None or classes[j] == classes[i]]
        if all(iou(boxes[i], boxes[j]) <= iou_threshold for j in rivals):
            kept.append(i)
    return kept


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return float(common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common))


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16, 17, 100, 300, 700])
@pytest.mark.parametrize("classes", [None, 1, 5])
@pytest.mark.parametrize("iou_threshold", [0.0, 0.30001, 0.70001, 1.0])  # no IoU is that
def test_nms_is_the_definition(n, classes, iou_threshold):
    rng = np.random.default_rng(n)
    boxes = np.round(random_boxes(n, seed=n, side=200))  # whole pixels: but for the division, float32 is exact too
    scores = rng.integers(0, 50, n).astype(np.float32) / 50  # with ties
    ids = None if classes is None else rng.integers(-3, classes - 3, n)
    (kept,) = nms(boxes, scores, ids, iou_threshold, 0.2, None)
    assert kept.tolist() == reference_nms(boxes, scores, ids, iou_threshold, 0.2)
    assert kept.dtype == np.int64


@pytest.mark.requires("torch")
@pytest.mark.parametrize("n", [1001, 8400, 25200])  # from 1001 boxes on torchvision shifts no coordinates
@pytest.mark.parametrize("classes", [1, 80])
@pytest.mark.parametrize("iou_threshold", [0.2, 0.45, 0.6, 0.7])
def test_nms_is_torchvisions(n, classes, iou_threshold):
    import torch
    from torchvision.ops import batched_nms

    rng = np.random.default_rng(n + classes)
    boxes = random_boxes(n, seed=n)
    boxes[: n // 3] = np.round(boxes[: n // 3] / 16) * 16  # many IoUs that are simple fractions, such as the thresholds
    scores = rng.permutation(n).astype(np.float32) / n  # torchvision leaves the order of ties open
    scores[n // 10 :] *= 0.05 if classes == 1 else 1.0  # torchvision takes seconds for 25200 boxes of one class
    ids = rng.integers(0, classes, n)
    candidates = np.flatnonzero(scores > 0.05)
    tensors = (torch.from_numpy(array[candidates]) for array in (boxes, scores, ids))
    expected = candidates[batched_nms(*tensors, iou_threshold).numpy()]
    for limit in (None, 300):
        (kept,) = nms(boxes, scores, ids, iou_threshold, 0.05, limit)
        np.testing.assert_array_equal(kept, expected[:limit])


@pytest.mark.requires("torch")
def test_odd_boxes_are_treated_as_torchvision_treats_them():
    import torch
    from torchvision.ops import nms as torchvision_nms

    rng = np.random.default_rng(4)
    boxes = random_boxes(2000, seed=4)
    boxes[::7] = boxes[::7][:, [2, 1, 0, 3]]  # x2 < x1
    boxes[1::7] = boxes[1::7][:, [2, 3, 0, 1]]  # both inverted: the area comes out positive
    boxes[2::7, 2] = boxes[2::7, 0]  # no width
    boxes[3::70] = [-3e38, -3e38, 3e38, 3e38]  # width and area overflow
    boxes[4::70] = 7.0
    scores = rng.permutation(2000).astype(np.float32)
    expected = torchvision_nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.3).numpy()
    np.testing.assert_array_equal(nms(boxes, scores, None, 0.3, -np.inf, None)[0], expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("coordinate", range(4))
def test_a_box_that_is_nowhere_is_left_out(value, coordinate):
    boxes = random_boxes(50, seed=1)
    scores = np.linspace(0.9, 0.3, 50, dtype=np.float32)
    without = nms(boxes[1:], scores[1:])[0] + 1
    boxes[0, coordinate] = value
    np.testing.assert_array_equal(nms(boxes, scores)[0], without)


@pytest.mark.parametrize(
    ("boxes", "scores", "classes", "options", "expected"),
    [
        pytest.param([], [], [], {}, [], id="none"),
        pytest.param([[0, 0, 9, 9]], [0.9], [4], {}, [0], id="one"),
        pytest.param([[0, 0, 9, 9]], [0.9], None, {}, [0], id="one-without-class"),
        pytest.param([[0, 0, 9, 9]] * 40, [0.5] * 40, [1] * 40, {}, [0], id="all-the-same"),
        pytest.param([[0, 0, 9, 9]] * 3, [0.5, 0.9, 0.9], [1] * 3, {}, [1], id="tie-goes-to-the-lower-index"),
        pytest.param([[0, 0, 9, 9]] * 3, [0.5, 0.9, 0.7], [1, 2, 3], {}, [1, 2, 0], id="classes-do-not-compete"),
        pytest.param([[0, 0, 9, 9]] * 3, [0.5, 0.9, 0.7], None, {}, [1], id="without-classes-all-compete"),
        pytest.param([[0, 0, 9, 9]] * 2, [0.5, 0.9], [-(2**63), 2**63 - 1], {}, [1, 0], id="any-int64-is-a-class"),
        pytest.param([[0, 0, 9, 9]] * 2, [0.25, 0.2500001], [1, 2], {}, [1], id="scores-above-not-at-the-threshold"),
        pytest.param([[0, 0, 9, 9]], [0.1], [1], {"score_threshold": 0.1}, [], id="compared-in-float32"),
        pytest.param([[0, 0, 8, 8], [0, 0, 8, 4]], [0.9, 0.8], None, {"iou_threshold": 0.5}, [0, 1], id="iou-at-threshold"),
        pytest.param([[0, 0, 8, 8], [0, 0, 8, 4.01]], [0.9, 0.8], None, {"iou_threshold": 0.5}, [0], id="iou-above"),
        pytest.param([[0, 0, 8, 8], [8, 0, 9, 8]], [0.9, 0.8], None, {"iou_threshold": 0}, [0, 1], id="touching"),
        pytest.param([[0, 0, 9, 9]] * 2, [0.9, 0.8], None, {"iou_threshold": 1}, [0, 1], id="iou-1-suppresses-nothing"),
        pytest.param([[5, 5, 5, 5]] * 2, [0.9, 0.8], None, {}, [0, 1], id="empty-boxes-overlap-with-nothing"),
        pytest.param([[0, 0, 9, 9]] * 2, [np.inf, -np.inf], [1, 2], {}, [0], id="infinite-scores"),
        pytest.param([[i, 0, i + 1, 1] for i in range(9)], [0.9] * 9, None, {"max_detections": 4}, [0, 1, 2, 3], id="limit"),
        pytest.param([[0, 0, 9, 9]] * 2, [-1.0, -2.0], [1, 2], {"score_threshold": -np.inf}, [0, 1], id="no-threshold"),
        pytest.param([[0, 0, 9, 9]] * 2, [-0.0, 0.0], None, {"score_threshold": -1}, [0], id="minus-zero-ties-with-zero"),
        pytest.param(
            [[2**24, 0, 2**24 + 8, 8], [2**24 + 6, 0, 2**24 + 14, 8]], [0.9, 0.8], [0, 1000], {"iou_threshold": 0}, [0, 1],
            id="far-out-boxes-keep-their-precision",
        ),
    ],
)  # fmt: skip
def test_small_cases(boxes, scores, classes, options, expected):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    ids = None if classes is None else np.array(classes, np.int64)
    (kept,) = nms(boxes, np.array(scores, np.float32), ids, **options)
    assert kept.tolist() == expected


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_a_batch_is_its_items(dtype):
    rng = np.random.default_rng(3)
    boxes = np.stack([random_boxes(600, seed) for seed in range(4)])
    scores = rng.uniform(0, 1, (4, 600)).astype(np.float32)
    scores[2] = 0  # nothing there
    classes = rng.integers(0, 7, (4, 600)).astype(dtype)
    kept = nms(boxes, scores, classes, 0.4)
    assert [len(rows) for rows in kept][2] == 0
    for i, rows in enumerate(kept):
        np.testing.assert_array_equal(rows, nms(boxes[i], scores[i], classes[i], 0.4)[0])
        assert rows.tolist() == reference_nms(boxes[i], scores[i], classes[i], 0.4, 0.25)[:300]


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
def test_empty_batches(shape):
    kept = nms(np.zeros((*shape, 4), np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.int32))
    assert [rows.tolist() for rows in kept] == [[]] * shape[0]


def test_the_order_of_the_boxes_does_not_matter():
    rng = np.random.default_rng(9)
    boxes, scores, classes = random_boxes(3000), rng.permutation(3000).astype(np.float32), rng.integers(0, 9, 3000)
    order = rng.permutation(3000)
    (kept,) = nms(boxes, scores, classes, 0.3)
    (shuffled,) = nms(boxes[order], scores[order], classes[order], 0.3)
    np.testing.assert_array_equal(order[shuffled], kept)


@pytest.mark.parametrize("view", ["every second", "reversed", "fortran", "unaligned", "in records", "read-only"])
def test_boxes_of_any_layout(view):
    rng = np.random.default_rng(5)
    boxes = np.stack([random_boxes(90, seed) for seed in range(3)])
    scores = rng.uniform(0, 1, (3, 90)).astype(np.float32)
    classes = rng.integers(0, 3, (3, 90))
    other = [views(array)[view] for array in (boxes, scores, classes)]
    for a, b in zip(nms(*other, 0.3), nms(boxes, scores, classes, 0.3), strict=True):
        np.testing.assert_array_equal(a, b)


def test_yolos_transposed_output():
    output = np.ascontiguousarray(random_boxes(500).T)[None]  # [1, 4, n]
    scores = np.random.default_rng(0).uniform(0, 1, (1, 500)).astype(np.float32)
    np.testing.assert_array_equal(nms(output.transpose(0, 2, 1), scores)[0], nms(random_boxes(500), scores[0])[0])


BOXES, SCORES, CLASSES = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3), np.float32), np.zeros((2, 3), np.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": BOXES.astype(np.float64)}, "boxes .* NumPy array of float32; got float64"),
        ({"boxes": BOXES[:, :, :3]}, r"x1 y1 x2 y2, got shape \(2, 3, 3\)"),
        ({"boxes": BOXES[0, 0]}, r"got shape \(4,\)"),
        ({"boxes": BOXES.tolist()}, "got list"),
        ({"scores": SCORES.astype(np.float16)}, "scores .* got float16"),
        ({"scores": SCORES[0]}, r"got shape \(3,\)"),
        ({"scores": SCORES[:, :2]}, r"scores \(2, 3\), one for each box, got shape \(2, 2\)"),
        ({"classes": CLASSES[:1]}, r"classes \(2, 3\), one for each box, got shape \(1, 3\)"),
        ({"classes": CLASSES.astype(np.float32)}, "classes .* integers that fit int64; got float32"),
        ({"classes": CLASSES.astype(np.uint64)}, "got uint64"),
        ({"classes": CLASSES.astype(bool)}, "got bool"),
        ({"classes": CLASSES.tolist()}, "got list"),
        ({"iou_threshold": 1.01}, "iou_threshold is a number 0…1, got 1.01"),
        ({"iou_threshold": -0.1}, "iou_threshold"),
        ({"iou_threshold": np.nan}, "iou_threshold"),
        ({"iou_threshold": "0.5"}, "iou_threshold"),
        ({"score_threshold": np.nan}, "score_threshold"),
        ({"score_threshold": None}, "score_threshold"),
        ({"max_detections": 0}, "max_detections is a whole number from 1, got 0"),
        ({"max_detections": 2.0}, "max_detections"),
    ],
)
def test_nms_says_what_is_wrong(change, message):
    with pytest.raises(InputError, match=message):
        nms(**{"boxes": BOXES, "scores": SCORES, "classes": CLASSES, **change})


@pytest.mark.parametrize("box", [0, 16, 39])
def test_nms_names_the_score_that_is_nan(box):
    scores = np.zeros((3, 40), np.float32)
    scores[1, box] = np.nan
    with pytest.raises(InputError, match=f"item 1, box {box} is NaN"):
        nms(np.zeros((3, 40, 4), np.float32), scores)
