"""Which cell learns which product: SimOTA (Ge et al. 2021, "YOLOX").

A cell is good for a product where it says the product's class and its box lies well. Each product is learnt by its best few
cells: by more of them, the better their boxes lie already. So a run begins with the one cell that is nearest to right, and no
cell has to learn a box that it cannot give.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edgevision.train.detect.augment import IGNORED
from edgevision.train.lite_detector import STRIDES, Answers

MOST_CELLS = 10  # that learn a product
_IOU_POWER = 3.0  # of score · IoU³: the published cost -log(score) - 3·log(IoU), as a product


class Targets(NamedTuple):
    """What is marked in N pictures, padded to the most products of any. ``boxes`` [N, M, 4] as x1 y1 x2 y2 in pixels of the
    tensor, ``classes`` int64 [N, M]: a class's place, ``IGNORED`` or ``PADDING``."""

    boxes: Tensor
    classes: Tensor


PADDING = -2  # in place of a class


class Assignment(NamedTuple):
    """For each cell, [N, cells]: ``product`` int64, the place of the product that it learns, or -1; ``quality`` float32, the
    score that it is to give for that product's class, 0 where there is none; ``counts`` bool, whether its score is learnt
    at all: not within what is ``IGNORED``."""

    product: Tensor
    quality: Tensor
    counts: Tensor


@torch.no_grad()
def assign(answers: Answers, targets: Targets, most: int = MOST_CELLS) -> Assignment:
    """Give each product cells whose middle it covers, and whose box overlaps it: as many as the IoUs of the ``most`` best boxes
    add up to, at least one.

    A cell that several products would take goes to the one that it is best for. The quality is the IoU of its box.
    """
    boxes, classes = targets
    real = classes >= 0
    inside = covers(_at_least_a_cell(boxes), answers.centres) & real[..., None]  # [N, M, cells]
    overlap = pairwise_iou(boxes, answers.boxes) * inside
    places = classes.clamp(min=0)[..., None].expand(-1, -1, answers.logits.shape[1])
    score = answers.logits.sigmoid().transpose(1, 2).gather(1, places)
    goodness = score * overlap**_IOU_POWER

    most = min(most, goodness.shape[2])
    count = overlap.topk(most, 2).values.sum(2).int().clamp(min=1)
    best = goodness.topk(most, 2)
    enough = (torch.arange(most, device=boxes.device) < count[..., None]) & (best.values > 0)
    chosen = torch.zeros_like(inside).scatter_(2, best.indices, enough)
    product = torch.where(chosen, goodness, -1.0).argmax(1)  # of each cell
    taken = chosen.any(1)
    quality = overlap.gather(1, product[:, None])[:, 0] * taken
    ignored = (covers(boxes, answers.centres) & (classes == IGNORED)[..., None]).any(1)
    return Assignment(torch.where(taken, product, -1), quality, taken | ~ignored)


def covers(boxes: Tensor, points: Tensor) -> Tensor:
    """Whether boxes [..., M, 4] hold points [P, 2]: bool [..., M, P]."""
    x, y = points[:, 0], points[:, 1]
    x1, y1, x2, y2 = boxes[..., None].unbind(-2)
    return (x >= x1) & (x < x2) & (y >= y1) & (y < y2)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of each of a [N, M, 4] with each of b [N, P, 4], as x1 y1 x2 y2: [N, M, P]. Boxes turned inside out have none."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    together = box_area(a)[:, :, None] + box_area(b)[:, None] - shared
    return shared / together.clamp(min=1e-9)


def box_area(boxes: Tensor) -> Tensor:
    """Areas of boxes [..., 4] as x1 y1 x2 y2: [...]."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def _at_least_a_cell(boxes: Tensor) -> Tensor:
    """The boxes, the small ones widened about their middle to the finest stride: then each covers the middle of a cell."""
    middle, half = (boxes[..., 2:] + boxes[..., :2]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    half = half.clamp(min=STRIDES[0] / 2)
    return torch.cat([middle - half, middle + half], -1)
