"""The loops over a network's outputs that Python is too slow for: softmax, top-k, non-maximum suppression.

These functions check their arguments; ``kernels/nms.cpp`` and ``kernels/scores.cpp`` compute, without Python's lock. All
take read-only arrays and any strides, and leave their arguments as they are.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgevision import _native
from edgevision.errors import InputError

IOU_THRESHOLD = 0.7
SCORE_THRESHOLD = 0.25
MAX_DETECTIONS = 300

_Float = TypeVar("_Float", np.float32, np.float64)
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_TEMPERATURES = {dtype: (float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)) for dtype in _FLOATS}


def softmax(logits: npt.NDArray[_Float], temperature: float = 1.0) -> npt.NDArray[_Float]:
    """``logits`` n×k, float32 or float64 → probabilities n×k of the same dtype: exp(x/T) / Σ exp(x/T) in each row.

    Stable: the row's largest value is subtracted first, so nothing overflows. A logit of -inf gives 0. float32
    probabilities under 2⁻¹²⁶ times the row's largest come out as 0. ``temperature`` T > 0 is that of Guo et al. 2017,
    "On calibration of modern neural networks".

    Raises InputError for another shape or dtype, a temperature that is not a finite number above 0, and, naming the
    row, for NaN, +inf, and a row of nothing but -inf.

    >>> softmax(np.array([[2.0, 0.0, -np.inf]])).round(3).tolist()
    [[0.881, 0.119, 0.0]]
    """
    _require_array("logits", logits, (2,), _FLOATS, "[n, k]")
    least, most = _TEMPERATURES[logits.dtype]
    if not _is_number(temperature) or not least <= temperature <= most:
        raise InputError(f"temperature is a finite number above 0 (a normal {logits.dtype}), got {temperature!r}")
    out = np.empty(logits.shape, logits.dtype)
    row = _native.softmax(_dense(logits), float(temperature), out)
    if row >= 0:
        raise InputError(
            f"expected logits that are finite or -inf, not all -inf in a row; row {row} is not so. "
            "The graph or its input is broken"
        )
    return out


def top_k(scores: npt.NDArray[_Float], count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[_Float]]:
    """The ``count`` largest of each row of ``scores`` n×k, float32 or float64: (indices int64 n×c, values n×c).

    Descending; equal scores by ascending index, so that the answer is the same everywhere. c = min(count, k).

    Raises InputError for another shape or dtype, a count under 1, and, naming the row, for NaN.

    >>> indices, values = top_k(np.array([[0.1, 0.7, 0.1, 0.1]]), 2)
    >>> indices.tolist(), values.tolist()
    ([[1, 0]], [[0.7, 0.1]])
    """
    _require_array("scores", scores, (2,), _FLOATS, "[n, k]")
    _require_count("count", count)
    rows, columns = scores.shape
    indices = np.empty((rows, min(count, columns)), np.int64)
    values = np.empty(indices.shape, scores.dtype)
    row = _native.top_k(_dense(scores), indices, values)
    if row >= 0:
        raise InputError(f"expected scores without NaN; row {row} holds NaN. The graph or its input is broken")
    return indices, values


def nms(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    classes: npt.NDArray[np.integer[Any]] | None = None,
    iou_threshold: float = IOU_THRESHOLD,
    score_threshold: float = SCORE_THRESHOLD,
    max_detections: int | None = MAX_DETECTIONS,
) -> list[npt.NDArray[np.int64]]:
    """Greedy non-maximum suppression within each class → for each item of the batch, indices of the kept boxes.

    ``boxes`` b×n×4 float32 as x1 y1 x2 y2, ``scores`` b×n float32, ``classes`` b×n of any integer dtype, or None where
    every box competes with every other. One item may come without the batch axis: n×4, n, n; the list then has one
    entry. A list of arrays, because that is how a decoder goes on: ``boxes[i][kept]`` for each frame, without padding
    to cut off.

    From the best score down (equal scores by ascending index), a box with ``score > score_threshold``, compared in
    float32 as NumPy does, is kept unless a box of its class kept before has ``IoU > iou_threshold`` with it; each item
    stops at ``max_detections`` (None: no limit). The defaults are those of ultralytics' ``predict``.

    Decisions equal torchvision.ops.nms per class to the last bit: same float32 IoU, and classes are kept apart rather
    than shifted by an offset, which would round the coordinates.

    Odd boxes, as torchvision treats them: an empty or inverted one (x2 ≤ x1 or y2 ≤ y1) overlaps with nothing, so it
    stays; neither is an overlap seen where the areas overflow float32. Unlike there, boxes with a NaN or infinite
    coordinate are left out: they have no place in a picture.

    Raises InputError for another shape or dtype, thresholds outside 0…1 (``iou_threshold``) or NaN, ``max_detections``
    under 1, and for NaN among the scores.

    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9]], np.float32)
    >>> nms(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([1, 1, 2]))[0].tolist()
    [0, 2]
    """
    _require_array("boxes", boxes, (2, 3), _FLOATS[:1], "[b, n, 4] or [n, 4]")
    if boxes.shape[-1] != 4:
        raise InputError(f"expected boxes [b, n, 4] or [n, 4] as x1 y1 x2 y2, got shape {boxes.shape}")
    _require_array("scores", scores, (boxes.ndim - 1,), _FLOATS[:1], "[b, n] for boxes [b, n, 4]")
    _require_same_shape("scores", scores, boxes)
    if classes is not None:
        _require_integers(classes)
        _require_same_shape("classes", classes, boxes)
        classes = _dense(classes.astype(np.int64, copy=False))
    if not _is_number(iou_threshold) or not 0 <= iou_threshold <= 1:
        raise InputError(f"iou_threshold is a number 0…1, got {iou_threshold!r}")
    if not _is_number(score_threshold) or math.isnan(score_threshold):
        raise InputError(f"score_threshold is a number, -inf for every box, got {score_threshold!r}")
    if max_detections is not None:
        _require_count("max_detections", max_detections)

    if boxes.ndim == 2:
        boxes, scores, classes = boxes[None], scores[None], None if classes is None else classes[None]
    items, n, _ = boxes.shape
    kept = np.empty((items, n if max_detections is None else min(n, max_detections)), np.int64)
    counts = np.empty(items, np.int64)
    # Of the boxes only candidates are read, by their strides: YOLO's 4×n output, transposed, is not copied.
    usable = boxes.flags.aligned and not any(stride % boxes.itemsize for stride in boxes.strides)
    nan = _native.nms(
        boxes if usable else _dense(boxes), _dense(scores), classes,
        float(iou_threshold), float(score_threshold), kept, counts,
    )  # fmt: skip
    if nan >= 0:
        item, box = divmod(nan, n)
        raise InputError(
            f"expected scores without NaN; item {item}, box {box} is NaN. The graph or its input is broken"
        )
    return [row[:count].copy() for row, count in zip(kept, counts, strict=True)]


def _require_array(
    name: str, array: object, ndims: tuple[int, ...], dtypes: tuple[np.dtype[Any], ...], shape: str
) -> None:
    if isinstance(array, np.ndarray) and array.dtype in dtypes and array.ndim in ndims:
        return
    expected = f"expected {name} {shape}, a NumPy array of {' or '.join(dtype.name for dtype in dtypes)}"
    if not isinstance(array, np.ndarray):
        raise InputError(f"{expected}; got {type(array).__name__}. numpy.asarray makes one")
    if array.dtype not in dtypes:
        raise InputError(f"{expected}; got {array.dtype}. .astype({dtypes[0].name!r}) makes one")
    raise InputError(f"{expected}; got shape {array.shape}")


def _require_integers(classes: object) -> None:
    expected = "expected classes [b, n] for boxes [b, n, 4], a NumPy array of integers that fit int64"
    if not isinstance(classes, np.ndarray):
        raise InputError(f"{expected}; got {type(classes).__name__}. numpy.asarray makes one")
    if not np.can_cast(classes.dtype, np.int64) or classes.dtype.kind not in "iu":
        raise InputError(f"{expected}; got {classes.dtype}. .astype('int64') makes one")


def _require_same_shape(name: str, array: npt.NDArray[Any], boxes: npt.NDArray[Any]) -> None:
    if array.shape != boxes.shape[:-1]:
        raise InputError(f"expected {name} {boxes.shape[:-1]}, one for each box, got shape {array.shape}")


def _require_count(name: str, count: object) -> None:
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
        raise InputError(f"{name} is a whole number from 1, got {count!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _dense(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array itself where it is dense and aligned, else a copy that is."""
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C")
