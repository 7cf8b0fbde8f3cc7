"""Random pictures with detections and truths, for whatever compares boxes."""

from __future__ import annotations

import numpy as np

from edgevision.evaluate.statistics.average_precision import Found, Marked

Scene = tuple[list[Found], list[Marked]]


def scene(
    seed: int, pictures: int = 30, classes: int = 5, *, levels: int = 8, unseen: int = 1, crowds: float = 0.1
) -> Scene:
    """Random pictures. Scores have few ``levels``, so that many tie; the last ``unseen`` classes have no truth; some pictures
    have no truth, some no detection; sizes span all areas; a truth is found several times, roughly."""
    rng = np.random.default_rng(seed)
    found, marked = [], []
    for _ in range(pictures):
        count = int(rng.integers(0, 7))
        size = np.exp(rng.uniform(np.log(8), np.log(200), (count, 2)))
        corner = rng.uniform(0, 400, (count, 2))
        boxes = np.concatenate([corner, corner + size], axis=1)
        truth_classes = rng.integers(0, classes - unseen, count)
        areas = size.prod(axis=1) * rng.uniform(0.5, 1.0, count)
        marked.append(Marked(boxes, truth_classes, rng.random(count) < crowds, areas))
        copies = rng.integers(0, 4, count)
        near = np.repeat(boxes, copies, axis=0) + rng.normal(0, 1, (copies.sum(), 4)) * np.repeat(size, copies, axis=0)[
            :, [0, 1, 0, 1]
        ] * rng.choice([0.0, 0.03, 0.1, 0.3])
        near_classes = np.where(rng.random(len(near)) < 0.8, np.repeat(truth_classes, copies), classes - 1)
        stray = rng.uniform(0, 400, (int(rng.integers(0, 6)), 2))
        strays = np.concatenate([stray, stray + rng.uniform(5, 150, stray.shape)], axis=1)
        all_boxes = np.concatenate([near, strays])
        all_boxes[:, 2:] = np.maximum(all_boxes[:, 2:], all_boxes[:, :2] + 1)
        all_classes = np.concatenate([near_classes, rng.integers(0, classes, len(strays))])
        if rng.random() < 0.1:
            all_boxes, all_classes = all_boxes[:0], all_classes[:0]
        scores = np.ceil(rng.random(len(all_boxes)) * levels) / levels
        found.append(Found(all_boxes, scores.astype(np.float32), all_classes.astype(np.int64)))
    return found, marked
