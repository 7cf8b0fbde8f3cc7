"""Our own detector's head: scores and distances for each level, as the network's last convolutions give them.

Nothing is joined in the graph, so that int8 never puts boxes and scores under one scale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError
from edgevision.tasks.detect.arrays import Floats, candidates_of, check_logits, floats, least_logit, sigmoid
from edgevision.tasks.detect.candidates import Candidates, Evidence, Head, Layout, Reading
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import Outputs, TensorInfo

NAME = "levels"

_ROLE = re.compile(r"(scores|boxes)_([1-9]\d{0,3})")
_OUTPUT = re.compile(r"(cls|box)_s([1-9]\d{0,3})")
_ROLE_OF = {"cls": "scores", "box": "boxes"}


@dataclass(frozen=True)
class LevelsDecoder:
    """Roles ``scores_8`` [n, classes, h, w], logits, and ``boxes_8`` [n, 4, h, w]: distances ≥ 0 to left, top, right and
    bottom from the cell's centre ((x + 0.5) · stride, (y + 0.5) · stride), in units of the stride; so for each stride."""

    head: Head
    unique: bool = False

    def check(self, outputs: Mapping[str, TensorInfo]) -> None:  # noqa: D102 - as in Decoder
        strides = _strides(outputs)
        if not strides:
            raise EngineError(f"expected the roles scores_8 and boxes_8, and so for each stride, got {sorted(outputs)}")
        for stride in strides:
            cells = (self.head.height // stride, self.head.width // stride)
            for role, channels in (("scores", self.head.classes), ("boxes", 4)):
                output = outputs[f"{role}_{stride}"]
                if output.shape[1:] != (channels, *cells):
                    raise EngineError(
                        f"'{output.name}' gives items of shape {output.shape[1:]}; expected {(channels, *cells)} for "
                        f"{self.head.classes} labels and an input of {self.head.height}×{self.head.width}. Give one "
                        "label for each class, or export the model for that size"
                    )

    def candidates(self, outputs: Outputs, item: int, least_score: float) -> Candidates:  # noqa: D102
        found = [
            self._level(floats(outputs[f"scores_{s}"][item]), floats(outputs[f"boxes_{s}"][item]), s, least_score)
            for s in _strides(outputs)
        ]
        boxes, scores, classes = (np.concatenate(column) for column in zip(*found, strict=True))
        kept = scores > least_score
        return candidates_of(boxes[kept], scores[kept], classes[kept])

    def _level(
        self, logits: Floats, distances: Floats, stride: int, least_score: float
    ) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        """Boxes [m, 4], scores [m] and classes [m] of one level; some scores may still be too low."""
        check_logits(logits)
        best = logits.max(axis=0)
        y, x = np.nonzero(best > least_logit(least_score))
        centre = np.stack([x, y], axis=1).astype(np.float32) + np.float32(0.5)
        reach = distances[:, y, x].T
        boxes = np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], axis=1) * np.float32(stride)
        return boxes, sigmoid(best[y, x]), logits[:, y, x].argmax(axis=0)


def _strides(roles: Mapping[str, object]) -> list[int]:
    """The strides, smallest first; none where a level lacks scores or boxes, or a role is another one."""
    found: dict[str, set[int]] = {"scores": set(), "boxes": set()}
    for role in roles:
        match = _ROLE.fullmatch(role)
        if match is None:
            return []
        found[match[1]].add(int(match[2]))
    return sorted(found["scores"]) if found["scores"] == found["boxes"] else []


def _make(head: Head) -> LevelsDecoder:
    head.allow_parameters(NAME)
    return LevelsDecoder(head)


def _recognise(facts: ModelFacts) -> Reading | None:
    roles = {}
    for output in facts.outputs:
        match = _OUTPUT.fullmatch(output.name)
        if match is None:
            return None
        roles[f"{_ROLE_OF[match[1]]}_{match[2]}"] = output.name
    strides = _strides(roles)
    if not strides:
        return None
    return Reading(NAME, roles, Evidence.NAMES, f"EdgeVision's own detector with the strides {strides}")


LAYOUTS = (Layout(NAME, _make, _recognise),)
