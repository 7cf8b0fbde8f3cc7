"""What a Station asks a model, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from edgevision.errors import InputError
from edgevision.frames import Frame, ImageArray, PixelFormat
from edgevision.streams.served_model import ServedModel, as_stream_model
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tasks.results import Classification, Prediction

Box = tuple[float, float, float, float]
_MARGIN = 0.05  # of a product's picture, on each side: the edge tells people something


class Asked(Protocol):
    """A model of your own that a Station may ask. ``finds_boxes``: whether it answers with boxes (``Detections``, ``Products``), or with one
    ``Classification`` for a picture. ``classes``: how many products it knows."""

    finds_boxes: bool
    classes: int

    def predict_frames(self, frames: Sequence[Frame]) -> Sequence[Any]:
        """One result for each frame, in their order."""


@dataclass(frozen=True)
class Look:
    """What one answer says of one product. ``box``: x1 y1 x2 y2 in pixels of the frame that was shown; None: all of it."""

    box: Box | None
    predictions: tuple[Prediction, ...]
    known: bool


class Eyes:
    """A model as a Station uses it. ``finds_boxes``: whether it finds several products in a picture. ``classes``: how many it knows.

    ``model``: of ``edgevision.load``, or an object like ``Asked``. Raises InputError for anything else, and for a bundle that neither
    classifies nor finds boxes.
    """

    def __init__(self, model: Any) -> None:
        self._model: Any = model
        self._served: ServedModel | None = None
        if all(hasattr(model, name) for name in ("predict_frames", "finds_boxes", "classes")):
            self.finds_boxes = bool(model.finds_boxes)
            return
        served = as_stream_model(model)
        if not isinstance(served, ServedModel):
            raise InputError(
                f"expected a model of edgevision.load, or an object with predict_frames, finds_boxes and classes, got {type(model).__name__}"
            )
        from edgevision.tasks.registry import task_type

        kind = served.parts[0].task.spec.kind
        self._model = self._served = served
        self.finds_boxes = task_type(kind).finds_boxes
        if not self.finds_boxes and kind != "classify":
            raise InputError(
                f"a Station needs a model that classifies, one that finds boxes, or both as a cascade; got one that can {kind}"
            )

    @property
    def classes(self) -> int:
        """As of now, at least 1: a gallery may change, and a model of your own may learn more."""
        return max(1, int(self._model.classes) if self._served is None else len(self._served.parts[-1].labels))

    def look(self, frames: Sequence[Frame]) -> list[list[Look]]:
        """For each frame, what is seen in it. Raises what the model raises, and InputError for answers of another kind."""
        return [_looks_of(answer) for answer in self._model.predict_frames(frames)]


def _looks_of(answer: Any) -> list[Look]:
    if isinstance(answer, Classification):
        return [Look(None, answer.top, answer.known)]
    if isinstance(answer, Products):
        return [_look_at(row.detection.box, row.result, row.detection) for row in answer]
    if isinstance(answer, Detections):
        return [Look(row.box, (Prediction(row.id, row.name, row.score),), True) for row in answer]
    raise InputError(
        f"a Station understands Classification, Detections and Products, got {type(answer).__name__}; give a bundle that "
        "classifies or detects, or a cascade of both"
    )


def _look_at(box: Box, result: Any, detection: Any) -> Look:
    if isinstance(result, Classification):
        return Look(box, result.top, result.known)
    return Look(box, (Prediction(detection.id, detection.name, detection.score),), True)


# ---- parts of a frame ----


def part_of(frame: Frame, box: Box) -> Frame:
    """The part of ``frame`` in ``box`` (x1 y1 x2 y2, pixels), grown to whole and, for YUV, even pixels. A view: nothing is copied."""
    even = frame.format.is_yuv
    left, right = _side(box[0], box[2], frame.width, even)
    top, bottom = _side(box[1], box[3], frame.height, even)
    rows, columns = slice(top, bottom), slice(left, right)
    half = (slice(top // 2, bottom // 2), slice(left // 2, right // 2))
    first, *chroma = frame.planes
    planes = (first[rows, columns], *(plane[half] for plane in chroma))
    return replace(frame, planes=planes, height=bottom - top, width=right - left)


def picture_of(frame: Frame, box: Box | None) -> ImageArray:
    """What a person is shown of ``box``, H×W×3 uint8 BGR: a copy, with a little around it."""
    from edgevision.streams.pictures import to_bgr

    if box is not None:
        dx, dy = _MARGIN * (box[2] - box[0]), _MARGIN * (box[3] - box[1])
        frame = part_of(frame, (box[0] - dx, box[1] - dy, box[2] + dx, box[3] + dy))
    picture = to_bgr(frame)
    return picture.copy() if frame.format is PixelFormat.BGR else picture


def windows(box: Box, width: int, height: int, margins: Sequence[float]) -> list[Box]:
    """Squares around ``box``, each with one of ``margins`` (share of its longer side) on each side, moved into the picture.

    Where a square is larger than the picture it is cut to it.
    """
    found = []
    for margin in margins:
        side = (1 + 2 * margin) * max(box[2] - box[0], box[3] - box[1])
        x1, x2 = _centred((box[0] + box[2]) / 2, side, width)
        y1, y2 = _centred((box[1] + box[3]) / 2, side, height)
        found.append((x1, y1, x2, y2))
    return found


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0…1."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    both = across * down
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _centred(middle: float, side: float, size: int) -> tuple[float, float]:
    if side >= size:
        return 0.0, float(size)
    low = min(max(0.0, middle - side / 2), size - side)
    return low, low + side


def _side(low: float, high: float, size: int, even: bool) -> tuple[int, int]:
    import math

    step = 2 if even else 1
    first = min(max(0, math.floor(low)), size - step)
    last = min(size, max(math.ceil(high), first + step))
    return first - first % step, last + (last % step if last < size else 0)
