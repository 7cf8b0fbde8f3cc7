"""softmax, top_k and nms against NumPy in float64, against sorting, and against torchvision."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.tasks.postprocess import nms, softmax, top_k

pytestmark = pytest.mark.requires("native")

DTYPES = [np.float32, np.float64]
COLUMNS = [1, 3, 4, 5, 15, 16, 17, 33, 81, 1000, 1040]  # around the widths of the SIMD loops


def table(rows: int, columns: int, dtype: type = np.float32, seed: int = 0, spread: float = 5.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (rows, columns)).astype(dtype)


def random_boxes(n: int, seed: int = 0, side: float = 640.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    center, size = rng.uniform(0, side, (n, 2)), rng.uniform(5, side / 4, (n, 2))
    return np.concatenate([center - size / 2, center + size / 2], axis=1).astype(np.float32)


def reference_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    wide = logits.astype(np.longdouble)  # more than float64 where the platform has it, for float64 is tested too
    powers = np.exp((wide - wide.max(axis=1, keepdims=True)) / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


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


# softmax


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("temperature", [1.0, 0.3, 2.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_is_that_of_float64(columns, temperature, dtype):
    logits = table(7, columns, dtype, seed=columns)
    answer, expected = softmax(logits, temperature), reference_softmax(logits, temperature)
    assert answer.dtype == dtype
    # ln p, the exponent, is itself rounded: after subtracting, and as a product of two rounded factors.
    allowed = expected * np.finfo(dtype).eps * (4 + 2 * abs(np.log(expected))) + np.finfo(dtype).tiny
    assert (abs(answer - expected) <= allowed).all()
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)


def test_every_exponent_of_float32():
    """Two columns, 0 and -x: the second probability is e⁻ˣ / (1 + e⁻ˣ)."""
    x = np.linspace(0, 120, 20001, dtype=np.float32)
    logits = np.stack([np.zeros_like(x), -x], axis=1)
    expected = reference_softmax(logits, 1.0)
    np.testing.assert_allclose(softmax(logits), expected, rtol=4e-7, atol=np.finfo(np.float32).tiny)


def test_a_long_row_does_not_lose_small_terms():
    logits = np.zeros((1, 1_000_003), np.float32)
    np.testing.assert_allclose(softmax(logits), 1 / 1_000_003, rtol=2e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([[5.0, -np.inf]], [[1, 0]]),
        ([[-np.inf] * 20 + [-3.0]], [[0] * 20 + [1]]),
        ([[1e30, 1e30]], [[0.5, 0.5]]),
        ([[-1e30, 1e30]], [[0, 1]]),
        ([[1e4, 0.0] * 10], [[0.1, 0] * 10]),
    ],
)
def test_extreme_logits(dtype, logits, expected):
    np.testing.assert_allclose(softmax(np.array(logits, dtype)), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [2, 40])
@pytest.mark.parametrize("bad", [np.nan, np.inf, "all -inf"])
@pytest.mark.parametrize("column", [0, 1, -1])
def test_softmax_names_the_row_it_refuses(dtype, columns, bad, column):
    logits = table(5, columns, dtype)
    logits[3, slice(None) if bad == "all -inf" else column] = -np.inf if bad == "all -inf" else bad
    with pytest.raises(InputError, match="row 3 "):
        softmax(logits)


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf, 1e-60, 1e60, "1", True])
def test_softmax_refuses_a_temperature(temperature):
    with pytest.raises(InputError, match="temperature is a finite number above 0"):
        softmax(table(1, 3), temperature)


# top_k


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("count", [1, 2, 5, 32, 33, 100, 5000])
def test_top_k_is_a_stable_sort(dtype, columns, count):
    scores = table(6, columns, dtype, seed=columns)
    scores[1] = 0.5  # all equal
    scores[2] = np.arange(columns)  # each better than all before
    scores[3] = -np.arange(columns)
    scores[4] = np.random.default_rng(columns).integers(0, 4, columns)  # ties
    scores[5, ::2] = -np.inf
    indices, values = top_k(scores, count)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))
    assert indices.dtype == np.int64
    assert values.dtype == dtype


def test_zero_and_minus_zero_are_equal_scores():
    indices, _ = top_k(np.array([[-0.0, 0.0, -0.0, 0.0]]), 3)
    assert indices.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 40, 100])
@pytest.mark.parametrize("column", [0, 39, 40, 70, -1])
def test_top_k_names_the_row_with_nan(dtype, count, column):
    scores = table(4, 100, dtype)
    scores[2, column] = np.nan
    with pytest.raises(InputError, match="row 2 holds NaN"):
        top_k(scores, count)


@pytest.mark.parametrize("count", [0, -1, 1.0, True, None])
def test_top_k_refuses_a_count(count):
    with pytest.raises(InputError, match="count is a whole number from 1"):
        top_k(table(1, 3), count)


# softmax and top_k alike


@pytest.mark.parametrize("function", [softmax, lambda array: top_k(array, 2)], ids=["softmax", "top_k"])
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3), np.float16), "float32 or float64; got float16"),
        (np.zeros((2, 3), np.int64), "got int64"),
        (np.zeros((2, 3), np.dtype(np.float32).newbyteorder()), "got [<>]f4"),
        (np.zeros(3, np.float32), r"got shape \(3,\)"),
        (np.zeros((1, 2, 3), np.float32), r"got shape \(1, 2, 3\)"),
        ([[0.0, 1.0]], "got list"),
    ],
)
def test_tables_of_another_kind_are_refused(function, array, message):
    with pytest.raises(InputError, match=message):
        function(array)


@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (0, 0)])
def test_empty_tables(shape):
    empty = np.zeros(shape, np.float32)
    assert softmax(empty).shape == shape
    indices, values = top_k(empty, 3)
    assert indices.shape == values.shape == (shape[0], min(3, shape[1]))


def views(array: np.ndarray) -> dict[str, np.ndarray]:
    """The same values laid out in other ways."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    packed = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = packed[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    record = np.zeros(array.shape, [("flag", np.uint8), ("value", array.dtype)])
    record["value"] = array
    frozen = array.copy()
    frozen.setflags(write=False)
    return {
        "every second": wide[..., ::2],
        "reversed": np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
        "fortran": np.asfortranarray(array),
        "unaligned": unaligned,
        "in records": record["value"],  # strides that are no multiple of the item
        "read-only": frozen,
    }


