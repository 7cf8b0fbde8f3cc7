"""What the detector makes small: errors of scores and of boxes, over the cells that a product was given to.

Each function gives a loss for each element; ``detection_loss`` adds them up.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgevision.train.detect.assign import Targets, assign
from edgevision.train.lite_detector import Answers

BOX_WEIGHT = 2.5  # beside 1 for the scores
_NEGATIVE_WEIGHT, _FOCUS = 0.75, 2.0  # α and γ of the varifocal loss, as published


def varifocal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """Of logits and the scores that are wanted, 0…1, of one shape (Zhang et al. 2021, "VarifocalNet").

    q·BCE(p, q) where q > 0, so that well placed boxes count most; α·p^γ·BCE(p, 0) elsewhere, so that easy background
    counts little.
    """
    negative = _NEGATIVE_WEIGHT * logits.sigmoid() ** _FOCUS
    weight = torch.where(quality > 0, quality, negative.detach())
    return weight * functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def complete_iou_loss(boxes: Tensor, wanted: Tensor) -> Tensor:
    """1 - CIoU of pairs of boxes [n, 4] as x1 y1 x2 y2: [n], 0…3 (Zheng et al. 2020).

    CIoU = IoU - d²/c² - α·v, with d the distance of the middles, c the diagonal of the smallest box around both,
    v = (2/π·(atan(w/h) - atan(w'/h')))² and α = v / (1 - IoU + v), which is held constant.
    """
    low, high = torch.maximum(boxes[:, :2], wanted[:, :2]), torch.minimum(boxes[:, 2:], wanted[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    size, wanted_size = boxes[:, 2:] - boxes[:, :2], wanted[:, 2:] - wanted[:, :2]
    together = size.clamp(min=0).prod(1) + wanted_size.prod(1) - shared
    iou = shared / together.clamp(min=_SMALL)

    around = torch.maximum(boxes[:, 2:], wanted[:, 2:]) - torch.minimum(boxes[:, :2], wanted[:, :2])
    apart = (boxes[:, :2] + boxes[:, 2:] - wanted[:, :2] - wanted[:, 2:]) / 2
    distance = apart.square().sum(1) / around.square().sum(1).clamp(min=_SMALL)

    size, wanted_size = size.clamp(min=_SMALL), wanted_size.clamp(min=_SMALL)
    angle = torch.atan2(wanted_size[:, 0], wanted_size[:, 1]) - torch.atan2(size[:, 0], size[:, 1])
    shape = (2 / torch.pi * angle) ** 2
    share = (shape / (1 - iou + shape).clamp(min=_SMALL)).detach()
    return 1 - iou + distance + share * shape


_SMALL = 1e-6


def detection_loss(answers: Answers, targets: Targets) -> Tensor:
    """Loss of a batch, a number: that of the scores by the sum of all wanted scores (at least 1), and the mean of the boxes'.

    Every box counts as much as any other: weighted by how well they lie, the bad ones would never become good.
    """
    product, quality, counts = assign(answers, targets)
    items, cells = (product >= 0).nonzero(as_tuple=True)
    places = product[items, cells]
    wanted = torch.zeros_like(answers.logits)
    wanted[items, cells, targets.classes[items, places]] = quality[items, cells]
    score = (varifocal_loss(answers.logits, wanted) * counts[..., None]).sum()
    box = complete_iou_loss(answers.boxes[items, cells], targets.boxes[items, places])
    return score / quality.sum().clamp(min=1) + BOX_WEIGHT * box.sum() / max(1, len(cells))
