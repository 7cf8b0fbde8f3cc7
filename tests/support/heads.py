"""Outputs of detectors with boxes that a test placed: an encoder for each layout, in plain NumPy and float64.

An object is (class, score, x1, y1, x2, y2) in pixels of the tensor. What is not an object has scores under 0.05.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NOISE = 0.05


class Thing(NamedTuple):
    """A placed object."""

    label: int
    score: float
    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def box(self):
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def centre_and_size(self):
        return ((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2, self.x2 - self.x1, self.y2 - self.y1)


def things(classes, height, width, count=6, seed=0):
    """Objects that do not overlap, one in each of ``count`` columns, best first; classes go round."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        left, right = width * i / count, width * (i + 1) / count
        x1, x2 = np.sort(rng.uniform(left, right, 2))
        y1, y2 = np.sort(rng.uniform(0, height, 2))
        found.append(Thing(i % classes, 0.95 - 0.1 * i, x1, y1, x2 + 0.5, y2 + 0.5))
    return found


def cells(height, width, strides):
    return sum((height // s) * (width // s) for s in strides)


def logit(p):
    return np.log(p) - np.log1p(-p)


def yolo(objects, classes, height, width, strides=(8, 16, 32), seed=1):
    """[4 + classes, cells]: boxes as centre and size."""
    rng = np.random.default_rng(seed)
    n = cells(height, width, strides)
    grid = np.concatenate([rng.uniform(1, 60, (4, n)), rng.uniform(0, NOISE, (classes, n))])
    for thing, cell in zip(objects, rng.permutation(n), strict=False):
        grid[:4, cell] = thing.centre_and_size
        grid[4 + thing.label, cell] = thing.score
    return grid.astype(np.float32)


def yolov5(objects, classes, height, width, seed=1):
    """[3 · cells, 5 + classes]: objectness × class score is the score."""
    rng = np.random.default_rng(seed)
    n = 3 * cells(height, width, (8, 16, 32))
    rows = np.concatenate(
        [rng.uniform(1, 60, (n, 4)), rng.uniform(0, NOISE, (n, 1)), rng.uniform(0, 1, (n, classes))], 1
    )
    for thing, row in zip(objects, rng.permutation(n), strict=False):
        rows[row, :4] = thing.centre_and_size
        rows[row, 4] = np.sqrt(thing.score)
        rows[row, 5:] = NOISE
        rows[row, 5 + thing.label] = np.sqrt(thing.score)
    return rows.astype(np.float32)


def levels(objects, classes, height, width, strides=(8, 16, 32), seed=1):
    """``cls_s8`` [classes, h, w], logits, and ``box_s8`` [4, h, w], for each stride. An object sits in the cell that holds its
    centre, in the level of its turn."""
    rng = np.random.default_rng(seed)
    outputs = {}
    for s in strides:
        shape = (height // s, width // s)
        outputs[f"cls_s{s}"] = logit(rng.uniform(1e-4, NOISE, (classes, *shape)))
        outputs[f"box_s{s}"] = rng.uniform(0, 3, (4, *shape))
    for i, thing in enumerate(objects):
        s = strides[i % len(strides)]
        cx, cy, _, _ = thing.centre_and_size
        x, y = min(int(cx // s), width // s - 1), min(int(cy // s), height // s - 1)
        middle = ((x + 0.5) * s, (y + 0.5) * s)
        outputs[f"cls_s{s}"][thing.label, y, x] = logit(thing.score)
        outputs[f"box_s{s}"][:, y, x] = (
            (middle[0] - thing.x1) / s, (middle[1] - thing.y1) / s, (thing.x2 - middle[0]) / s, (thing.y2 - middle[1]) / s
        )  # fmt: skip
    return {name: array.astype(np.float32) for name, array in outputs.items()}


def finished(objects, height, width, rows=300, *, normalised=False, seed=1):
    """[rows, 6]: box, score, class, in no order, filled up with zeros. ``normalised``: centre and size, 0…1."""
    found = np.zeros((rows, 6))
    for thing, row in zip(objects, np.random.default_rng(seed).permutation(rows), strict=False):
        box = np.array(thing.centre_and_size) / (width, height, width, height) if normalised else thing.box
        found[row] = (*box, thing.score, thing.label)
    return found.astype(np.float32)


def queries(objects, columns, height, width, count=300, *, seed=1):
    """Boxes [count, 4], centre and size 0…1, and probabilities [count, columns]; an object's label is its column."""
    rng = np.random.default_rng(seed)
    boxes, scores = rng.uniform(0.1, 0.5, (count, 4)), rng.uniform(1e-4, NOISE, (count, columns))
    for thing, query in zip(objects, rng.permutation(count), strict=False):
        boxes[query] = np.array(thing.centre_and_size) / (width, height, width, height)
        scores[query, thing.label] = thing.score
    return boxes.astype(np.float32), scores
