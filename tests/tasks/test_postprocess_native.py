"""What holds for all of postprocessing: bounds, what the native functions refuse, threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from arrays import random_boxes, table, views

from edgevision.tasks.postprocess import nms

pytestmark = pytest.mark.requires("native")

DTYPES = [np.float32, np.float64]


def zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


BOXES, SCORES, CLASSES = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3), np.float32), np.zeros((2, 3), np.int64)
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