@pytest.mark.parametrize("view", ["every second", "reversed", "fortran", "unaligned", "in records", "read-only"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout_gives_the_same_answer(view, dtype):
    array = table(6, 35, dtype)
    other = views(array)[view]
    np.testing.assert_array_equal(softmax(other), softmax(array))
    for a, b in zip(top_k(other, 4), top_k(array, 4), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(other, array)  # left as it was


# nms


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


# The native functions by themselves: whatever they are given, they write into the arrays they are given, or refuse.


def zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


KEPT, COUNTS = zeros(2, 3, dtype=np.int64), zeros(2, dtype=np.int64)
INDICES, VALUES = zeros(2, 2, dtype=np.int64), zeros(2, 2)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("nms", (BOXES[:, :, :3], SCORES, CLASSES, 0.5, 0.5, KEPT, COUNTS)),
        ("nms", (BOXES.astype(np.float64), SCORES, CLASSES, 0.5, 0.5, KEPT, COUNTS)),
        ("nms", (BOXES, SCORES[:, :2].copy(), CLASSES, 0.5, 0.5, KEPT, COUNTS)),
        ("nms", (BOXES, SCORES[:, ::2], CLASSES, 0.5, 0.5, KEPT, COUNTS)),
        ("nms", (BOXES, SCORES, CLASSES[:1], 0.5, 0.5, KEPT, COUNTS)),
        ("nms", (BOXES, SCORES, CLASSES.astype(np.int32), 0.5, 0.5, KEPT, COUNTS)),
        ("nms", (BOXES, SCORES, CLASSES, np.nan, 0.5, KEPT, COUNTS)),
        ("nms", (BOXES, SCORES, CLASSES, 0.5, np.nan, KEPT, COUNTS)),
        ("nms", (BOXES, SCORES, CLASSES, 0.5, 0.5, KEPT[:1], COUNTS)),
        ("nms", (BOXES, SCORES, CLASSES, 0.5, 0.5, KEPT, COUNTS[:1])),
        ("nms", (BOXES, SCORES, CLASSES, 0.5, 0.5, KEPT.astype(np.int32), COUNTS)),
        ("nms", (BOXES, SCORES, CLASSES, 0.5, 0.5, frozen(KEPT.copy()), COUNTS)),
        ("nms", (views(BOXES)["unaligned"], SCORES, CLASSES, 0.5, 0.5, KEPT, COUNTS)),
        ("nms", (views(BOXES)["in records"], SCORES, CLASSES, 0.5, 0.5, KEPT, COUNTS)),
        ("softmax", (zeros(2, 3), 0.0, zeros(2, 3))),
        ("softmax", (zeros(2, 3), 1e-60, zeros(2, 3))),
        ("softmax", (zeros(2, 3), 1.0, zeros(2, 2))),
        ("softmax", (zeros(2, 3), 1.0, zeros(2, 3, dtype=np.float64))),
        ("softmax", (zeros(2, 3), 1.0, zeros(2, 6)[:, ::2])),
        ("softmax", (zeros(2, 3), 1.0, frozen(zeros(2, 3)))),
        ("top_k", (zeros(2, 1), INDICES, VALUES)),
        ("top_k", (zeros(3, 3), INDICES, VALUES)),
        ("top_k", (zeros(2, 3), INDICES, VALUES[:, :1].copy())),
        ("top_k", (zeros(2, 3), INDICES.T, VALUES)),
        ("top_k", (zeros(2, 3, dtype=np.float64), INDICES, VALUES)),
        ("top_k", ([[1.0, 2.0]], INDICES, VALUES)),
    ],
)
def test_the_native_functions_refuse_what_does_not_fit(function, arguments):
    from edgevision import _native

    with pytest.raises((TypeError, ValueError)):
        getattr(_native, function)(*arguments)


def test_nothing_is_written_outside_the_outputs():
    from edgevision import _native

    n, limit = 50, 6
    boxes = np.stack([random_boxes(n, seed) for seed in range(3)])
    scores = np.random.default_rng(0).uniform(0.5, 1, (3, n)).astype(np.float32)
    kept, counts = np.full((5, limit), -7), np.full(5, -7)
    assert _native.nms(boxes, scores, None, 1.0, 0.0, kept[1:4], counts[1:4]) == -1
    assert counts.tolist() == [-7, limit, limit, limit, -7]
    assert (kept[[0, 4]] == -7).all()
    out = np.full((5, 37), -7, np.float32)
    assert _native.softmax(table(3, 37), 1.0, out[1:4]) == -1
    assert (out[[0, 4]] == -7).all()
    indices, values = np.full((5, 9), -7), np.full((5, 9), -7, np.float32)
    assert _native.top_k(table(3, 37), indices[1:4], values[1:4]) == -1
    assert (indices[[0, 4]] == -7).all()
    assert (values[[0, 4]] == -7).all()


def test_threads_may_call_at_once():
    boxes, scores = random_boxes(2000), np.random.default_rng(0).uniform(0, 1, 2000).astype(np.float32)
    expected = nms(boxes, scores)[0].tolist()
    answers: list[list[int]] = []
    threads = [threading.Thread(target=lambda: answers.append(nms(boxes, scores)[0].tolist())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 4
