"""Transformers that find objects: a fixed number of queries, each with a box and scores; nothing is left to suppress.

| layout | outputs of one item | from |
| --- | --- | --- |
| ``labels-boxes-scores`` | labels [q], boxes [q, 4], scores [q] | RT-DETR, D-FINE and DEIM, exported with their own scripts |
| ``detr-logits`` | logits [q, classes], boxes [q, 4] | RT-DETR and D-FINE of ``transformers`` |
| ``rfdetr`` | logits [q, columns], boxes [q, 4] | RF-DETR |

Logits go through a sigmoid: a query may be several classes. Their boxes are centre and size, 0…1 of the tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.errors import EngineError, InputError
from edgevision.tasks.detect.arrays import (
    best_pairs,
    candidates_of,
    check_classes,
    check_logits,
    check_scores,
    corners,
    floats,
    sigmoid,
)
from edgevision.tasks.detect.candidates import Candidates, Evidence, Head, Layout, Reading
from edgevision.tasks.detect.exporters import labels_from_metadata, read_rfdetr
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import Outputs, TensorInfo

FINISHED, LOGITS, RFDETR = "labels-boxes-scores", "detr-logits", "rfdetr"
COCO_COLUMNS = 91  # of RF-DETR's checkpoints: COCO's own numbers 1…90, and a 0 that nothing has


@dataclass(frozen=True)
class FinishedQueriesDecoder:
    """``labels-boxes-scores``: corners in pixels of the tensor.

    These networks have a second input, the size in which boxes are wanted. A bundle's graph has one input: ``compile`` fixes the
    other to the tensor's width and height.
    """

    head: Head
    unique: bool = True

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        _check_roles(FINISHED, outputs, ("labels", "boxes", "scores"))
        queries = outputs["boxes"].shape[1:2]
        expected = {"labels": queries, "boxes": (*queries, 4), "scores": queries}
        for role, shape in expected.items():
            if outputs[role].shape[1:] != shape:
                raise _misfit(outputs[role], "labels [batch, q], boxes [batch, q, 4] and scores [batch, q]")

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        scores = floats(outputs["scores"][item])
        check_scores(scores)
        kept = scores > least_score
        classes = check_classes(np.asarray(outputs["labels"][item])[kept], self.head.classes)
        return candidates_of(outputs["boxes"][item][kept], scores[kept], classes)


@dataclass(frozen=True)
class LogitsDecoder:
    """``detr-logits``, and ``rfdetr``: of the logits' columns, ``columns`` are the labels', in their order."""

    layout: str
    head: Head
    columns: tuple[int, ...]
    unique: bool = True

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        _check_roles(self.layout, outputs, ("logits", "boxes"))
        logits, boxes = outputs["logits"], outputs["boxes"]
        if len(boxes.shape) != 3 or boxes.shape[2] != 4:
            raise _misfit(boxes, "boxes [batch, q, 4]")
        if len(logits.shape) != 3 or logits.shape[1] != boxes.shape[1] or not self._fits(logits.shape[2]):
            raise _misfit(logits, f"logits [batch, {boxes.shape[1]}, classes] for {self.head.classes} labels")

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        logits = floats(outputs["logits"][item])[:, list(self.columns)]
        check_logits(logits)
        boxes, scores, classes = best_pairs(floats(outputs["boxes"][item]), sigmoid(logits), least_score)
        return candidates_of(corners(boxes, (self.head.width, self.head.height)), scores, classes)

    def _fits(self, columns: int | None) -> bool:
        if self.layout == RFDETR:
            return columns is not None and columns > max(self.columns)
        return columns == self.head.classes


def _check_roles(layout: str, outputs: Mapping[str, TensorInfo], roles: Sequence[str]) -> None:
    if set(outputs) != set(roles):
        raise EngineError(f"the layout '{layout}' has the roles {list(roles)}, got {sorted(outputs)}")


def _misfit(output: TensorInfo, expected: str) -> EngineError:
    return EngineError(
        f"'{output.name}' has shape {list(output.shape)}; expected {expected}. Give one label for each class, in the order of the "
        "classes, or choose another --output"
    )


# ---- decoders of parameters ----


def _make_finished(head: Head) -> FinishedQueriesDecoder:
    head.allow_parameters(FINISHED)
    return FinishedQueriesDecoder(head)


def _make_logits(head: Head) -> LogitsDecoder:
    head.allow_parameters(LOGITS)
    return LogitsDecoder(LOGITS, head, tuple(range(head.classes)))


def _make_rfdetr(head: Head) -> LogitsDecoder:
    head.allow_parameters(RFDETR, "columns")
    columns = head.parameters.get("columns", list(range(head.classes)))
    if not isinstance(columns, (list, tuple)) or not all(type(column) is int and column >= 0 for column in columns):
        raise InputError(f"columns are a list with the logits' column of each label, got {columns!r}")
    if len(columns) != head.classes or len(set(columns)) != len(columns):
        raise InputError(f"columns are different numbers, one for each of {head.classes} labels, got {len(columns)}")
    return LogitsDecoder(RFDETR, head, tuple(columns))


# ---- which of them a file has ----


def _recognise_finished(facts: ModelFacts) -> Reading | None:
    found = {output.name: output.shape[1:] for output in facts.outputs}
    if set(found) != {"labels", "boxes", "scores"}:
        return None
    queries = found["labels"]
    if len(queries) != 1 or found["boxes"] != (*queries, 4) or found["scores"] != queries:
        return None
    text = "RT-DETR, D-FINE or DEIM: classes, corners in pixels of the input, scores"
    return Reading(FINISHED, {name: name for name in found}, Evidence.NAMES, text)


def _recognise_logits(facts: ModelFacts) -> Reading | None:
    pair = _pair(facts, LOGITS, "pred_boxes", "logits", (len(facts.labels),))
    if pair is None:
        return None
    boxes, logits, evidence = pair
    text = "RT-DETR or D-FINE of transformers: logits, and boxes 0…1"
    return Reading(LOGITS, {"logits": logits.name, "boxes": boxes.name}, evidence, text)


def _recognise_rfdetr(facts: ModelFacts) -> Reading | None:
    said = read_rfdetr(facts.metadata)
    if said is not None and said.get("task") != "detect":
        return None
    count = len(facts.labels)
    numbers = labels_from_metadata(facts.metadata) if said is not None else None
    allowed = None if numbers is not None else (count, count + 1)
    pair = _pair(facts, RFDETR, "dets", "labels", allowed)
    if pair is None:
        return None
    boxes, logits, evidence = pair
    parameters: dict[str, Any] = {"columns": list(range(count))}
    if numbers is not None:
        parameters = {"columns": [label.id for label in numbers]}
        evidence = Evidence.METADATA
    elif count == COCO_COLUMNS - 1 and logits.shape[2] == COCO_COLUMNS:
        return None  # 90 labels: COCO's 1…90, or 0…89 and a column for no object
    text = "RF-DETR: logits, and boxes 0…1"
    return Reading(RFDETR, {"logits": logits.name, "boxes": boxes.name}, evidence, text, parameters)


def _pair(
    facts: ModelFacts, layout: str, boxes: str, logits: str, columns: tuple[int, ...] | None
) -> tuple[TensorInfo, TensorInfo, Evidence] | None:
    """The outputs for boxes [q, 4] and logits [q, one of ``columns``; None = any], by these names, or, where the user asks for the
    layout, by their shapes. None where the file has no such pair.

    Raises InputError where the user asks for it, and both could be either.
    """
    if len(facts.outputs) != 2 or any(len(output.shape) != 3 for output in facts.outputs):
        return None
    first, second = facts.outputs
    if first.shape[1] != second.shape[1]:
        return None
    named = {output.name: output for output in facts.outputs}
    fitting = [
        (one, other)
        for one, other in ((first, second), (second, first))
        if one.shape[2] == 4 and (columns is None or other.shape[2] in columns)
    ]
    if set(named) == {boxes, logits}:
        right = (named[boxes], named[logits])
        return (*right, Evidence.NAMES) if right in fitting else None
    if facts.layout != layout or not fitting:
        return None
    if len(fitting) > 1:
        raise InputError(
            f"both outputs, '{first.name}' and '{second.name}', have shape {list(first.shape)}: only names tell boxes from scores. "
            f"Call them '{boxes}' and '{logits}' when exporting"
        )
    return (*fitting[0], Evidence.SHAPES)


LAYOUTS = (
    Layout(FINISHED, _make_finished, _recognise_finished),
    Layout(LOGITS, _make_logits, _recognise_logits),
    Layout(RFDETR, _make_rfdetr, _recognise_rfdetr),
)
