"""Ties between channels are found as the networks were built, and what cannot be pruned is refused or left alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgevision.compiler.prune.groups import find_groups, modular_copy
from edgevision.errors import InputError

pytestmark = pytest.mark.requires("torch", "torch-pruning")

EXAMPLE = torch.zeros(1, 3, 16, 16)


def members(groups):
    return [{(m.layer, m.role) for m in group.members} for group in groups]


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        ("residual", [
            {("stem", "out"), ("n0", "same"), ("b", "out"), ("n2", "same"), ("a", "in"), ("fc", "in")},
            {("a", "out"), ("n1", "same"), ("b", "in")},
        ]),
        ("mobile", [
            {("expand", "out"), ("n0", "same"), ("depthwise", "same"), ("n1", "same"), ("squeeze", "in"),
             ("excite", "out"), ("project", "in")},
            {("squeeze", "out"), ("excite", "in")},
            {("project", "out"), ("n2", "same"), ("fc", "in")},
        ]),
    ],
)  # fmt: skip
def test_ties(nets, net, expected):
    groups = find_groups(modular_copy(nets[net]()), EXAMPLE)
    assert members(groups) == expected
    assert {m.layer for group in groups for m in group.members if m.role == "out"}.isdisjoint({"fc"})


def test_places_in_a_concatenation_and_a_flattened_map(nets):
    groups = {group.name: group for group in find_groups(modular_copy(nets["joined"]()), EXAMPLE)}
    flat = next(m for m in groups["last"].members if m.layer == "fc1")
    assert flat.places_of(flat.channels[:1]).tolist() == list(range(16))
    assert groups["grouped"].tied == 4
    assert groups["grouped"].atoms.tolist() == [[i, i + 4, i + 8, i + 12] for i in range(4)]
    assert "left" not in groups  # half of a grouped convolution's input: its groups would lose different channels


def test_weight_counts_layers_that_make_channels(nets):
    network = modular_copy(nets["mobile"]())
    weights = {group.name: group.weight(network) for group in find_groups(network, EXAMPLE)}
    assert weights == {"expand": 3, "squeeze": 1, "project": 1}


def test_the_modular_copy_gives_the_same(nets, photos):
    network = nets["lite"]()
    x = torch.from_numpy(photos)
    with torch.no_grad():
        torch.testing.assert_close(modular_copy(network)(x), network(x))
    assert type(network.stem).__name__ == "ConvNorm"  # the original is left alone


class Untraced(nn.Module):
    """Leaves PyTorch: nothing that ties its channels can be seen."""

    def forward(self, x):
        return torch.from_numpy(x.detach().numpy().mean((2, 3)))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv2d(4, 8, 1), "could not be traced"),
        (Untraced(), "none of its 0 groups"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5)), "none of its 1 groups"),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.GroupNorm(2, 8), nn.Conv2d(8, 5, 1)), "none of its 2 groups"),
    ],
)
def test_networks_that_cannot_be_pruned(network, message):
    with pytest.raises(InputError, match=message):
        find_groups(modular_copy(network), EXAMPLE)
