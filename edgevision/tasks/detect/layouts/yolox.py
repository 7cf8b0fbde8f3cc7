"""YOLOX's head: a row for each cell with four numbers of its box, its objectness, and a score for each class.

| layout | the four numbers | from |
| --- | --- | --- |
| ``yolox`` | centre from the cell's corner and logarithm of the size, in strides | YOLOX's ``export_onnx.py`` as it is |
| ``yolox-decoded`` | centre and size in pixels of the tensor | the same with ``--decode_in_inference``; LibreYOLO |

Objectness and scores are after the sigmoid; a score is their product, and of a cell the best class counts. Both have the
same shape, and YOLOX writes no metadata: which of the two a file has is for the user to say. Formulas: Ge et al. 2021,
"YOLOX: Exceeding YOLO Series in 2021"; ``decode_outputs`` in YOLOX 0.3.0, yolox/models/yolo_head.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks.detect.arrays import Floats, candidates_of, check_scores, corners, floats
from edgevision.tasks.detect.candidates import Candidates, Evidence, Head, Layout, Reading
from edgevision.tasks.detect.grids import Strides, cell_points, fitting_strides, read_strides
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import Outputs, TensorInfo

OFFSETS, DECODED = "yolox", "yolox-decoded"
ROLE = "boxes_and_scores"
STRIDES: tuple[Strides, ...] = ((8, 16, 32), (8, 16, 32, 64))  # usual, and of the P6 networks

_LARGEST_LOGARITHM = 20.0  # e²⁰ strides are a box of a billion pixels: such a number is no logarithm of a size


@dataclass(frozen=True, eq=False)
class YoloxDecoder:
    """One of the two layouts. ``points``, ``sizes``: see ``cell_points``."""

    head: Head
    name: str
    strides: Strides
    points: Floats
    sizes: Floats
    unique: bool = False

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        if set(outputs) != {ROLE}:
            raise EngineError(f"the layout '{self.name}' has one output, for the role '{ROLE}', got {sorted(outputs)}")
        output = outputs[ROLE]
        expected = (len(self.points), 5 + self.head.classes)
        if output.shape[1:] != expected:
            raise EngineError(
                f"'{output.name}' gives items of shape {list(output.shape[1:])}; expected {list(expected)} for "
                f"{self.head.classes} labels, an input of {self.head.height}×{self.head.width} and the strides "
                f"{list(self.strides)}. Give one label for each class, or choose another --output"
            )

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        rows = floats(outputs[ROLE][item])
        check_scores(rows[:, 4:])
        places = np.flatnonzero(rows[:, 4] > least_score)  # no class score is above 1: the product cannot be larger
        scores = rows[places, 5:] * rows[places, 4:5]
        best = scores.max(axis=1)
        kept = best > least_score
        places = places[kept]
        boxes = corners(self._centres_and_sizes(rows[places, :4], places))
        return candidates_of(boxes, best[kept], scores[kept].argmax(axis=1))

    def _centres_and_sizes(self, numbers: Floats, places: np.ndarray) -> Floats:
        """The four numbers [m, 4] of the cells ``places`` [m] as centre x, centre y, width, height in pixels."""
        if self.name == DECODED:
            if (numbers[:, 2:] < 0).any():
                raise self._other("a width or height is negative", OFFSETS)
            return numbers
        if (numbers[:, 2:] > _LARGEST_LOGARITHM).any():
            raise self._other(f"a size would be e^{numbers[:, 2:].max():.4g} strides", DECODED)
        sizes = self.sizes[places]
        return np.concatenate([numbers[:, :2] * sizes + self.points[places], np.exp(numbers[:, 2:]) * sizes], axis=1)

    def _other(self, what: str, layout: str) -> UnreadableOutputError:
        return UnreadableOutputError(
            f"read as '{self.name}', {what}; the outputs are probably those of '{layout}': compile with --output {layout}"
        )


def _make(name: str, head: Head) -> YoloxDecoder:
    """Parameter: ``strides`` of the levels, 8, 16 and 32 where it is missing."""
    if unknown := set(head.parameters) - {"strides"}:
        raise InputError(f"the layout '{name}' has the parameter strides, got {sorted(unknown)}")
    strides = read_strides(head.parameters.get("strides"), STRIDES[0])
    return YoloxDecoder(head, name, strides, *cell_points(head.height, head.width, strides, 0.0))


def _recognise(name: str, facts: ModelFacts) -> Reading | None:
    if len(facts.outputs) != 1 or facts.tensor_size is None:
        return None
    (output,) = facts.outputs
    if len(output.shape) != 3 or output.shape[1] is None or output.shape[2] != 5 + len(facts.labels):
        return None
    strides = fitting_strides(output.shape[1], facts.tensor_size, STRIDES)
    if strides is None:
        return None
    evidence = Evidence.SHAPES
    if facts.metadata.get("model_family") == "yolox":  # LibreYOLO decodes in the graph
        if name == OFFSETS:
            return None
        evidence = Evidence.METADATA
    numbers = {OFFSETS: "offsets from the cells", DECODED: "decoded to pixels in the graph (--decode_in_inference)"}
    text = f"YOLOX, boxes as {numbers[name]}"
    return Reading(name, {ROLE: output.name}, evidence, text, {"strides": list(strides)})


LAYOUTS = tuple(Layout(name, partial(_make, name), partial(_recognise, name)) for name in (OFFSETS, DECODED))
