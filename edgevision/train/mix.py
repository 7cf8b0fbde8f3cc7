"""Mixup and CutMix: pairs of photos in one, with the classes mixed in the same proportion."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

MIXUP_ALPHA = 0.4  # of the Beta distribution that the share is drawn from
CUTMIX_ALPHA = 1.0


def mix(
    images: Tensor, targets: Tensor, random: np.random.Generator, mixup: float, cutmix: float
) -> tuple[Tensor, Tensor]:
    """Mix a batch with itself in another order: by CutMix, by mixup, or not, with these probabilities.

    ``images`` N×C×H×W and ``targets`` N×classes (rows sum to 1) keep their shapes; rows still sum to 1.
    """
    choice = random.random()
    if choice < cutmix:
        return _cutmix(images, targets, random)
    if choice < cutmix + mixup:
        return _mixup(images, targets, random)
    return images, targets


def _mixup(images: Tensor, targets: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Every pixel is λ of one photo and 1-λ of the other (Zhang et al. 2018)."""
    share = float(random.beta(MIXUP_ALPHA, MIXUP_ALPHA))
    other = torch.from_numpy(random.permutation(len(images)))
    return torch.lerp(images[other], images, share), torch.lerp(targets[other], targets, share)


def _cutmix(images: Tensor, targets: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A rectangle comes from the other photo; its share of the area is that photo's share (Yun et al. 2019)."""
    height, width = images.shape[-2:]
    side = math.sqrt(1 - float(random.beta(CUTMIX_ALPHA, CUTMIX_ALPHA)))
    middle_y, middle_x = int(random.integers(height)), int(random.integers(width))
    half_h, half_w = int(height * side) // 2, int(width * side) // 2
    top, bottom = max(0, middle_y - half_h), min(height, middle_y + half_h)
    left, right = max(0, middle_x - half_w), min(width, middle_x + half_w)
    other = torch.from_numpy(random.permutation(len(images)))
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[other][..., top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, torch.lerp(targets[other], targets, share)
