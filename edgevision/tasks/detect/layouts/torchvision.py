"""The heads of torchvision's one-stage detectors, as its modules ``head`` give them: before scores, anchors and suppression.

| layout | score of a class | box |
| --- | --- | --- |
| ``ssd`` | softmax over all columns; column 0 is the background | the anchor, moved and stretched |
| ``retinanet`` | sigmoid | the anchor, moved and stretched |
| ``fcos`` | √(sigmoid of the class × sigmoid of the centre-ness) | distances from the anchor's centre to the four sides, in its sizes |

Roles: ``scores`` [n, anchors, columns], ``boxes`` [n, anchors, 4], of FCOS also ``centerness`` [n, anchors, 1]. torchvision
counts classes from 1, so that column 0 stands for none; a network trained with classes counted from 0 has as many
columns as labels. SSD always has the column.

Anchors are no output of the graph: they are the parameter ``anchors``, a list of levels (see ``grid_of``), which
``compiler.sources.torchvision_detectors`` makes of the network's own when it is compiled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.tasks.base import number
from edgevision.tasks.detect.arrays import Floats, candidates_of, check_logits, floats, least_logit, sigmoid
from edgevision.tasks.detect.candidates import Candidates, Evidence, Head, Layout, Reading
from edgevision.tasks.postprocess import softmax
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import Outputs, TensorInfo

# Where a network's metadata say the layout's name, and its parameters as JSON.
HEAD, PARAMETERS = "torchvision.head", "torchvision.parameters"
NAMES = {"scores": "cls_logits", "boxes": "bbox_regression", "centerness": "bbox_ctrness"}  # torchvision's own, by role

_LARGEST_GROWTH = math.log(1000 / 16)  # torchvision's BoxCoder: a side of a box is at most 62.5 times the anchor's
_MAX_LEVELS, _MAX_PER_CELL, _MAX_ANCHORS = 16, 64, 10_000_000

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Anchors of all levels. ``boxes`` float64 [n, 4] as x1 y1 x2 y2 in the tensor's pixels, row by row, cell by cell;
    ``level`` int64 [n]: the level of each."""

    boxes: npt.NDArray[np.float64]
    level: Ints


def grid_of(levels: object) -> Grid:
    """Anchors from the parameter ``anchors``.

    Each level is ``{"rows": …, "columns": …, "step": [x, y], "cell": [[x1, y1, x2, y2], …]}``: the anchors of its first
    cell, in the tensor's pixels, and how far those of the next column and the next row are from them. Raises InputError.

    >>> grid_of([{"rows": 1, "columns": 2, "step": [8, 8], "cell": [[-2, -2, 2, 2]]}]).boxes.tolist()
    [[-2.0, -2.0, 2.0, 2.0], [6.0, -2.0, 10.0, 2.0]]
    """
    if not isinstance(levels, (list, tuple)) or not 1 <= len(levels) <= _MAX_LEVELS:
        raise _bad_anchors(f"a list of 1…{_MAX_LEVELS} levels")
    found = [_level_boxes(level) for level in levels]
    if sum(map(len, found)) > _MAX_ANCHORS:
        raise _bad_anchors(f"at most {_MAX_ANCHORS} anchors")
    return Grid(np.concatenate(found), np.repeat(np.arange(len(found)), [len(boxes) for boxes in found]))


def _level_boxes(level: object) -> npt.NDArray[np.float64]:
    if not isinstance(level, dict) or set(level) != {"rows", "columns", "step", "cell"}:
        raise _bad_anchors("levels with the keys rows, columns, step and cell")
    rows, columns = level["rows"], level["columns"]
    if not all(type(count) is int and 1 <= count <= 8192 for count in (rows, columns)):
        raise _bad_anchors("1…8192 rows and columns in each level")
    try:
        step, cell = np.asarray(level["step"], np.float64), np.asarray(level["cell"], np.float64)
    except (ValueError, TypeError):
        raise _bad_anchors("numbers in step and cell") from None
    if step.shape != (2,) or cell.ndim != 2 or cell.shape[1] != 4 or not 1 <= len(cell) <= _MAX_PER_CELL:
        raise _bad_anchors(f"step [x, y] and 1…{_MAX_PER_CELL} boxes [x1, y1, x2, y2] in cell")
    if not np.isfinite(step).all() or not np.isfinite(cell).all():
        raise _bad_anchors("finite numbers in step and cell")
    if rows * columns * len(cell) > _MAX_ANCHORS:  # before any is made: a file may ask for more than memory holds
        raise _bad_anchors(f"at most {_MAX_ANCHORS} anchors")
    y, x = np.divmod(np.arange(rows * columns), columns)
    shift = np.stack([x, y, x, y], axis=1) * np.array([*step, *step])
    return np.asarray((shift[:, None, :] + cell).reshape(-1, 4))


