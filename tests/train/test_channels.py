"""Channel counts are read, applied and refused; a pruned state dict loads into what they rebuild."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgevision.errors import InputError
from edgevision.train import backbones
from edgevision.train.channels import apply_channels, channel_counts, channels_from_plain, channels_to_plain

pytestmark = pytest.mark.requires("torch")


def net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 12, 1, groups=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


FULL = {"0": (3, 8), "1": (8, 8), "3": (8, 8), "4": (8, 12), "7": (12, 5)}
LESS = {"0": (3, 6), "1": (6, 6), "3": (6, 6), "4": (6, 10), "7": (10, 5)}


def test_counts():
    assert channel_counts(net()) == FULL


def test_cut_to_the_first_channels():
    network = net()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert apply_channels(network, LESS) is network
    assert channel_counts(network) == LESS
    assert (network[3].groups, network[4].groups) == (6, 2)
    assert network.eval()(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name][tuple(slice(n) for n in value.shape)])
        assert value.is_contiguous()
        assert value.untyped_storage().nbytes() == value.numel() * value.element_size()
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_its_own_counts_change_nothing():
    network = net()
    parameters = list(network.parameters())
    apply_channels(network, FULL)
    assert all(a is b for a, b in zip(network.parameters(), parameters, strict=True))


@pytest.mark.parametrize("arch", ["lite0", "torchvision:resnet18", "torchvision:efficientnet_b0"])
def test_layout_without_memory(arch):
    with torch.device("meta"):
        network = backbones.build(arch, 7)
    channels = {name: (inputs, outputs) for name, (inputs, outputs) in channel_counts(network).items()}
    first = next(name for name, (inputs, _) in channels.items() if inputs == 3)
    norm = next(name for name, (inputs, outputs) in channels.items() if inputs == outputs == channels[first][1])
    layout = backbones.state_layout(
        arch, 7, {**channels, first: (3, channels[first][1] - 8), norm: (channels[norm][0] - 8,) * 2}
    )
    assert layout[f"{first}.weight"].shape[0] == layout[f"{norm}.running_var"].shape[0] == channels[first][1] - 8
    assert layout[f"{first}.weight"].device.type == "meta"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"9": (1, 1)}, "'9' is not one of them"),
        ({"0": (3, 9)}, r"0 has 1…3 channels in and 1…8 out, got 3 and 9"),
        ({"0": (3, 0)}, "got 3 and 0"),
        ({"0": (3, True)}, "two whole numbers"),
        ({"0": [3, 6]}, "two whole numbers"),
        ({"1": (8, 6)}, "1 is a batch norm"),
        ({"4": (7, 10)}, "2 groups, which do not divide 7 in and 10 out"),
    ],
)
def test_counts_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message):
        apply_channels(net(), {**FULL, **change})


def test_every_layer_is_named():
    with pytest.raises(InputError, match="'7' is missing"):
        apply_channels(net(), {name: count for name, count in LESS.items() if name != "7"})


def test_outputs_are_not_pruned_away():
    channels = channel_counts(backbones.build("torchvision:resnet18", 7))
    with pytest.raises(InputError, match="fc has an output for each of the 7 classes, got 5"):
        backbones.rebuild("torchvision:resnet18", 7, {**channels, "fc": (512, 5)})


def test_plain_values():
    plain = channels_to_plain(LESS)
    assert plain["0"] == [3, 6]
    assert channels_from_plain(plain) == LESS


@pytest.mark.parametrize("plain", [[1], {"a": (1, 2)}, {"a": [1]}, {"a": [1, 0]}, {"a": [1, 2.0]}, {3: [1, 2]}])
def test_plain_values_that_are_none(plain):
    with pytest.raises(InputError, match="channels"):
        channels_from_plain(plain)
