"""Which channels of a network have to go together: those that are added, multiplied or normalised with each other.

The tracing is torch-pruning's (DepGraph, Fang et al., CVPR 2023). What comes out of it are plain values that name
layers, so that cutting, and judging what to cut, need no more of it.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from edgevision.compiler.sources.parity import brief
from edgevision.errors import InputError, MissingExtraError
from edgevision.train.channels import Channels, channel_counts, is_depthwise
from edgevision.train.efficientnet_lite import ConvNorm

Role = Literal["out", "in", "same"]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Member:
    """A layer that has channels of a group: ``places[i]`` in the layer goes with channel ``channels[i]`` of the group.

    ``role``: the layer makes these channels ("out"), takes them ("in"), or both at once ("same": batch norm, depthwise).
    """

    layer: str
    role: Role
    places: Indices
    channels: Indices

    def places_of(self, channels: Indices) -> Indices:
        """Where the group's ``channels`` are in the layer, in increasing order."""
        return np.sort(self.places[np.isin(self.channels, channels)])


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels 0…``size``-1 of some layers that go or stay together.

    ``tied``: groups of the grouped convolutions among the members (1 = none); channels ``size / tied`` apart share
    their fate, since every group of a convolution has as many channels.
    """

    size: int
    members: tuple[Member, ...]
    tied: int = 1

    @property
    def name(self) -> str:
        """The first layer that makes the channels."""
        return self.producers[0].layer

    @property
    def producers(self) -> tuple[Member, ...]:
        """Layers that make the channels: convolutions (not depthwise) and linear layers."""
        return tuple(m for m in self.members if m.role == "out")

    @property
    def consumers(self) -> tuple[Member, ...]:
        """Layers that mix the channels into others: convolutions (not depthwise) and linear layers."""
        return tuple(m for m in self.members if m.role == "in")

    @property
    def atoms(self) -> Indices:
        """Rows of channels that go together: int64 [size / tied, tied]."""
        return np.ascontiguousarray(np.arange(self.size, dtype=np.int64).reshape(self.tied, -1).T)

    def weight(self, network: nn.Module) -> int:
        """How many channels of convolutions and linear layers go with one channel of the group."""
        made = [m for m in self.members if not isinstance(network.get_submodule(m.layer), _BatchNorm)]
        return max(1, sum(len(m.places) for m in made if m.role != "in") // self.size)


class _Modular(ConvNorm):
    """Runs through its layers, which tracing and hooks can then see; the same numbers in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        x, self.conv.padding = self._pad(x)
        x = self.norm(self.conv(x))
        return functional.relu6(x) if self.activation else x


def weight_of(network: nn.Module, layer: str) -> Tensor:
    """The weights of a convolution, linear layer or batch norm."""
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight


def modular_copy(network: nn.Module) -> nn.Module:
    """A float32 copy in eval mode, on the CPU, that calls each of its convolutions and norms as a module."""
    twin = copy.deepcopy(network).cpu().float().eval().requires_grad_(True)
    for layer in twin.modules():
        if isinstance(layer, ConvNorm):
            layer.__class__ = _Modular
            layer.frozen = False
    return twin


def find_groups(network: nn.Module, example: Tensor) -> tuple[ChannelGroup, ...]:
    """The groups of channels that can be pruned, in the order of the network.

    ``network``: a ``modular_copy``; ``example``: [n, c, h, w] float32. Groups that reach the network's output are left
    out, and those that hold anything but convolutions, linear layers, batch norms and PReLU. Raises InputError where
    the network cannot be traced or nothing in it can be pruned; MissingExtraError without torch-pruning.
    """
    try:
        import torch_pruning
    except ImportError:
        raise MissingExtraError("torch-pruning", "compile", "pruning") from None
    kind = type(network).__name__
    try:
        with _quiet_tracing(), torch.enable_grad():
            graph: Any = torch_pruning.DependencyGraph().build_dependency(network, example, verbose=False)
            raw = list(graph.get_all_groups())
            names = {layer: name for name, layer in network.named_modules()}
            groups = [_group(graph, items, network, names) for items in raw]
    except Exception as error:  # tracing fails in as many ways as networks are written
        raise InputError(
            f"{kind} cannot be pruned: its channels could not be traced ({brief(error)}). Prune networks of "
            "convolutions, linear layers and batch norms, or leave out --prune"
        ) from error
    order = {name: place for place, name in enumerate(names.values())}
    kept = sorted((group for group in groups if group is not None), key=lambda group: order[group.name])
    if not kept:
        raise InputError(
            f"{kind} cannot be pruned: none of its {len(raw)} groups of channels is made of convolutions, linear "
            "layers and batch norms alone. Leave out --prune"
        )
    return tuple(kept)


def _group(graph: Any, items: Any, network: nn.Module, names: dict[nn.Module, str]) -> ChannelGroup | None:
    """A group of torch-pruning's as plain values; None where it cannot be pruned."""
    types = graph.ops.OPTYPE
    passive = {types.CONCAT, types.SPLIT, types.ELEMENTWISE, types.RESHAPE, types.SLICE, types.UNBIND, types.EXPAND}
    members: list[Member] = []
    tied = 1
    for item in items:
        node = item.dep.target
        if node.type in passive:
            continue
        layer = node.module
        if not isinstance(layer, (nn.Conv2d, nn.Linear, _BatchNorm, nn.PReLU)):
            return None  # the output, attention, other norms, bare parameters
        if isinstance(layer, nn.PReLU):
            if layer.num_parameters > 1:
                return None  # its slopes have no place among channel counts
            continue
        out = graph.is_out_channel_pruning_fn(item.dep.handler)
        role: Role = "out" if out else "in"
        if is_depthwise(layer) or isinstance(layer, _BatchNorm):
            role = "same"
        elif isinstance(layer, nn.Conv2d) and layer.groups > 1:
            tied = math.lcm(tied, layer.groups)
        places, channels = np.array(item.idxs, np.int64), np.array(item.root_idxs, np.int64)
        if any(m.layer == names[layer] and m.role == role for m in members):
            continue  # a layer that is both passed through and met again from the other side
        members.append(Member(names[layer], role, places, channels))
    order = {name: place for place, name in enumerate(names.values())}
    group = ChannelGroup(len(items[0].idxs), tuple(sorted(members, key=lambda m: order[m.layer])), tied)
    if tied > 1 and not _is_whole(group, channel_counts(network)):
        return None
    return group if group.producers and group.consumers else None


def _is_whole(group: ChannelGroup, counts: Channels) -> bool:
    """Whether the group's channels are all that its layers have, in one order: grouped convolutions need that."""
    return all(
        counts[m.layer][m.role != "in"] == group.size and np.array_equal(m.places, m.channels) for m in group.members
    )


@contextmanager
def _quiet_tracing() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
