"""Detectors made of torchvision's own classes, small enough to build in a moment, with seeded weights that spread the scores."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD

KINDS = ("ssd", "retinanet", "fcos")
_CHANNELS = 32


class Pyramid(nn.Module):
    """Features at the strides 8, 16, 32, … as torchvision's backbones give them."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.out_channels: int | list[int] = _CHANNELS
        self.stem = nn.Conv2d(3, _CHANNELS, 8, stride=4, padding=2)
        self.levels = nn.ModuleList(nn.Conv2d(_CHANNELS, _CHANNELS, 3, stride=2, padding=1) for _ in range(levels))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        found = OrderedDict()
        for place, layer in enumerate(self.levels):
            x = layer(x).tanh()
            found[str(place)] = x
        return found


def make_detector(kind: str, columns: int, seed: int = 0, **changes: Any) -> nn.Module:
    """One of ``KINDS`` with a head of so many ``columns``, in eval mode. ``changes``: to torchvision's arguments."""
    torch.manual_seed(seed)
    if kind == "ssd":
        boxes = DefaultBoxGenerator([[2], [2, 3], [2]], min_ratio=0.2, max_ratio=0.95)
        options = {"size": (160, 96), "score_thresh": 0.05, "topk_candidates": 30, **changes}
        backbone = Pyramid(3)
        backbone.out_channels = [_CHANNELS] * 3
        network: nn.Module = SSD(backbone, boxes, num_classes=columns, **options)
    else:
        options = {"min_size": 96, "max_size": 200, "score_thresh": 0.3, "topk_candidates": 60, **changes}
        if kind == "fcos":
            anchors = AnchorGenerator(((8,), (16,), (32,)), ((1.0,),) * 3)
            network = FCOS(Pyramid(3), columns, anchor_generator=anchors, **options)
        else:
            anchors = AnchorGenerator(((16, 24), (32, 48), (64, 96)), ((0.5, 1.0, 2.0),) * 3)
            network = RetinaNet(Pyramid(3), columns, anchor_generator=anchors, **options)
    _spread(network)
    return network.eval()


def _spread(network: nn.Module) -> None:
    """Give the head's last layers weights that make scores and boxes of all sizes; initial ones make all nearly equal."""
    with torch.no_grad():
        for name, layer in network.head.named_modules():
            if isinstance(layer, nn.Conv2d) and ".conv." in name:
                layer.weight.normal_(0.0, 0.08)
            elif isinstance(layer, nn.Conv2d):
                classes = "classification" in name or "ctrness" in name
                layer.weight.normal_(0.0, 0.2 if classes else 0.02)
                layer.bias.normal_(0.0 if classes or not isinstance(network, FCOS) else 2.0, 0.5)
