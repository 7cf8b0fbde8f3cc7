"""Do calibration photos look to the network as its training photos did? Its first batch norm remembers those.

A mean or std that is not the training's moves what the first layer sees, and every int8 range with it, while everything
still runs. The running mean and variance of the first batch norm, before anything saturates, are the training's own
record to compare with. Swapped colours hardly show in them: those are found on labelled photos (``select.doubts``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

FAR = 0.75  # shift in standard deviations of the training; sound photos were within 0.25 where this was tried
WIDE = 2.0  # times wider or narrower than the training; sound photos were within 1.3


@dataclass(frozen=True)
class TrainingShift:
    """How far the first batch norm's inputs on calibration photos lie from the training's: medians over its channels.

    ``shift``: distance of the means, in the training's standard deviations. ``std_ratio``: ratio of the standard deviations.
    """

    shift: float
    std_ratio: float

    @property
    def is_odd(self) -> bool:
        """Whether it is more than other photos of the same kind explain."""
        return self.shift > FAR or not 1 / WIDE <= self.std_ratio <= WIDE

    def note(self) -> str:
        """What to tell the user; empty where nothing is odd."""
        if not self.is_odd:
            return ""
        return (
            f"calibration photos do not look as the training's did: activations are {self.shift:.1f} standard "
            f"deviations off and {self.std_ratio:.2g} times as wide. Check --preprocess (mean, std, color) and --data"
        )


def training_shift(module: nn.Module, batches: Iterable[npt.NDArray[Any]]) -> TrainingShift | None:
    """Compare the inputs of the first batch norm of ``module`` (eval mode, CPU) with its running statistics.

    ``batches``: prepared input tensors [n, …]. None where the network has no batch norm with running statistics.
    """
    norm = next((m for m in module.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None), None)
    if norm is None:
        return None
    sums = _Sums()
    hook = norm.register_forward_pre_hook(lambda _, inputs: sums.add(inputs[0].detach()))
    try:
        with torch.inference_mode():
            for batch in batches:
                module(torch.from_numpy(np.ascontiguousarray(batch)))
    finally:
        hook.remove()
    if not sums.count or norm.running_mean is None or norm.running_var is None:
        return None
    deviation = torch.sqrt(norm.running_var.double() + norm.eps)
    mean, variance = sums.moments()
    shift = (mean - norm.running_mean.double()).abs() / deviation
    std_ratio = torch.sqrt(variance + norm.eps) / deviation
    return TrainingShift(float(shift.median()), float(std_ratio.median()))


class _Sums:
    """First and second moment of each channel, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.sum: Tensor = torch.zeros(())
        self.squares: Tensor = torch.zeros(())

    def add(self, x: Tensor) -> None:
        wide = x.double()
        self.sum = self.sum + wide.sum((0, 2, 3))
        self.squares = self.squares + (wide * wide).sum((0, 2, 3))
        self.count += wide.numel() // wide.shape[1]

    def moments(self) -> tuple[Tensor, Tensor]:
        mean = self.sum / self.count
        return mean, (self.squares / self.count - mean * mean).clamp_min(0)
