"""Detect: a network's outputs → boxes in the caller's frame, their scores and classes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks.base import GoldenResult, OutputRole, TaskSpec, View, number
from edgevision.tasks.detect.candidates import Candidates, Head
from edgevision.tasks.detect.golden import STORED_FROM, compare_golden
from edgevision.tasks.detect.layouts import find_layout
from edgevision.tasks.detections import Detections
from edgevision.tasks.postprocess import IOU_THRESHOLD, MAX_DETECTIONS, SCORE_THRESHOLD, nms
from edgevision.tasks.results import Label, Timing
from edgevision.tensors import Outputs, TensorInfo, describe

KIND = "detect"
BOXES, SCORES, CLASSES = "boxes", "scores", "classes"  # the roles of digests
NO_CLASS = -1.0  # of the rows that fill up a digest
DIGEST_LEAST_SCORE = 0.001  # as Ultralytics and COCO's evaluations of YOLO have it: mAP needs low scores, too
MOST_DETECTIONS = 1000  # what max_detections may be at most: digests stay small
_MOST_PIXELS = 16384  # of a side of the input

# Every detector's parameters; the others in a spec are its layout's.
PARAMETERS = frozenset({"height", "width", "threshold", "thresholds", "iou", "class_agnostic", "max_detections"})


class DetectTask:
    """How a detector's outputs become ``Detections``. Immutable, and so shared by threads.

    ``spec.labels``: one for each class, in the network's order. ``spec.outputs``: roles of one layout
    (``tasks.detect.layouts``). Parameters:

    - ``height``, ``width``: of the input tensor in pixels;
    - ``threshold``: the score, 0…1, that a box must be above (default 0.25); ``thresholds``: the same for each class, as many
      as labels; where it is given and not None it counts, and ``threshold`` does not;
    - ``iou``: of two boxes of a class that overlap more, only the better one is kept (default 0.7); ``class_agnostic``:
      the same between boxes of any class. Neither matters for layouts that give each object one box;
    - ``max_detections``: how many boxes are kept of a frame, the best (default 300);
    - those of the layout.

    Raises InputError for a spec that is not so.

    >>> outputs = {"boxes_and_scores": "output0"}
    >>> task = DetectTask(detect_spec([Label(7, "apple")], "yolo", outputs, height=64, width=64, threshold=0.5))
    >>> raw = np.array([[[32], [16], [20], [10], [0.9]]], np.float32)  # one cell: centre, size, score
    >>> view = View(FrameId(), 128, 128, Region(0, 0, 128, 128), Placement(64, 64, 0, 0), 64, 64)
    >>> task.decode({"output0": raw}, [view], Timing(0, 0, 0))[0].boxes.tolist()
    [[44.0, 22.0, 84.0, 42.0]]
    """

    def __init__(self, spec: TaskSpec) -> None:
        if not spec.labels:
            raise InputError("a detector has at least 1 label, got none")
        layouts = {output.layout for output in spec.outputs}
        if len(layouts) != 1:
            raise InputError(f"the outputs of a detector are of one layout, got {sorted(layouts) or 'no outputs'}")
        parameters = spec.parameters
        self.spec = spec
        self.height = _count(parameters, "height", None, _MOST_PIXELS)
        self.width = _count(parameters, "width", None, _MOST_PIXELS)
        self.iou = number(parameters, "iou", IOU_THRESHOLD, 0.0, 1.0)
        self.class_agnostic = _flag(parameters, "class_agnostic")
        self.max_detections = _count(parameters, "max_detections", MAX_DETECTIONS, MOST_DETECTIONS)
        self.thresholds = _thresholds(spec)  # float32 [labels]
        self._names = {output.role: output.name for output in spec.outputs}
        if len(self._names) != len(spec.outputs):
            raise InputError(f"the outputs of a detector have different roles, got {[o.role for o in spec.outputs]}")
        own = {name: value for name, value in parameters.items() if name not in PARAMETERS}
        self._decoder = find_layout(layouts.pop()).make(Head(len(spec.labels), self.height, self.width, own))

    def check(self, outputs: Sequence[TensorInfo]) -> None:
        """See ``Task``: the outputs that the spec names are there, in the shapes of their layout."""
        found = {output.name: output for output in outputs}
        if missing := [name for name in self._names.values() if name not in found]:
            raise EngineError(
                f"the graph has no output {missing[0]!r}, which its task spec speaks of; it has {list(found)}. Compile the "
                "model again"
            )
        self._decoder.check({role: found[name] for role, name in self._names.items()})

    def decode(self, outputs: Outputs, views: Sequence[View], timing: Timing) -> list[Detections]:
        """See ``Task``. Boxes end at the edge of the region that was prepared; those that lie outside are left out.

        Raises UnreadableOutputError for other shapes, for NaN, and for scores outside 0…1.
        """
        started = time.perf_counter()
        named, count = self._by_role(outputs)
        if len(views) != count:
            raise InputError(f"expected one view for each of {count} items, got {len(views)}")
        found = [self._detected(named, item, view) for item, view in enumerate(views)]
        timing = replace(timing, decode_ms=1e3 * (time.perf_counter() - started))
        return [
            Detections(*columns, self.spec.labels, timing, view.frame)
            for columns, view in zip(found, views, strict=True)
        ]

    def digest(self, outputs: Outputs) -> dict[str, npt.NDArray[np.float32]]:
        """See ``Task``: the best boxes of each item after suppression, best first, whatever the thresholds are.

        ``boxes`` [n, k, 4] in pixels of the tensor, ``scores`` [n, k] above 0.001, ``classes`` [n, k]; k =
        ``max_detections``, filled up with score 0, class -1 and boxes of zeros. Raises UnreadableOutputError as ``decode``
        does.
        """
        named, count = self._by_role(outputs)
        boxes = np.zeros((count, self.max_detections, 4), np.float32)
        scores = np.zeros((count, self.max_detections), np.float32)
        classes = np.full((count, self.max_detections), NO_CLASS, np.float32)
        for item in range(count):
            found = self._suppressed(self._decoder.candidates(named, item, DIGEST_LEAST_SCORE))
            kept = len(found.scores)
            boxes[item, :kept], scores[item, :kept], classes[item, :kept] = found.boxes, found.scores, found.classes
        return {BOXES: boxes, SCORES: scores, CLASSES: classes}

    def compare(self, reference: Outputs, stored: Outputs, now: Outputs, *, same_device: bool) -> GoldenResult:
        """See ``Task`` and ``compare_golden``."""
        return compare_golden(reference, stored, now, iou=self.iou, same_device=same_device)

    def golden(self, digest: Outputs) -> Outputs:
        """See ``GoldenKeeper``: the boxes that ``compare`` looks for, some kilobytes a frame instead of ``max_detections`` rows."""
        rows = max(1, int((digest[SCORES] >= STORED_FROM).sum(axis=1).max(initial=0)))
        return {role: array[:, :rows] for role, array in digest.items()}

    def candidates(self, outputs: Outputs, least_score: float) -> list[Candidates]:
        """The boxes of each item before suppression, in pixels of the tensor. Raises as ``decode`` does."""
        named, count = self._by_role(outputs)
        return [self._decoder.candidates(named, item, least_score) for item in range(count)]

    def _by_role(self, outputs: Outputs) -> tuple[dict[str, npt.NDArray[Any]], int]:
        """The outputs by role, and the number of items. Raises UnreadableOutputError where they do not fit the layout."""
        named = {role: outputs[name] for role, name in self._names.items()}
        counts = {len(array) for array in named.values()}
        try:
            self._decoder.check({info.name: info for info in describe(named)})
        except EngineError as error:
            raise UnreadableOutputError(str(error)) from None
        if len(counts) != 1:
            raise UnreadableOutputError(f"the outputs have different numbers of items: {sorted(counts)}")
        return named, counts.pop()

    def _suppressed(self, found: Candidates) -> Candidates:
        """The best of them, best first, at most ``max_detections``; each object once."""
        if self._decoder.unique:
            rows = np.argsort(-found.scores, kind="stable")[: self.max_detections]
        else:
            classes = None if self.class_agnostic else found.classes
            (rows,) = nms(found.boxes, found.scores, classes, self.iou, -np.inf, self.max_detections)
        return Candidates(found.boxes[rows], found.scores[rows], found.classes[rows])

    def _detected(
        self, named: Mapping[str, npt.NDArray[Any]], item: int, view: View
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Boxes in the frame, scores and classes of one item."""
        found = self._decoder.candidates(named, item, float(self.thresholds.min()))
        clear = found.scores > self.thresholds[found.classes]
        found = self._suppressed(Candidates(found.boxes[clear], found.scores[clear], found.classes[clear]))
        region = view.region
        corners = view.to_frame(found.boxes.reshape(-1, 2, 2))
        low = (region.x, region.y)
        high = (region.x + region.width, region.y + region.height)
        boxes = np.clip(corners, low, high).reshape(-1, 4).astype(np.float32)
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # something of it is left
        return boxes[inside], found.scores[inside], found.classes[inside]


