"""What a network costs, and its batch norms' statistics taken anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgevision.compiler.prune.groups import ChannelGroup, Indices, weight_of
from edgevision.compiler.prune.statistics import BATCH, Photos
from edgevision.train.channels import channel_counts

_DEAD = 1e-12  # a variance below this is none
_MOST = 16.0  # a spread that changed more than this says that a channel died, not that it is to be scaled


@dataclass(frozen=True, eq=False)
class NormInput:
    """What comes into a batch norm over some photos: ``mean`` and ``variance`` of each channel, [c] float64.

    ``running_mean`` and ``scale`` = √(running variance + ε): what the norm takes them for.
    """

    mean: Tensor
    variance: Tensor
    running_mean: Tensor
    scale: Tensor


def norm_inputs(network: nn.Module, photos: Photos) -> dict[str, NormInput]:
    """Of every batch norm that keeps statistics, by name: averages over portions of about 32 photos [n, c, h, w]."""
    sums: dict[str, list[Tensor]] = {}

    def take(name: str, _norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
        before = sums.get(name, [torch.zeros(()), torch.zeros(())])
        sums[name] = [before[0] + mean, before[1] + variance]

    portions = _run_norms(network, photos, take)
    return {
        name: NormInput(mean / portions, variance / portions, *_running(network.get_submodule(name)))
        for name, (mean, variance) in sums.items()
    }


def reestimate_norms(
    network: nn.Module, photos: Photos, like: Mapping[str, NormInput], kept: Mapping[str, Indices]
) -> bool:
    """Estimate means and variances of all batch norms anew on ``photos`` [n, c, h, w], in place; no labels needed.

    What comes out of each norm then has the mean and variance that it had in the original (``like``, of which the
    network has the channels ``kept``), while the photos are the same: cumulative averages as usual, but relative to the
    original's. Where the original's own statistics are those of the photos, that is the plain re-estimate; where they
    are not (kept from ImageNet in fine-tuning, say), the plain one would change even a network that nothing was cut
    from. Returns whether there was anything to set. The network is left in eval mode.
    """
    sums: dict[str, tuple[Tensor, Tensor]] = {}

    def take(name: str, norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
        before = sums.get(name)
        sums[name] = (mean, variance) if before is None else (before[0] + mean, before[1] + variance)
        _set(norm, mean, variance, like[name], kept[name])  # so that the layers behind see what they are to see

    portions = _run_norms(network, photos, take)
    for name, (mean, variance) in sums.items():
        norm = network.get_submodule(name)
        assert isinstance(norm, _BatchNorm)
        _set(norm, mean / portions, variance / portions, like[name], kept[name])
    return bool(sums)


def _set(norm: _BatchNorm, mean: Tensor, variance: Tensor, like: NormInput, kept: Indices) -> None:
    """(x - running mean) / scale gets the mean and the spread that it has in the original."""
    k = torch.from_numpy(kept)
    original = like.variance[k]
    ratio = torch.where(original > _DEAD, (variance / original.clamp(min=_DEAD)).sqrt(), torch.ones_like(original))
    ratio = ratio.clamp(1 / _MOST, _MOST)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean - (like.mean[k] - like.running_mean[k]) * ratio)
    norm.running_var.copy_(((like.scale[k] * ratio) ** 2 - norm.eps).clamp(min=0))


def _run_norms(network: nn.Module, photos: Photos, take: Callable[[str, _BatchNorm, Tensor, Tensor], None]) -> int:
    """Run the network; ``take`` gets each norm's name, itself, and its input's mean and variance. Returns the portions."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(layer, _BatchNorm)
            channels = inputs[0].detach().transpose(0, 1).flatten(1)
            variance, mean = torch.var_mean(channels, 1, correction=0)
            take(name, layer, mean.double(), variance.double())

        return look

    network.eval()
    handles = [
        layer.register_forward_pre_hook(hook(name))
        for name, layer in network.named_modules()
        if isinstance(layer, _BatchNorm) and layer.track_running_stats
    ]
    portions = np.array_split(photos, max(1, round(len(photos) / BATCH)))
    try:
        with torch.no_grad():
            for portion in portions if handles else ():
                network(torch.from_numpy(np.ascontiguousarray(portion)))
    finally:
        for handle in handles:
            handle.remove()
    return len(portions)


def _running(norm: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(norm, _BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean.double().clone(), (norm.running_var.double() + norm.eps).sqrt()


def count_parameters(network: nn.Module) -> int:
    """Weights and biases, without statistics."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, example: Tensor) -> int:
    """Multiply-adds of convolutions and matrix products for one photo of ``example`` [n, c, h, w]."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(example[:1])
    return int(counter.get_total_flops()) // 2


def macs_per_channel(network: nn.Module, groups: Sequence[ChannelGroup], example: Tensor) -> list[float]:
    """Multiply-adds for one photo that go with one channel of each group. ``network``: a ``modular_copy``."""
    macs: dict[str, float] = {}

    def hook(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def count(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
            macs[name] = macs.get(name, 0.0) + output[0].numel() * weight_of(network, name)[0].numel()

        return count

    handles = [
        layer.register_forward_hook(hook(name))
        for name, layer in network.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    try:
        with torch.no_grad():
            network(example[:1])
    finally:
        for handle in handles:
            handle.remove()
    counts = channel_counts(network)
    found = []
    for group in groups:
        members = [m for m in group.members if m.layer in macs]
        total = sum(macs[m.layer] * len(m.places) / counts[m.layer][m.role != "in"] for m in members)
        found.append(max(total / group.size, 1.0))
    return found
