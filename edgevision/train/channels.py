"""How many channels the layers of a network have, as plain values; and networks rebuilt with fewer.

A pruned network is its architecture with fewer channels. ``{"conv1": (3, 48), "bn1": (48, 48), …}`` says how many: for
each convolution, linear layer and batch norm, what goes in and what comes out. Nothing else of a network depends on
them, so ``apply_channels`` needs no code of the architecture's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgevision.errors import InputError

Channels: TypeAlias = dict[str, tuple[int, int]]  # name of a layer → channels in, channels out


def channel_counts(network: nn.Module) -> Channels:
    """Channels in and out of every ``nn.Conv2d``, ``nn.Linear`` and batch norm, by the layer's name.

    >>> channel_counts(nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)))
    {'0': (3, 8), '1': (8, 8)}
    """
    counts: Channels = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            counts[name] = (layer.in_channels, layer.out_channels)
        elif isinstance(layer, nn.Linear):
            counts[name] = (layer.in_features, layer.out_features)
        elif isinstance(layer, _BatchNorm):
            counts[name] = (layer.num_features, layer.num_features)
    return counts


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each channel of the layer is made of one channel of its own: a convolution with as many groups."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels == layer.out_channels > 1


def apply_channels(network: nn.Module, channels: Mapping[str, tuple[int, int]]) -> nn.Module:
    """Cut ``network`` in place to ``channels`` and return it; each layer keeps the first of its channels.

    Made for state dicts: load the pruned one next. Depthwise convolutions stay depthwise, other grouped ones keep
    their number of groups. Works on the meta device. Raises InputError for names and counts that do not fit.
    """
    own = channel_counts(network)
    if unknown := sorted(set(channels) ^ set(own)):
        raise InputError(
            f"channels name every convolution, linear layer and batch norm of the network; {unknown[0]!r} is "
            f"{'missing' if unknown[0] in own else 'not one of them'}"
        )
    for name, count in channels.items():
        if not (isinstance(count, tuple) and len(count) == 2 and all(type(n) is int for n in count)):
            raise InputError(f"channels of {name} are two whole numbers, in and out; got {count!r}")
        most = own[name]
        if not all(1 <= n <= limit for n, limit in zip(count, most, strict=True)):
            raise InputError(f"{name} has 1…{most[0]} channels in and 1…{most[1]} out, got {count[0]} and {count[1]}")
        if count != most:
            _cut(network.get_submodule(name), name, *count)
    return network


def _cut(layer: nn.Module, name: str, inputs: int, outputs: int) -> None:
    if isinstance(layer, nn.Conv2d):
        if is_depthwise(layer):
            layer.groups = outputs
        if inputs % layer.groups or outputs % layer.groups:
            raise InputError(f"{name} has {layer.groups} groups, which do not divide {inputs} in and {outputs} out")
        layer.weight = _parameter(layer.weight[:outputs, : inputs // layer.groups])
        layer.in_channels, layer.out_channels = inputs, outputs
    elif isinstance(layer, nn.Linear):
        layer.weight = _parameter(layer.weight[:outputs, :inputs])
        layer.in_features, layer.out_features = inputs, outputs
    else:
        assert isinstance(layer, _BatchNorm)
        if inputs != outputs:
            raise InputError(f"{name} is a batch norm: as many channels in as out, got {inputs} and {outputs}")
        layer.num_features = outputs
        if layer.affine:
            layer.weight = _parameter(layer.weight[:outputs])
        for statistic in ("running_mean", "running_var"):
            if (value := getattr(layer, statistic)) is not None:
                setattr(layer, statistic, value[:outputs].clone())
    if getattr(layer, "bias", None) is not None:
        layer.bias = _parameter(layer.bias[:outputs])  # type: ignore[index]


def _parameter(value: Tensor) -> nn.Parameter:
    with torch.no_grad():
        return nn.Parameter(value.detach().clone(memory_format=torch.contiguous_format))


def channels_to_plain(channels: Mapping[str, tuple[int, int]]) -> dict[str, list[int]]:
    """Lists in place of tuples, for files."""
    return {name: [int(inputs), int(outputs)] for name, (inputs, outputs) in channels.items()}


def channels_from_plain(plain: object) -> Channels:
    """What ``channels_to_plain`` gave, checked for its form. Raises InputError."""
    if not isinstance(plain, dict):
        raise InputError(f"channels are a dict of layers, got {type(plain).__name__}")
    channels: Channels = {}
    for name, pair in plain.items():
        right = isinstance(name, str) and isinstance(pair, list) and len(pair) == 2
        if not right or not all(type(n) is int and n >= 1 for n in pair):
            raise InputError(f"channels of a layer are [in, out], whole numbers from 1; got {name!r}: {pair!r}")
        channels[name] = (pair[0], pair[1])
    return channels
