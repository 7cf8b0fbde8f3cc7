"""What a tracker is given: the boxes of one frame, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError


class Detected(Protocol):
    """Whatever has the three columns: ``boxes`` [n, 4] as x1 y1 x2 y2 in pixels, ``scores`` [n] in 0…1, ``classes`` [n], places in the
    model's labels. Where it has a ``frame`` as well, camera and capture time are taken from that."""

    @property
    def boxes(self) -> npt.NDArray[Any]: ...  # noqa: D102

    @property
    def scores(self) -> npt.NDArray[Any]: ...  # noqa: D102

    @property
    def classes(self) -> npt.NDArray[Any]: ...  # noqa: D102


class Columns(NamedTuple):
    """Checked columns: ``boxes`` float64 [n, 4], ``scores`` float64 [n], ``classes`` int64 [n]."""

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]


def check_columns(
    boxes: npt.NDArray[Any] | Sequence[Any],
    scores: npt.NDArray[Any] | Sequence[Any],
    classes: npt.NDArray[Any] | Sequence[Any],
) -> Columns:
    """The three as arrays. Raises InputError for other shapes, NaN, boxes whose ends are swapped, and classes that are none."""
    rows, values, kinds = (np.asarray(column, np.float64) for column in (boxes, scores, classes))
    if rows.size == 0 and values.size == 0 and kinds.size == 0:
        return Columns(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64))
    n = len(values) if values.ndim else 0
    if rows.shape != (n, 4) or values.shape != (n,) or kinds.shape != (n,):
        raise InputError(
            f"expected boxes [n, 4], scores [n] and classes [n], got shapes {rows.shape}, {values.shape} and {kinds.shape}"
        )
    _refuse(rows, ~np.isfinite(rows).all(axis=1), "boxes are finite numbers of pixels")
    _refuse(rows, (rows[:, 2:] < rows[:, :2]).any(axis=1), "boxes are x1 y1 x2 y2 with x1 ≤ x2 and y1 ≤ y2")
    _refuse(values, ~((values >= 0) & (values <= 1)), "scores are numbers of 0…1")
    _refuse(
        kinds,
        ~((kinds >= 0) & (kinds == np.floor(kinds)) & np.isfinite(kinds)),
        "classes are places in the labels, whole numbers from 0",
    )
    return Columns(rows, values, kinds.astype(np.int64))


def check_weights(weights: npt.NDArray[Any] | Sequence[Any] | None, n: int) -> npt.NDArray[np.float64]:
    """As an array [n]; None: all 1. Raises InputError for another shape, and for what is not finite or under 0."""
    values = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if values.shape != (n,):
        raise InputError(f"expected weights [{n}], one for each box, got shape {values.shape}")
    _refuse(values, ~(np.isfinite(values) & (values >= 0)), "weights are finite numbers, 0 or more")
    return values


def _refuse(column: npt.NDArray[np.float64], wrong: npt.NDArray[Any] | np.bool_, expected: str) -> None:
    """Raise InputError with the first row that is wrong, if any is."""
    for row in np.flatnonzero(wrong)[:1].tolist():
        raise InputError(f"{expected}, got {column[row].tolist()} in row {row}")


def time_of(detections: Detected, time_s: float | None) -> float:
    """Camera time in seconds: ``time_s``, or when the frame was captured. Raises InputError where both are missing."""
    captured_ns: Any = getattr(getattr(detections, "frame", None), "captured_ns", None)
    if time_s is None and captured_ns is None:
        raise InputError(
            "a tracker needs the time of each frame; make frames with captured_ns, or pass time_s (seconds of camera time)"
        )
    return float(captured_ns / 1e9 if time_s is None else time_s)


def camera_of(detections: Detected) -> str | None:
    """The name of the camera that the frame came from, if it is known."""
    camera = getattr(getattr(detections, "frame", None), "camera", None)
    return None if camera is None else str(camera)
