"""YOLO's raw heads: one row of numbers for each cell of the grids, boxes as centre and size in the tensor's pixels.

| layout | one item | from |
| --- | --- | --- |
| ``yolo`` | [4 + classes, cells] | Ultralytics v8, v9, 11, 12, and v10 and 26 with their one-to-many head |
| ``yolo-transposed`` | [cells, 4 + classes] | the same, with the axes swapped |
| ``yolov5`` | [3 · cells, 5 + classes] | YOLOv5 and YOLOv7; an objectness that class scores are multiplied with |

Scores are after the sigmoid. Of a cell the best class counts, as in Ultralytics' ``predict``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgevision.errors import EngineError, InputError
from edgevision.tasks.detect.arrays import best_classes, candidates_of, check_scores, corners, floats
from edgevision.tasks.detect.candidates import Candidates, Decoder, Evidence, Head, Layout, Reading
from edgevision.tasks.detect.exporters import read_ultralytics
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import Outputs, TensorInfo

ROLE = "boxes_and_scores"
ANCHORS_PER_CELL = 3  # of YOLOv5 and YOLOv7

# Strides of the levels: usual, with a level for small objects, with one for large objects, and of tiny networks.
STRIDES = ((8, 16, 32), (4, 8, 16, 32), (8, 16, 32, 64), (16, 32))

Size = tuple[int, int]


@dataclass(frozen=True)
class YoloDecoder:
    """``yolo``, or ``yolo-transposed`` where ``transposed``."""

    head: Head
    transposed: bool = False
    unique: bool = False

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        output = _only(outputs)
        rows = 4 + self.head.classes
        axis = 2 if self.transposed else 1
        if len(output.shape) != 3 or output.shape[axis] != rows:
            order = "[batch, cells, 4 + classes]" if self.transposed else "[batch, 4 + classes, cells]"
            raise _misfit(output, order, rows, self.head.classes)

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        grid = floats(outputs[ROLE][item])
        if self.transposed:
            grid = grid.T
        boxes, scores, classes = best_classes(grid[:4], grid[4:], least_score)
        return candidates_of(corners(boxes), scores, classes)


@dataclass(frozen=True)
class Yolov5Decoder:
    """``yolov5``: a score is objectness × class score."""

    head: Head
    unique: bool = False

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        output = _only(outputs)
        columns = 5 + self.head.classes
        if len(output.shape) != 3 or output.shape[2] != columns:
            raise _misfit(output, "[batch, boxes, 5 + classes]", columns, self.head.classes)

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        rows = floats(outputs[ROLE][item])
        check_scores(rows[:, 4:])
        rows = rows[rows[:, 4] > least_score]  # no class score is above 1: the product cannot be larger
        scores = rows[:, 5:] * rows[:, 4:5]
        best = scores.max(axis=1, initial=0.0)
        kept = best > least_score
        return candidates_of(corners(rows[kept, :4]), best[kept], scores[kept].argmax(axis=1))


def cells(size: Size, strides: tuple[int, ...]) -> int:
    """How many cells the grids of these strides have in all.

    >>> cells((640, 640), (8, 16, 32))
    8400
    """
    height, width = size
    return sum((height // stride) * (width // stride) for stride in strides)


def _only(outputs: Mapping[str, TensorInfo]) -> TensorInfo:
    if set(outputs) != {ROLE}:
        raise EngineError(f"a YOLO head has one output, for the role '{ROLE}', got the roles {sorted(outputs)}")
    return outputs[ROLE]


def _misfit(output: TensorInfo, order: str, expected: int, classes: int) -> EngineError:
    return EngineError(
        f"'{output.name}' has shape {list(output.shape)}; expected {order} with {expected} for {classes} labels. Give one "
        "label for each class, in the order of the classes, or choose another --output"
    )


def _made(name: str, make: Callable[[Head], Decoder]) -> Callable[[Head], Decoder]:
    """``make``, for heads without parameters of their own."""

    def checked(head: Head) -> Decoder:
        head.allow_parameters(name)
        return make(head)

    return checked


# ---- which of them a file has ----


def _item(facts: ModelFacts) -> tuple[int, int] | None:
    """Both axes of the one output's items, or None where it has another form."""
    if len(facts.outputs) != 1 or len(facts.outputs[0].shape) != 3:
        return None
    _, rows, columns = facts.outputs[0].shape
    return None if rows is None or columns is None else (rows, columns)