def _bad_anchors(expected: str) -> InputError:
    return InputError(f"the anchors of a torchvision head are {expected}; compile the model again")


# ---- scores and boxes ----


@dataclass(frozen=True, eq=False)
class _Scored:
    """What is above the least score: rows of anchors, classes, scores; [m] each, in the order of the anchors."""

    anchors: Ints
    classes: Ints
    scores: Floats


class _Score(Protocol):
    """``logits`` by role, each [anchors, columns]; ``background``: how many columns come before the first class."""

    def __call__(self, logits: Mapping[str, Floats], background: int, least_score: float) -> _Scored: ...


def _ssd_scores(logits: Mapping[str, Floats], background: int, least_score: float) -> _Scored:
    """Softmax. Only of rows in which a class can be above: p(class) ≤ sigmoid(class − background)."""
    values = logits["scores"]
    if np.isinf(values.max()):
        raise UnreadableOutputError("the network's scores hold infinite values; the graph or its input is broken")
    gain = values[:, background:].max(axis=1) - values[:, :background].max(axis=1)
    rows = np.flatnonzero(gain > least_logit(least_score))
    scores = softmax(values[rows])[:, background:]
    places, classes = np.nonzero(scores > least_score)
    return _Scored(rows[places], classes, scores[places, classes])


def _retinanet_scores(logits: Mapping[str, Floats], background: int, least_score: float) -> _Scored:
    values = logits["scores"][:, background:]
    rows, classes = np.nonzero(values > least_logit(least_score))
    scores = sigmoid(values[rows, classes])
    kept = scores > least_score
    return _Scored(rows[kept], classes[kept], scores[kept])


def _fcos_scores(logits: Mapping[str, Floats], background: int, least_score: float) -> _Scored:
    """A product of two numbers up to 1 is above ``least_score``² only where both are."""
    centerness = logits["centerness"][:, 0]
    check_logits(centerness)
    least = least_logit(least_score**2)
    near = np.flatnonzero(centerness > least)
    values = logits["scores"][near, background:]
    places, classes = np.nonzero(values > least)
    rows = near[places]
    scores = np.sqrt(sigmoid(values[places, classes]) * sigmoid(centerness[rows]))
    kept = scores > least_score
    return _Scored(rows[kept], classes[kept], scores[kept])


class _Place(Protocol):
    """Numbers of the head [m, 4] and their anchors [m, 4] → boxes [m, 4] as x1 y1 x2 y2, float64."""

    def __call__(
        self, numbers: npt.NDArray[np.float64], anchors: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]: ...


