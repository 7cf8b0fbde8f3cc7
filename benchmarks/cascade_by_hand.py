"""A cascade of two graphs on one engine alone, as a careful user writes it: find, cut out, recognise all of a frame's products in one call.

A target of ``edgevision bench``, called where this repository lies:

    edgevision bench D.edge@then=C.edge python:benchmarks.cascade_by_hand:make@engine=onnx,detector=d.onnx,detector_as=D.edge,classifier=c.onnx,classifier_as=C.edge
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from edgevision.bench.targets.address import parse_address
from edgevision.bench.targets.base import Allowance, Answer, Target
from edgevision.bench.targets.registry import open_target


class Found(NamedTuple):
    """Of one frame: what the detector says, and what the classifier says of each box."""

    boxes: Any
    classes: Sequence[Any]


class CascadeByHand:
    """Two targets, one after the other."""

    parallel = False

    def __init__(self, detector: Target, classifier: Target, at_once: int) -> None:
        self._detector = detector
        self._classifier = classifier
        self._at_once = at_once
        first, second = detector.identity, classifier.identity
        self.identity = replace(
            first, kind="python", task=f"{first.task} then {second.task}", precision=f"{first.precision}; {second.precision}",
            notes=(*first.notes, f"then {second.file} ({second.sha256[:12]}), crops of a frame in one batch"),
        )  # fmt: skip

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Found]:
        """See ``Target``. All of the classifier's work counts as "post"."""
        results = self._detector.answer(frames, stages)
        began = time.perf_counter_ns()
        found = [self._recognised(frame, result) for frame, result in zip(frames, results, strict=True)]
        if stages is not None:
            stages["post"] = stages.get("post", 0) + time.perf_counter_ns() - began
        return found

    def _recognised(self, frame: Any, result: Any) -> Found:
        crops = []
        for left, top, right, bottom in np.rint(result.boxes).astype(int):
            crop = frame[max(top, 0) : max(bottom, top + 1, 1), max(left, 0) : max(right, left + 1, 1)]
            crops.append(np.ascontiguousarray(crop))
        classes: list[Any] = []
        for start in range(0, len(crops), self._at_once):
            classes += self._classifier.answer(crops[start : start + self._at_once], None)
        return Found(result, classes)

    def read(self, result: Found) -> Answer:
        """See ``Target``."""
        boxes = self._detector.read(result.boxes)
        classes = [self._classifier.read(one).classes[:1] for one in result.classes]
        return replace(boxes, classes=np.concatenate([np.zeros(0, np.int64), *classes]))

    def close(self) -> None:
        """See ``Target``."""
        self._detector.close()
        self._classifier.close()


def make(
    allowance: Allowance, engine: str, detector: str, detector_as: str, classifier: str, classifier_as: str
) -> CascadeByHand:
    """``engine``: "onnx" or "openvino"; graphs, and the bundles that say how each is used."""
    first, second = (
        open_target(parse_address(f"{engine}:{graph}@as={bundle}"), allowance)
        for graph, bundle in ((detector, detector_as), (classifier, classifier_as))
    )
    return CascadeByHand(first, second, allowance.max_batch)
