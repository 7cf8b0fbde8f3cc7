"""The exponential moving average of a network's weights: what is validated and kept."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """``model`` follows the trained network: average ← decay·average + (1-decay)·weight, after each step.

    Statistics of batch norms are averaged too; counters are copied.
    """

    def __init__(self, trained: nn.Module) -> None:
        self.model = copy.deepcopy(trained).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, trained: nn.Module, decay: float) -> None:
        """Take in the weights as they are after a step."""
        values = trained.state_dict()
        for name, average in self.model.state_dict().items():
            if average.is_floating_point():
                average.lerp_(values[name], 1 - decay)
            else:
                average.copy_(values[name])
