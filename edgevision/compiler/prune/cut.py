"""Choosing how many channels of each group go, and a network without them."""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgevision.compiler.prune.groups import ChannelGroup, Indices, modular_copy, weight_of
from edgevision.compiler.prune.importance import Ranking
from edgevision.compiler.prune.statistics import InputStatistics, Photos, outputs_of
from edgevision.errors import InputError
from edgevision.train.channels import Channels, apply_channels, channel_counts, is_depthwise

Price = Literal["channels", "macs"]
Gone = Mapping[int, Indices]  # place of a group → its channels that go

_ROUNDING = 1e-3  # of the largest output: far above float32's rounding, far below what a wrong channel does


def channels_to_go(
    groups: Sequence[ChannelGroup],
    rankings: Sequence[Ranking],
    weights: Sequence[int],
    prices: Sequence[float],
    target: float,
    *,
    multiple: int = 8,
    least: Sequence[int],
) -> dict[int, Indices]:
    """The channels of each group that go, so that about ``target`` channels of layers go in all.

    Whole steps of channels are taken, those first that hurt least for their price, until another step would lead
    further from the target than no step. A group is left with a multiple of ``multiple`` channels, and at least with
    ``least``; or with all it has.

    Args:
        groups: with ``rankings``, ``weights`` (channels of layers that go with one of the group), ``prices`` (what one
            channel of the group is worth: channels or multiply-adds saved) and ``least`` (channels to keep) beside.
        target: channels of convolutions and linear layers to remove.
        multiple: of channels kept.
    """
    steps: list[list[tuple[float, int, int]]] = []  # of each group: harm for its price, group, atoms gone after it
    for place, (group, ranking, price) in enumerate(zip(groups, rankings, prices, strict=True)):
        worst, before = 0.0, 0
        steps.append([])
        for after in _levels(group, multiple, least[place]):
            block = float(ranking.harm[before:after].sum()) / ((after - before) * group.tied * price)
            worst = max(worst, block)  # a later step never comes before an earlier one
            steps[place].append((worst, place, after))
            before = after
    heap = [own.pop(0) for own in steps if own]
    heapq.heapify(heap)
    gone = dict.fromkeys(range(len(groups)), 0)
    removed = 0.0
    while heap:
        _, place, after = heapq.heappop(heap)
        channels = (after - gone[place]) * groups[place].tied * weights[place]
        if abs(removed + channels - target) >= abs(removed - target):
            continue  # too large a step; another group's may fit
        removed += channels
        gone[place] = after
        if steps[place]:
            heapq.heappush(heap, steps[place].pop(0))
    return {
        place: np.sort(groups[place].atoms[rankings[place].order[:count]].reshape(-1))
        for place, count in gone.items()
        if count
    }


