"""Which cell learns which product: task-aligned assignment (Feng et al. 2021, "TOOD").

A cell is good for a product where it says the product's class and its box lies well; the best few cells of each product learn
it, and the better they are, the higher the score that they are to give.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edgevision.train.detect.network import STRIDES, Answers

CELLS_A_PRODUCT = 13
_SCORE_POWER, _IOU_POWER = 1.0, 6.0  # of the alignment score^α · IoU^β, as published
_SMALLEST = torch.finfo(torch.float32).tiny


class Targets(NamedTuple):
    """What is marked in N pictures, padded to the most products of any. ``boxes`` [N, M, 4] as x1 y1 x2 y2 in pixels of the
    tensor, ``classes`` int64 [N, M]: a class's place, ``IGNORED`` or ``PADDING``."""

    boxes: Tensor
    classes: Tensor


IGNORED = -1  # there is something, but nobody learns from it: a heap, or the rest of a product that was cut off
PADDING = -2


class Assignment(NamedTuple):
    """For each cell, [N, cells]: ``product`` int64, the place of the product that it learns, or -1; ``quality`` float32, the
    score that it is to give for that product's class, 0 where there is none; ``counts`` bool, whether its score is learnt
    at all: not within what is ``IGNORED``."""

    product: Tensor
    quality: Tensor
    counts: Tensor


@torch.no_grad()
def assign(answers: Answers, targets: Targets, cells: int = CELLS_A_PRODUCT) -> Assignment:
    """Give each product up to ``cells`` of the cells whose middle it covers, and whose box overlaps it.

    A cell that several products would take goes to the one that its box fits best. The quality is the alignment, scaled so
    that the best of a product's cells has the best IoU of them.
    """
    boxes, classes = targets
    real = classes >= 0
    inside = covers(_at_least_a_cell(boxes), answers.centres) & real[..., None]  # [N, M, cells]
    overlap = pairwise_iou(boxes, answers.boxes) * inside
    places = classes.clamp(min=0)[..., None].expand(-1, -1, answers.logits.shape[1])
    score = answers.logits.sigmoid().transpose(1, 2).gather(1, places)
    alignment = score**_SCORE_POWER * overlap**_IOU_POWER * inside

    best = alignment.topk(min(cells, alignment.shape[2]), 2).indices
    chosen = torch.zeros_like(inside).scatter_(2, best, True) & (alignment > 0)
    rival = torch.where(chosen, overlap, -1.0)
    product = rival.argmax(1)  # of each cell
    taken = chosen.any(1)
    chosen = chosen & (torch.arange(boxes.shape[1], device=boxes.device)[None, :, None] == product[:, None])

    alignment, overlap = alignment * chosen, overlap * chosen
    highest, best_overlap = alignment.amax(2, keepdim=True), overlap.amax(2, keepdim=True)
    quality = (alignment / highest.clamp(min=_SMALLEST) * best_overlap).amax(1)
    ignored = (covers(boxes, answers.centres) & (classes == IGNORED)[..., None]).any(1)
    return Assignment(torch.where(taken, product, -1), quality * taken, taken | ~ignored)


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
