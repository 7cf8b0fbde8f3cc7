"""Heads of NanoDet and PicoDet: for each cell of each level scores, and the distances from a point to a box's four sides.

| layout | outputs of an item | point of a cell | from |
| --- | --- | --- | --- |
| ``nanodet-plus`` | one, [cells, classes + 4 · bins] | its corner | NanoDet-Plus, ``tools/export_onnx.py`` |
| ``picodet`` | of each level [cells, classes] and [cells, 4 · bins] | its centre | PicoDet without post-processing; NanoDet before Plus |
| ``picodet-decoded`` | one, [cells, 4 + classes]: x1 y1 x2 y2 in pixels of the tensor | | PicoDet of LibreYOLO |

A distance, in strides, is the mean of a distribution over 0, 1, … bins − 1, whose logits the head gives (Li et al. 2020,
"Generalized Focal Loss"); with one bin it is the number itself. Scores are after the sigmoid. Each class of a cell with a
score high enough gives a box. The points are those of nanodet 1.0 (nanodet_plus_head.py: ``arange · stride``; gfl_head.py:
half a cell further) and PaddleDetection 2.6 (pico_head.py, whose configurations have ``cell_offset: 0.5``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError, InputError
from edgevision.tasks.detect.arrays import Floats, candidates_of, check_scores, floats
from edgevision.tasks.detect.candidates import Candidates, Decoder, Evidence, Head, Layout, Reading
from edgevision.tasks.detect.grids import Strides, cell_points, fitting_strides, level_sizes, read_strides
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import Outputs, TensorInfo

PLUS, LEVELS, DECODED = "nanodet-plus", "picodet", "picodet-decoded"
ROLE = "scores_and_distances"
BOX_ROLE = "boxes_and_scores"
STRIDES: tuple[Strides, ...] = ((8, 16, 32, 64), (8, 16, 32))
MOST_BINS = 64

_OFFSETS = {PLUS: 0.0, LEVELS: 0.5}
_NAME = re.compile(r"(cls|dis)_pred_stride_(\d{1,4})")  # of NanoDet's exporter


@dataclass(frozen=True, eq=False)
class DistanceDecoder:
    """``nanodet-plus`` and ``picodet``. ``points``, ``sizes``: see ``cell_points``."""

    head: Head
    name: str
    strides: Strides
    points: Floats
    sizes: Floats
    unique: bool = False

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        classes = self.head.classes
        if set(outputs) != set(self._roles()):
            raise EngineError(f"the layout '{self.name}' has the roles {self._roles()}, got {sorted(outputs)}")
        if self.name == PLUS:
            self._check_shape(outputs[ROLE], len(self.points), "classes + 4 · bins", classes)
            return
        for stride, (rows, columns) in zip(self.strides, self._sizes(), strict=True):
            self._check_shape(outputs[f"boxes_{stride}"], rows * columns, "4 · bins", 0)
            scores = outputs[f"scores_{stride}"]
            if scores.shape[1:] != (rows * columns, classes):
                raise self._misfit(scores, rows * columns, "classes")

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        if self.name == PLUS:
            rows = floats(outputs[ROLE][item])
            scores, distances = rows[:, : self.head.classes], rows[:, self.head.classes :]
            cells = _cells_above(scores, least_score)
            scores, distances = scores[cells], distances[cells]
        else:
            cells, scores, distances = self._of_levels(outputs, item, least_score)
        reach = mean_distances(distances) * self.sizes[cells]
        points = self.points[cells]
        edges = np.array([self.head.width, self.head.height], np.float32)
        # Cut at the picture's edge before overlaps are looked for, as NanoDet and PicoDet do.
        first, last = (np.clip(corner, 0, edges) for corner in (points - reach[:, :2], points + reach[:, 2:]))
        places, classes = np.nonzero(scores > least_score)
        boxes = np.concatenate([first, last], axis=1)[places]
        return candidates_of(boxes, scores[places, classes], classes)

    def _of_levels(
        self, outputs: Outputs, item: int, least_score: float
    ) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
        """Cells with a score that is high enough, in all levels: their places, scores [m, classes] and distances [m, …]."""
        found, start = [], 0
        for stride in self.strides:
            scores = floats(outputs[f"scores_{stride}"][item])
            cells = _cells_above(scores, least_score)
            found.append((start + cells, scores[cells], floats(outputs[f"boxes_{stride}"][item])[cells]))
            start += len(scores)
        cells, scores, distances = (np.concatenate(column) for column in zip(*found, strict=True))
        return cells, scores, distances

    def _roles(self) -> list[str]:
        if self.name == PLUS:
            return [ROLE]
        return [f"{role}_{stride}" for role in ("scores", "boxes") for stride in self.strides]

    def _sizes(self) -> list[tuple[int, int]]:
        return level_sizes(self.head.height, self.head.width, self.strides)

    def _check_shape(self, output: TensorInfo, cells: int, columns: str, before: int) -> None:
        shape = output.shape[1:]
        bins = None
        if len(shape) == 2 and shape[0] == cells and shape[1] is not None:
            bins = bins_of(shape[1] - before)
        if bins is None:
            raise self._misfit(output, cells, columns)

    def _misfit(self, output: TensorInfo, cells: int, columns: str) -> EngineError:
        return EngineError(
            f"'{output.name}' gives items of shape {list(output.shape[1:])}; expected [{cells}, {columns}] for "
            f"{self.head.classes} labels, an input of {self.head.height}×{self.head.width} and the strides "
            f"{list(self.strides)}. Give one label for each class, or choose another --output"
        )


@dataclass(frozen=True)
class CornersDecoder:
    """``picodet-decoded``."""

    head: Head
    unique: bool = False

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        if set(outputs) != {BOX_ROLE}:
            raise EngineError(
                f"the layout '{DECODED}' has one output, for the role '{BOX_ROLE}', got {sorted(outputs)}"
            )
        output = outputs[BOX_ROLE]
        if len(output.shape) != 3 or output.shape[2] != 4 + self.head.classes:
            raise EngineError(
                f"'{output.name}' gives items of shape {list(output.shape[1:])}; expected [cells, {4 + self.head.classes}] for "
                f"{self.head.classes} labels. Give one label for each class, or choose another --output"
            )

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        rows = floats(outputs[BOX_ROLE][item])
        scores = rows[:, 4:]
        cells = _cells_above(scores, least_score)
        places, classes = np.nonzero(scores[cells] > least_score)
        edges = np.array([self.head.width, self.head.height] * 2, np.float32)
        boxes = np.clip(rows[cells[places], :4], 0, edges)
        return candidates_of(boxes, scores[cells[places], classes], classes)


def mean_distances(logits: Floats) -> Floats:
    """The head's numbers [m, 4 · bins] as distances [m, 4], in strides.

    >>> mean_distances(np.array([[1.5, 0, 2, 7]], np.float32)).tolist()
    [[1.5, 0.0, 2.0, 7.0]]
    >>> mean_distances(np.zeros((1, 4 * 3), np.float32)).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    bins = logits.shape[1] // 4
    if bins == 1:
        return logits
    logits = logits.reshape(-1, 4, bins)
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return np.asarray(powers @ np.arange(bins, dtype=np.float32) / powers.sum(axis=2), np.float32)