def _levels(group: ChannelGroup, multiple: int, least: int) -> list[int]:
    """How many atoms may be gone: so many that a multiple of ``multiple`` channels, at least ``least``, is left."""
    grain = math.lcm(multiple, group.tied)
    kept = range(math.ceil(max(least, 1) / grain) * grain, group.size, grain)
    return [(group.size - channels) // group.tied for channels in reversed(kept)]


def cut(
    network: nn.Module,
    groups: Sequence[ChannelGroup],
    gone: Gone,
    statistics: Mapping[str, InputStatistics] | None = None,
) -> nn.Module:
    """``network`` without the channels ``gone``: a copy in eval mode, rebuilt by ``apply_channels``.

    ``statistics``: those channels are then made up for by the channels left, where they can be: each layer that read
    them gets the weights that give the least squared error at its output (He et al., ICCV 2017; here in closed form
    from the channels' covariance). None = what is left stays as it was.
    """
    away = _places_away(groups, gone)
    counts: Channels = {}
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    for name, (inputs, outputs) in channel_counts(network).items():
        layer = network.get_submodule(name)
        out_away = away.get((name, "out"), _NONE)
        in_away = away.get((name, "in"), _NONE)
        counts[name] = (inputs - len(in_away), outputs - len(out_away))
        if len(in_away) and statistics is not None and not is_depthwise(layer) and name in statistics:
            _make_up(state, name, layer, in_away, statistics[name])
        keep_out = torch.from_numpy(np.setdiff1d(np.arange(outputs), out_away))
        for part in ("weight", "bias", "running_mean", "running_var"):
            if f"{name}.{part}" in state:
                state[f"{name}.{part}"] = state[f"{name}.{part}"][keep_out]
        if len(in_away) and not isinstance(layer, _BatchNorm) and not is_depthwise(layer):
            per_group = state[f"{name}.weight"].shape[1]  # all groups keep the same of their channels
            keep_in = np.setdiff1d(np.arange(per_group), in_away[in_away < per_group])
            state[f"{name}.weight"] = state[f"{name}.weight"][:, torch.from_numpy(keep_in)]
    pruned = apply_channels(copy.deepcopy(network), counts)
    pruned.load_state_dict(state)
    return pruned.eval()


def kept_in_norms(network: nn.Module, groups: Sequence[ChannelGroup], gone: Gone) -> dict[str, Indices]:
    """The channels of ``network`` that each batch norm keeps, by its name."""
    away = _places_away(groups, gone)
    return {
        name: np.setdiff1d(np.arange(layer.num_features), away.get((name, "out"), _NONE))
        for name, layer in network.named_modules()
        if isinstance(layer, _BatchNorm)
    }


_NONE = np.zeros(0, np.int64)


def _places_away(groups: Sequence[ChannelGroup], gone: Gone) -> dict[tuple[str, str], Indices]:
    """(layer, "in" or "out") → its channels that go."""
    away: dict[tuple[str, str], Indices] = {}
    for place, channels in gone.items():
        for member in groups[place].members:
            places = member.places_of(channels)
            for side in ("in", "out") if member.role == "same" else (member.role,):
                away[member.layer, side] = np.union1d(away.get((member.layer, side), _NONE), places)
    return away


def _make_up(state: dict[str, Tensor], name: str, layer: nn.Module, away: Indices, given: InputStatistics) -> None:
    """Let the channels left take over from those ``away``: x_g ≈ μ_g + Σ_gk·Σ_kk⁻¹·(x_k - μ_k)."""
    if getattr(layer, "groups", 1) > 1 or given.covariance is None:
        return
    weight = state[f"{name}.weight"].double()
    g = torch.from_numpy(away)
    k = torch.from_numpy(np.setdiff1d(np.arange(weight.shape[1]), away))
    blend = torch.linalg.solve(given.covariance[k][:, k], given.covariance[k][:, g]).T  # [gone, kept]
    lost = weight[:, g]
    weight[:, k] += torch.einsum("og...,gk->ok...", lost, blend)
    state[f"{name}.weight"] = weight.to(state[f"{name}.weight"].dtype)
    if f"{name}.bias" in state:
        constant = given.mean[g] - blend @ given.mean[k]
        shift = lost.flatten(2).sum(2) if lost.ndim > 2 else lost
        bias = state[f"{name}.bias"]
        state[f"{name}.bias"] = (bias.double() + shift @ constant).to(bias.dtype)


def check_cut(network: nn.Module, groups: Sequence[ChannelGroup], gone: Gone, photos: Photos) -> None:
    """That the groups are right: the network without the channels gives what it gives where nothing reads them.

    Raises InputError where it does not: the network does something with its channels that tracing did not see.
    """
    kind = type(network).__name__
    unread = modular_copy(network)
    with torch.no_grad():
        for (name, side), places in _places_away(groups, gone).items():
            layer = unread.get_submodule(name)
            if side != "in" or isinstance(layer, _BatchNorm) or is_depthwise(layer):
                continue
            weight = weight_of(unread, name)
            rows = weight.shape[0] // getattr(layer, "groups", 1)
            for place in places.tolist():
                part, column = divmod(place, weight.shape[1])
                weight[part * rows : (part + 1) * rows, column] = 0
    try:
        expected, actual = outputs_of(unread, photos), outputs_of(cut(network, groups, gone), photos)
        wrong = expected.shape != actual.shape or not np.allclose(
            actual, expected, rtol=0, atol=_ROUNDING * float(np.abs(expected).max()) + 1e-6
        )
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(f"{kind} cannot be pruned: without some channels it does not run ({error})") from error
    if wrong:
        raise InputError(
            f"{kind} cannot be pruned: without channels that nothing reads it gives other outputs, so it does something "
            "with its channels that cannot be traced. Leave out --prune"
        )
