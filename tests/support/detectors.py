"""Detectors that need no network: digests as a detector would give them, from boxes that are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.detect.task import detect_spec
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs

SIDE = 320  # of the tensor


def spec(classes: int = 3, **parameters: Any) -> TaskSpec:
    labels = [Label(10 + c, f"product {c}") for c in range(classes)]
    return detect_spec(labels, "yolo", {"boxes_and_scores": "output0"}, height=SIDE, width=SIDE, **parameters)


def digest(answers: Sequence[Sequence[tuple[Any, float, int]]], most: int = 12) -> dict[str, Any]:
    """``answers``: for each photo (box, score, class), best first; padded as ``DetectTask.digest`` pads."""
    boxes = np.zeros((len(answers), most, 4), np.float32)
    scores = np.zeros((len(answers), most), np.float32)
    classes = np.full((len(answers), most), -1, np.float32)
    for i, photo in enumerate(answers):
        for k, (box, score, label) in enumerate(sorted(photo, key=lambda one: -one[1])):
            boxes[i, k], scores[i, k], classes[i, k] = box, score, label
    return {"boxes": boxes, "scores": scores, "classes": classes}


def photos(seed: int, n: int = 40, classes: int = 3, size: tuple[int, int] = (SIDE, SIDE)) -> list[PhotoBoxes]:
    """Photos of ``size`` (height, width) with 1 to 4 boxes each that hardly overlap."""
    rng = np.random.default_rng(seed)
    height, width = size
    found = []
    for _ in range(n):
        boxes = []
        for cell in rng.permutation(4)[: rng.integers(1, 5)].tolist():
            x, y = (cell % 2) * width / 2, (cell // 2) * height / 2
            x1, y1 = x + rng.uniform(0, 0.1) * width, y + rng.uniform(0, 0.1) * height
            w, h = rng.uniform(0.2, 0.35) * width, rng.uniform(0.2, 0.35) * height
            boxes.append(Box(int(rng.integers(0, classes)), x1, y1, x1 + w, y1 + h))
        found.append(PhotoBoxes(height, width, tuple(boxes)))
    return found


def answers(
    truths: Sequence[PhotoBoxes], seed: int = 0, *, shift: float = 0.0, missing: float = 0.0, fade: float = 1.0,
    wrong_class: float = 0.0, strays: int = 2, classes: int = 3,
) -> Outputs:  # fmt: skip
    """What a detector of so much damage finds of ``truths``, whose pixels are the tensor's. The same ``seed`` gives the same
    detector, so that damage is all that differs. ``shift``: of boxes, as a share of their width; ``missing``, ``wrong_class``: shares
    of boxes; ``fade``: factor of scores; ``strays``: boxes of low score in each photo where nothing is."""
    rng = np.random.default_rng(seed)
    result = []
    for truth in truths:
        photo: list[tuple[Any, float, int]] = []
        for box in truth.boxes:
            score, luck, confusion = rng.uniform(0.4, 0.95), rng.random(), rng.random()
            if luck < missing:
                continue
            move = shift * (box.x2 - box.x1)
            label = (box.label + 1) % classes if confusion < wrong_class else box.label
            photo.append(((box.x1 + move, box.y1, box.x2 + move, box.y2), fade * score, label))
        for _ in range(strays):
            x, y = rng.uniform(0, SIDE - 30, 2)
            photo.append(((x, y, x + 25, y + 25), fade * rng.uniform(0.02, 0.2), int(rng.integers(0, classes))))
        result.append(photo)
    return digest(result)
