"""What a network costs, and its batch norms' statistics taken anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgevision.compiler.prune_groups import ChannelGroup, weight_of
from edgevision.compiler.prune_statistics import BATCH, Photos
from edgevision.train.channels import channel_counts


def reestimate_norms(network: nn.Module, photos: Photos, step: Callable[[int, int], None] | None = None) -> bool:
    """Set means and variances of all batch norms to those of ``photos`` [n, c, h, w], in place; no labels needed.

    The cumulative average over portions of about 32 photos, all of one size. Affects nothing else; the network is left
    in eval mode. Returns whether there was anything to set.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    network.eval()
    if not norms:
        return False
    momenta = [layer.momentum for layer in norms]
    portions = np.array_split(photos, max(1, round(len(photos) / BATCH)))
    try:
        for layer in norms:
            layer.reset_running_stats()
            layer.momentum = None  # the plain average of all portions
            layer.train()
        with torch.no_grad():
            for done, portion in enumerate(portions):
                network(torch.from_numpy(np.ascontiguousarray(portion)))
                if step:
                    step(done + 1, len(portions))
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
        network.eval()
    return True


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