def _moved(
    numbers: npt.NDArray[np.float64], anchors: npt.NDArray[np.float64], weights: Sequence[float]
) -> npt.NDArray[np.float64]:
    """The centre moves by parts of the anchor's sizes, the sides grow by eˣ (Girshick et al. 2014, "Rich feature hierarchies",
    appendix C); the four numbers are divided by ``weights`` before."""
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sizes / 2
    numbers = numbers / np.asarray(weights)
    centres = centres + numbers[:, :2] * sizes
    half = np.exp(np.minimum(numbers[:, 2:], _LARGEST_GROWTH)) * sizes / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def _around(numbers: npt.NDArray[np.float64], anchors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distances left, top, right, bottom from the anchor's centre, in its sizes (Tian et al. 2019, "FCOS")."""
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    return np.concatenate([centres - numbers[:, :2] * sizes, centres + numbers[:, 2:] * sizes], axis=1)


def _best_of_groups(scored: _Scored, groups: Ints, count: int) -> _Scored:
    """The ``count`` best of each group; ``groups`` [m] says the group of each."""
    kept = []
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        if len(places) > count:
            places = places[np.argpartition(-scored.scores[places], count - 1)[:count]]
        kept.append(places)
    rows = np.sort(np.concatenate(kept)) if kept else groups
    return _Scored(scored.anchors[rows], scored.classes[rows], scored.scores[rows])


# ---- the decoder ----


@dataclass(frozen=True, eq=False)
class AnchorDecoder:
    """One of the three layouts. ``best``: how many boxes torchvision keeps of each class (SSD) or level (the others)
    before suppression."""

    head: Head
    name: str
    roles: tuple[str, ...]
    grid: Grid
    score: _Score
    place: _Place
    best: int
    by_class: bool
    background_required: bool
    unique: bool = False

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        if set(outputs) != set(self.roles):
            raise EngineError(f"the layout '{self.name}' has the roles {list(self.roles)}, got {sorted(outputs)}")
        anchors, classes = len(self.grid.boxes), self.head.classes
        columns: dict[str, tuple[int, ...]] = {"scores": (classes + 1,), "boxes": (4,), "centerness": (1,)}
        if not self.background_required:
            columns["scores"] = (classes, classes + 1)
        for role, output in outputs.items():
            allowed = [(anchors, count) for count in columns[role]]
            if output.shape[1:] not in allowed:
                expected = " or ".join(str(list(shape)) for shape in allowed)
                raise EngineError(
                    f"'{output.name}' gives items of shape {list(output.shape[1:])}; expected {expected} for {anchors} anchors "
                    f"and {classes} labels. Give one label for each class, without the background, in the order of the classes"
                )

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        logits = {role: floats(outputs[role][item]) for role in self.roles}
        check_logits(logits["scores"])
        background = logits["scores"].shape[1] - self.head.classes
        scored = self.score(logits, background, least_score)
        groups = scored.classes if self.by_class else self.grid.level[scored.anchors]
        scored = _best_of_groups(scored, groups, self.best)
        numbers = logits["boxes"][scored.anchors].astype(np.float64)
        boxes = self.place(numbers, self.grid.boxes[scored.anchors])
        # torchvision cuts boxes at the picture's edge before it looks for overlaps.
        boxes = np.clip(boxes, 0.0, np.array([self.head.width, self.head.height] * 2, np.float64))
        return candidates_of(boxes, scored.scores, scored.classes)


def _make(name: str, head: Head) -> AnchorDecoder:
    """The decoder of the layout ``name``. Parameters: ``anchors`` (see ``grid_of``); ``best``: how many boxes are kept of
    each class or level before suppression (torchvision's ``topk_candidates``); of ``ssd`` and ``retinanet``
    ``box_weights``, which divide the four numbers of a box."""
    known = {"anchors", "best"} if name == "fcos" else {"anchors", "best", "box_weights"}
    if unknown := set(head.parameters) - known:
        raise InputError(f"the layout '{name}' has the parameters {sorted(known)}, got {sorted(unknown)}")
    if "anchors" not in head.parameters:
        raise _without_anchors()
    best = int(number(head.parameters, "best", _BEST[name], 1, 1e6))
    place: _Place = _around
    if name != "fcos":
        place = partial(_moved, weights=_box_weights(head.parameters.get("box_weights", _BOX_WEIGHTS[name])))
    is_ssd = name == "ssd"
    return AnchorDecoder(
        head, name, _ROLES[name], grid_of(head.parameters["anchors"]), _SCORES[name], place, best,
        by_class=is_ssd, background_required=is_ssd,
    )  # fmt: skip


def _box_weights(given: object) -> tuple[float, ...]:
    if not isinstance(given, (list, tuple)) or len(given) != 4:
        raise InputError(f"box_weights are four numbers above 0, got {given!r}")
    return tuple(number({"box_weights": value}, "box_weights", 1.0, 1e-3, 1e3) for value in given)


def _without_anchors() -> InputError:
    return InputError(
        "the outputs are those of a torchvision head, and its anchors are not in the file. Compile the PyTorch file: "
        "edgevision compile weights.pt --arch torchvision:NAME --task detect"
    )


# torchvision's defaults, of ssd300_vgg16 and of RetinaNet and FCOS.
_BEST = {"ssd": 400, "retinanet": 1000, "fcos": 1000}
_BOX_WEIGHTS = {"ssd": (10.0, 10.0, 5.0, 5.0), "retinanet": (1.0, 1.0, 1.0, 1.0)}
_ROLES = {"ssd": ("scores", "boxes"), "retinanet": ("scores", "boxes"), "fcos": ("scores", "boxes", "centerness")}
_SCORES: dict[str, _Score] = {"ssd": _ssd_scores, "retinanet": _retinanet_scores, "fcos": _fcos_scores}


# ---- which of them a file has ----


def _recognise(name: str, facts: ModelFacts) -> Reading | None:
    """By what the compiler wrote of the module. A head without that has torchvision's names and no anchors: refused."""
    named = {output.name for output in facts.outputs}
    if HEAD not in facts.metadata:
        if {NAMES["scores"], NAMES["boxes"]} <= named <= set(NAMES.values()):
            raise _without_anchors()
        return None
    outputs = {role: NAMES[role] for role in _ROLES[name]}
    if facts.metadata[HEAD] != name or named != set(outputs.values()):
        return None
    parameters = _written(facts.metadata.get(PARAMETERS, ""))
    return Reading(name, outputs, Evidence.METADATA, f"torchvision's {name} head", parameters)


def _written(text: str) -> Mapping[str, Any]:
    """The parameters in the metadata. Raises InputError."""
    try:
        parameters = json.loads(text)
    except (ValueError, RecursionError):
        parameters = None
    if not isinstance(parameters, dict):
        raise InputError(f"the file's metadata '{PARAMETERS}' is damaged; compile the PyTorch file again")
    return parameters


LAYOUTS = tuple(Layout(name, partial(_make, name), partial(_recognise, name)) for name in _SCORES)