def detect_spec(
    labels: Sequence[Label], layout: str, outputs: Mapping[str, str], *, height: int, width: int, **parameters: Any
) -> TaskSpec:
    """The spec of a detector. ``outputs``: role → name in the graph; ``height``, ``width``: of the tensor in pixels.

    >>> detect_spec([Label(7, "apple")], "yolo", {"boxes_and_scores": "output0"}, height=640, width=640).parameters
    {'height': 640, 'width': 640}
    """
    roles = tuple(OutputRole(role, name, layout) for role, name in outputs.items())
    return TaskSpec(KIND, tuple(labels), roles, {"height": height, "width": width, **parameters})


def _thresholds(spec: TaskSpec) -> npt.NDArray[np.float32]:
    """The threshold of each class."""
    common = number(spec.parameters, "threshold", SCORE_THRESHOLD, 0.0, 1.0)
    given = spec.parameters.get("thresholds")
    if given is None:
        return np.full(len(spec.labels), common, np.float32)
    if not isinstance(given, (list, tuple)) or len(given) != len(spec.labels):
        got = len(given) if isinstance(given, (list, tuple)) else repr(given)
        raise InputError(f"thresholds are a list with a score for each of {len(spec.labels)} labels, got {got}")
    own = {f"thresholds[{place}]": value for place, value in enumerate(given)}
    return np.array([number(own, name, common, 0.0, 1.0) for name in own], np.float32)


def _count(parameters: Mapping[str, Any], name: str, default: int | None, most: int) -> int:
    """A parameter that is a whole number 1…``most``; without a default it has to be there."""
    value = parameters.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InputError(f"{name} of a detector is a whole number 1…{most}, got {value!r}")
    return value


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"{name} is true or false, got {value!r}")
    return value