def bins_of(columns: int) -> int | None:
    """Bins of a head with so many ``columns`` for the four distances, or None where they are no such columns."""
    bins, rest = divmod(columns, 4)
    return bins if rest == 0 and 1 <= bins <= MOST_BINS else None


def _cells_above(scores: Floats, least_score: float) -> npt.NDArray[np.int64]:
    """The rows of ``scores`` [cells, classes] with a score above ``least_score``."""
    check_scores(scores)
    return np.flatnonzero(scores.max(axis=1) > least_score)


def _make(name: str, head: Head) -> Decoder:
    """Parameter of ``nanodet-plus`` and ``picodet``: ``strides`` of the levels, 8, 16, 32 and 64 where it is missing."""
    known = set() if name == DECODED else {"strides"}
    if unknown := set(head.parameters) - known:
        raise InputError(f"the layout '{name}' has the parameters {sorted(known)}, got {sorted(unknown)}")
    if name == DECODED:
        return CornersDecoder(head)
    strides = read_strides(head.parameters.get("strides"), STRIDES[0])
    return DistanceDecoder(head, name, strides, *cell_points(head.height, head.width, strides, _OFFSETS[name]))


# ---- which of them a file has ----


def _recognise_plus(facts: ModelFacts) -> Reading | None:
    """With one bin only where the user says so: as many columns has YOLO, transposed."""
    if len(facts.outputs) != 1 or facts.tensor_size is None:
        return None
    (output,) = facts.outputs
    if len(output.shape) != 3 or output.shape[1] is None or output.shape[2] is None:
        return None
    bins = bins_of(output.shape[2] - len(facts.labels))
    strides = fitting_strides(output.shape[1], facts.tensor_size, STRIDES)
    if bins is None or strides is None or (bins == 1 and facts.layout != PLUS):
        return None
    text = f"NanoDet-Plus, {bins} numbers for each distance"
    return Reading(PLUS, {ROLE: output.name}, Evidence.SHAPES, text, {"strides": list(strides)})


