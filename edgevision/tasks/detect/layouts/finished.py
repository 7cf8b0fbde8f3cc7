"""Heads that give one box for each object already, all in one output: rows in no fixed order, filled up with scores of 0.

| layout | one item | boxes | from |
| --- | --- | --- | --- |
| ``xyxy-score-class`` | [rows, 6] | corners in the tensor's pixels | YOLOv10 and YOLO26 end to end, and what Ultralytics exports with ``nms=True`` |
| ``cxcywh-score-class`` | [rows, 6] | centre and size, 0…1 of the tensor | Ultralytics' RT-DETR |
| ``cxcywh-scores`` | [rows, 4 + classes] | the same | Ultralytics' RT-DETR in older files |

The first two have one shape and mean different things: shapes alone never tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgevision.errors import EngineError
from edgevision.tasks.detect.arrays import best_classes, candidates_of, check_classes, check_scores, corners, floats
from edgevision.tasks.detect.candidates import Candidates, Evidence, Head, Layout, Reading
from edgevision.tasks.detect.exporters import read_ultralytics
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import Outputs, TensorInfo

ROLE = "boxes_and_scores"
XYXY, CXCYWH, CXCYWH_SCORES = "xyxy-score-class", "cxcywh-score-class", "cxcywh-scores"
MOST_ROWS = 1000  # no head selects more; grids of raw heads have more


@dataclass(frozen=True)
class FinishedDecoder:
    """``layout``: one of the three."""

    layout: str
    head: Head
    unique: bool = True

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        if set(outputs) != {ROLE}:
            raise EngineError(f"'{self.layout}' has one output, for the role '{ROLE}', got the roles {sorted(outputs)}")
        output, columns = outputs[ROLE], _columns(self.layout, self.head.classes)
        if len(output.shape) != 3 or output.shape[2] != columns:
            raise EngineError(
                f"'{output.name}' has shape {list(output.shape)}; expected [batch, rows, {columns}] for '{self.layout}' with "
                f"{self.head.classes} labels. Choose another --output, or give one label for each class"
            )

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        rows = floats(outputs[ROLE][item])
        size = (self.head.width, self.head.height)
        if self.layout == CXCYWH_SCORES:
            boxes, scores, classes = best_classes(rows[:, :4].T, rows[:, 4:].T, least_score)
            return candidates_of(corners(boxes, size), scores, classes)
        check_scores(rows[:, 4])
        rows = rows[rows[:, 4] > least_score]
        boxes = rows[:, :4] if self.layout == XYXY else corners(rows[:, :4], size)
        return candidates_of(boxes, rows[:, 4], check_classes(rows[:, 5], self.head.classes))


def _columns(layout: str, classes: int) -> int:
    return 4 + classes if layout == CXCYWH_SCORES else 6


def _evidence(layout: str, facts: ModelFacts, rows: int) -> Evidence | None:
    """What this reading rests on; None where the file says that it is something else."""
    said = read_ultralytics(facts.metadata)
    if said is None:
        return Evidence.SHAPES
    if said.task != "detect" or said.transformer == (layout == XYXY):
        return None
    raw = layout == XYXY and not said.finished and rows == 4 + len(facts.labels)
    return None if raw else Evidence.METADATA


def _layout(name: str, text: str) -> Layout:
    def make(head: Head) -> FinishedDecoder:
        head.allow_parameters(name)
        return FinishedDecoder(name, head)

    def recognise(facts: ModelFacts) -> Reading | None:
        if len(facts.outputs) != 1 or len(facts.outputs[0].shape) != 3:
            return None
        _, rows, columns = facts.outputs[0].shape
        if rows is None or rows > MOST_ROWS or columns != _columns(name, len(facts.labels)):
            return None
        evidence = _evidence(name, facts, rows)
        return None if evidence is None else Reading(name, {ROLE: facts.outputs[0].name}, evidence, text)

    return Layout(name, make, recognise)


LAYOUTS = (
    _layout(XYXY, "one box for each object: x1 y1 x2 y2 in pixels, score, class (YOLO end to end, or with NMS inside)"),
    _layout(CXCYWH, "one box for each object: centre and size 0…1, score, class (Ultralytics' RT-DETR)"),
    _layout(CXCYWH_SCORES, "one box for each object: centre and size 0…1, a score for each class (older RT-DETR)"),
)
