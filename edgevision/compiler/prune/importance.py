"""In which order the channels of a group should go, and how much each would hurt: several answers, to be tried.

``magnitude-l1``, ``magnitude-l2``: norms of all weights of a channel (Li et al. 2017), as a share of the group's mean.
``norm-scale``: |γ| of the batch norms behind it (Liu et al. 2017), likewise. ``taylor``: what the loss owes to it.
``activation``: variance of the channel × energy of the weights that read it: what the next layers lose.
``reconstruction``: likewise, but only what the channels left cannot make up for (optimal brain surgeon, Hassibi and
Stork 1993, layer by layer); so of two channels that say the same, one is free to go. Where channels cannot be taken together
(grouped convolutions, flattened maps), as ``activation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgevision.compiler.prune.groups import ChannelGroup, Indices, Member, weight_of
from edgevision.compiler.prune.statistics import InputStatistics
from edgevision.errors import InputError

IMPORTANCES = ("reconstruction", "activation", "taylor", "magnitude-l2", "magnitude-l1", "norm-scale")


@dataclass(frozen=True, eq=False)
class Ranking:
    """A group's atoms in the order they should go; ``harm[i]`` is what the i-th does when it goes, float64 [atoms]."""

    order: Indices
    harm: npt.NDArray[np.float64]


def rank(
    importance: str,
    group: ChannelGroup,
    network: nn.Module,
    statistics: Mapping[str, InputStatistics],
    shares: Mapping[str, Tensor],
) -> Ranking:
    """Rank the atoms of ``group``. ``statistics`` and ``shares``: see ``prune_statistics``; needed by some only.

    Harms of one importance can be compared between groups. Raises InputError for an unknown importance.
    """
    together = importance == "reconstruction" and group.tied == 1
    if together and all(statistics[m.layer].covariance is not None for m in group.consumers):
        return _reconstruction(group, network, statistics)
    if importance in ("reconstruction", "activation"):
        scores = _activation(group, network, statistics)
    elif importance == "taylor":
        scores = _scattered(group, ((m, shares[m.layer]) for m in group.consumers))
    elif importance == "magnitude-l1":
        scores = _relative(_magnitude(group, network, 1))
    elif importance == "magnitude-l2":
        scores = _relative(_magnitude(group, network, 2).sqrt())
    elif importance == "norm-scale":
        scores = _relative(_norm_scale(group, network))
    else:
        raise InputError(f"importance is one of {', '.join(IMPORTANCES)}, got {importance!r}")
    atoms = scores.numpy()[group.atoms].sum(1)
    order = np.argsort(atoms, kind="stable")
    return Ranking(order, atoms[order])


def _scattered(group: ChannelGroup, parts: Iterable[tuple[Member, Tensor]]) -> Tensor:
    """Sums what layers say of their places into the group's channels: float64 [size]."""
    scores = torch.zeros(group.size, dtype=torch.float64)
    for member, values in parts:
        scores.index_add_(0, torch.from_numpy(member.channels), values.double()[torch.from_numpy(member.places)])
    return scores


def _relative(scores: Tensor) -> Tensor:
    mean = float(scores.mean())
    return scores / mean if mean > 0 else scores


def _weight(network: nn.Module, layer: str) -> Tensor:
    return weight_of(network, layer).detach().double()


def read_weights(network: nn.Module, member: Member) -> Tensor:
    """Weights [rows, channels in] with which a layer reads its input channels: one column for each.

    Of a grouped convolution, the channels of all groups side by side; each column then holds its own group's rows.
    """
    weight = _weight(network, member.layer)
    groups = getattr(network.get_submodule(member.layer), "groups", 1)
    parts = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return parts.permute(1, 3, 0, 2).reshape(-1, groups * weight.shape[1])


def _magnitude(group: ChannelGroup, network: nn.Module, power: int) -> Tensor:
    def of(member: Member) -> Tensor:
        if member.role == "in":
            return read_weights(network, member).abs().pow(power).sum(0)
        return _weight(network, member.layer).flatten(1).abs().pow(power).sum(1)

    convolutions = [m for m in group.members if not isinstance(network.get_submodule(m.layer), _BatchNorm)]
    return _scattered(group, ((m, of(m)) for m in convolutions))


def _norm_scale(group: ChannelGroup, network: nn.Module) -> Tensor:
    norms = [m for m in group.members if isinstance(network.get_submodule(m.layer), _BatchNorm)]
    if not norms:
        return _magnitude(group, network, 2).sqrt()
    return _scattered(group, ((m, _weight(network, m.layer).abs()) for m in norms))


def _activation(group: ChannelGroup, network: nn.Module, statistics: Mapping[str, InputStatistics]) -> Tensor:
    def of(member: Member) -> Tensor:
        lost = statistics[member.layer].variance * read_weights(network, member).square().sum(0)
        return lost / lost.sum().clamp(min=1e-300)

    return _scattered(group, ((m, of(m)) for m in group.consumers))


@dataclass(eq=False)
class _Reader:
    """A layer that reads the group, while channels go: ``root`` [rows, c] with rootᵀ·root = weightsᵀ·weights, and the
    inverse covariance of the channels left."""

    channels: Tensor
    root: Tensor
    inverse: Tensor
    energy: float

    def harm(self, size: int) -> Tensor:
        """Share of the layer's output variance that goes with each channel: ‖w_c‖² / (Σ⁻¹)_cc."""
        lost = self.root.square().sum(0) / self.inverse.diagonal().clamp(min=1e-300) / self.energy
        return torch.zeros(size, dtype=torch.float64).index_add_(0, self.channels, lost)

    def remove(self, gone: Tensor) -> None:
        """Take channels away; the others take over what they can: w -= w_g·(Σ⁻¹_gg)⁻¹·Σ⁻¹_g, and Σ⁻¹ likewise."""
        places = torch.isin(self.channels, gone).nonzero()[:, 0]
        solved = torch.linalg.solve(self.inverse[places][:, places], self.inverse[places])
        self.root.addmm_(self.root[:, places], solved, alpha=-1)
        self.inverse.addmm_(self.inverse[:, places], solved, alpha=-1)
        self.root[:, places] = 0
        self.inverse[places] = 0
        self.inverse[:, places] = 0
        self.inverse.diagonal()[places] = 1


def _reconstruction(group: ChannelGroup, network: nn.Module, statistics: Mapping[str, InputStatistics]) -> Ranking:
    readers = []
    for member in group.consumers:
        places = torch.from_numpy(member.places)
        columns = read_weights(network, member)
        covariance = statistics[member.layer].covariance
        assert covariance is not None
        energy = float(((columns @ covariance) * columns).sum())
        root = columns[:, places].clone()
        if len(root) > root.shape[1]:
            root = torch.linalg.qr(root, mode="r")[1]
        inverse = torch.linalg.inv(covariance[places][:, places])
        readers.append(_Reader(torch.from_numpy(member.channels), root, inverse, max(energy, 1e-300)))
    at_once = max(1, group.size // 128)  # one by one where it is quick: of two twins only one may go
    order: list[int] = []
    harms: list[float] = []
    left = torch.ones(group.size, dtype=torch.bool)
    while len(order) < group.size:
        harm = torch.stack([reader.harm(group.size) for reader in readers]).sum(0)
        harm[~left] = torch.inf
        gone = harm.argsort(stable=True)[: min(at_once, group.size - len(order))]
        order += gone.tolist()
        harms += harm[gone].tolist()
        left[gone] = False
        for reader in readers:
            reader.remove(gone)
    return Ranking(np.array(order, np.int64), np.array(harms))