def _recognise_levels(facts: ModelFacts) -> Reading | None:
    if facts.tensor_size is None:
        return None
    if roles := _roles_by_name(facts):
        found = sorted({int(role.rpartition("_")[2]) for role in roles})
        text = f"NanoDet, by the names of its outputs, with the strides {found}"
        return Reading(LEVELS, roles, Evidence.NAMES, text, {"strides": found})
    strides = next((strides for strides in STRIDES if len(facts.outputs) == 2 * len(strides)), None)
    by_shape = None if strides is None else _roles_by_shape(facts, strides, facts.tensor_size)
    if strides is None or by_shape is None:
        return None
    text = "PicoDet, scores and distances of each level, recognised by their shapes"
    return Reading(LEVELS, by_shape, Evidence.SHAPES, text, {"strides": list(strides)})


def _roles_by_name(facts: ModelFacts) -> dict[str, str]:
    """Role → output, where all outputs have the names that NanoDet's exporter gives; else nothing."""
    roles = {}
    for output in facts.outputs:
        match = _NAME.fullmatch(output.name)
        if match is None:
            return {}
        kind = "scores" if match[1] == "cls" else "boxes"
        roles[f"{kind}_{int(match[2])}"] = output.name
    return roles


def _roles_by_shape(facts: ModelFacts, strides: Strides, size: tuple[int, int]) -> dict[str, str] | None:
    """Role → output, where each level has one output of each kind; None where the file is no such head.

    Raises InputError where scores and distances of a level have as many columns.
    """
    roles: dict[str, str] = {}
    classes = len(facts.labels)
    for stride, (rows, columns) in zip(strides, level_sizes(*size, strides), strict=True):
        level = [output for output in facts.outputs if len(output.shape) == 3 and output.shape[1] == rows * columns]
        widths = [output.shape[2] for output in level]
        if len(level) != 2 or classes not in widths or None in widths:
            return None
        if widths[0] == widths[1]:
            raise InputError(
                f"the outputs '{level[0].name}' and '{level[1].name}' both have {classes} columns: which are scores and which "
                f"distances does not show. Name them cls_pred_stride_{stride} and dis_pred_stride_{stride} in the file"
            )
        scores, boxes = sorted(level, key=lambda output: output.shape[2] != classes)
        bins = bins_of(boxes.shape[2] or 0)
        if bins is None or (bins == 1 and facts.layout != LEVELS):
            return None
        roles[f"scores_{stride}"], roles[f"boxes_{stride}"] = scores.name, boxes.name
    return roles


def _recognise_decoded(facts: ModelFacts) -> Reading | None:
    """By LibreYOLO's metadata, or where the user says so: YOLO, transposed, has the same shape."""
    said = facts.metadata.get("model_family") == "picodet"
    if len(facts.outputs) != 1 or not (said or facts.layout == DECODED):
        return None
    (output,) = facts.outputs
    if len(output.shape) != 3 or output.shape[2] != 4 + len(facts.labels):
        return None
    evidence = Evidence.METADATA if said else Evidence.SHAPES
    return Reading(DECODED, {BOX_ROLE: output.name}, evidence, "PicoDet of LibreYOLO, boxes as corners in pixels")


LAYOUTS = (
    Layout(PLUS, partial(_make, PLUS), _recognise_plus),
    Layout(LEVELS, partial(_make, LEVELS), _recognise_levels),
    Layout(DECODED, partial(_make, DECODED), _recognise_decoded),
)