def _fits_grid(count: int, size: Size | None, per_cell: int) -> bool:
    """Whether the grids of an input of this ``size`` have ``count`` boxes; True where the size is not known."""
    return size is None or any(count == per_cell * cells(size, strides) for strides in STRIDES)


def _raw_evidence(facts: ModelFacts) -> Evidence | None:
    """What a reading as Ultralytics' raw head rests on; None where the file says that it is something else."""
    said = read_ultralytics(facts.metadata)
    if said is None:
        return Evidence.SHAPES
    if said.task != "detect" or said.finished or said.transformer:
        return None
    return Evidence.METADATA


def _recognise_yolo(facts: ModelFacts) -> Reading | None:
    item, evidence = _item(facts), _raw_evidence(facts)
    if item is None or evidence is None or item[0] != 4 + len(facts.labels):
        return None
    if evidence is Evidence.SHAPES and not _fits_grid(item[1], facts.tensor_size, 1):
        return None
    text = "YOLO v8 and later, raw: 4 + classes rows, a column for each cell"
    return Reading("yolo", {ROLE: facts.outputs[0].name}, evidence, text)


def _recognise_transposed(facts: ModelFacts) -> Reading | None:
    item = _item(facts)
    if item is None or _raw_evidence(facts) is not Evidence.SHAPES or item[1] != 4 + len(facts.labels):
        return None
    if not _fits_grid(item[0], facts.tensor_size, 1):
        return None
    text = "YOLO v8 and later, raw and transposed: a row for each cell, 4 + classes columns"
    return Reading("yolo-transposed", {ROLE: facts.outputs[0].name}, Evidence.SHAPES, text)


def _recognise_yolov5(facts: ModelFacts) -> Reading | None:
    if _has_raw_anchors(facts):
        raise InputError(
            f"the outputs {[(o.name, list(o.shape)) for o in facts.outputs]} are the heads of YOLOv5 or YOLOv7 before the "
            "anchors are used, and anchors are not in the file; export it as one output with decoded boxes: YOLOv5 "
            "with 'python export.py --include onnx', YOLOv7 with 'python export.py --grid'"
        )
    item = _item(facts)
    if item is None or read_ultralytics(facts.metadata) is not None or item[1] != 5 + len(facts.labels):
        return None
    if not _fits_grid(item[0], facts.tensor_size, ANCHORS_PER_CELL):
        return None
    text = "YOLOv5 or YOLOv7: a row for each anchor, 5 + classes columns, the fifth is the objectness"
    return Reading("yolov5", {ROLE: facts.outputs[0].name}, Evidence.SHAPES, text)


def _has_raw_anchors(facts: ModelFacts) -> bool:
    """Whether each output is a level [batch, anchors, h, w, 5 + classes] or [batch, anchors · (5 + classes), h, w]."""
    columns = 5 + len(facts.labels)
    items = [output.shape[1:] for output in facts.outputs]
    if len(items) < 2:
        return False
    split = all(len(item) == 4 and item[0] == ANCHORS_PER_CELL and item[3] == columns for item in items)
    joined = all(len(item) == 3 and item[0] == ANCHORS_PER_CELL * columns for item in items)
    return split or joined


LAYOUTS = (
    Layout("yolo", _made("yolo", YoloDecoder), _recognise_yolo),
    Layout(
        "yolo-transposed",
        _made("yolo-transposed", lambda head: YoloDecoder(head, transposed=True)),
        _recognise_transposed,
    ),
    Layout("yolov5", _made("yolov5", Yolov5Decoder), _recognise_yolov5),
)
