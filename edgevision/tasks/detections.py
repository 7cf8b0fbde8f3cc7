"""What a detector gives for a frame: boxes as columns of arrays, with friendly rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError, MissingExtraError
from edgevision.tasks.results import FrameId, Label, Timing, fields_of

# What picks several rows: a slice, a mask of bools, or indices.
Rows: TypeAlias = slice | npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Detection:
    """One row. ``box``: x1 y1 x2 y2 in pixels of the frame; ``id`` and ``name`` of its class; ``score`` 0…1."""

    box: tuple[float, float, float, float]
    id: int
    name: str
    score: float


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in a frame, best first; may be nothing.

    ``boxes`` float32 [n, 4] as x1 y1 x2 y2 in pixels of the caller's frame, continuous (pixel ``i`` covers ``i … i + 1``);
    ``scores`` float32 [n], 0…1; ``classes`` int64 [n], places in ``labels``. Iteration gives rows, and so does an index;
    a slice, a mask or an array of indices gives Detections. Raises InputError for columns of another shape or dtype, and
    for classes that have no label.

    >>> found = Detections(
    ...     np.array([[10, 20, 50, 90], [60, 20, 80, 70]], np.float32), np.array([0.9, 0.4], np.float32),
    ...     np.array([1, 0]), (Label(7, "apple"), Label(9, "milk")), Timing(0, 0, 0),
    ... )
    >>> [(row.name, row.box) for row in found]
    [('milk', (10.0, 20.0, 50.0, 90.0)), ('apple', (60.0, 20.0, 80.0, 70.0))]
    >>> found[found.scores > 0.5].classes.tolist()
    [1]
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    labels: tuple[Label, ...]
    timing: Timing
    frame: FrameId = field(default_factory=FrameId)

    def __post_init__(self) -> None:
        count = len(self.boxes)
        _require("boxes", self.boxes, np.float32, (count, 4))
        _require("scores", self.scores, np.float32, (count,))
        _require("classes", self.classes, np.int64, (count,))
        if count and not (self.classes.min() >= 0 and self.classes.max() < len(self.labels)):
            raise InputError(f"expected classes 0…{len(self.labels) - 1}, places in the labels, got {self.classes}")

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Detection]:
        for box, score, place in zip(self.boxes.tolist(), self.scores.tolist(), self.classes.tolist(), strict=True):
            label = self.labels[place]
            yield Detection(tuple(box), label.id, label.name, score)

    @overload
    def __getitem__(self, key: int) -> Detection: ...

    @overload
    def __getitem__(self, key: Rows) -> Detections: ...

    def __getitem__(self, key: int | Rows) -> Detection | Detections:
        if isinstance(key, (int, np.integer)):
            label = self.labels[int(self.classes[key])]
            return Detection(tuple(self.boxes[key].tolist()), label.id, label.name, float(self.scores[key]))
        return replace(self, boxes=self.boxes[key], scores=self.scores[key], classes=self.classes[key])

    @property
    def names(self) -> list[str]:
        """The name of each row's class."""
        return [self.labels[place].name for place in self.classes.tolist()]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: ``detections``, a list of rows; ``timing``; ``frame``."""
        return {
            "detections": [{**fields_of(row), "box": list(row.box)} for row in self],
            "timing": fields_of(self.timing),
            "frame": fields_of(self.frame),
        }

    def to_supervision(self) -> Any:
        """The same as ``supervision.Detections``, for its annotators, trackers and metrics.

        ``class_id`` holds places in ``labels``, as supervision counts classes; ``data`` has ``class_name``, and the
        user's numbers as ``label_id``. Made for supervision 0.31 and later. Raises MissingExtraError where it is not
        installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("supervision", "", "Detections.to_supervision") from error
        ids = [self.labels[place].id for place in self.classes.tolist()]
        return supervision.Detections(
            xyxy=self.boxes.copy(), confidence=self.scores.copy(), class_id=self.classes.copy(),
            data={"class_name": np.array(self.names, dtype=str), "label_id": np.array(ids, dtype=np.int64)},
        )  # fmt: skip


def _require(name: str, array: object, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if isinstance(array, np.ndarray) and array.dtype == dtype and array.shape == shape:
        return
    got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
    raise InputError(f"expected {name} of detections as a {np.dtype(dtype).name} array of shape {shape}, got {got}")
