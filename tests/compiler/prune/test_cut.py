"""What is cut is what was chosen; what nothing read is not missed; the rest takes over what it can."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgevision.compiler.prune.cut import channels_to_go, check_cut, cut, kept_in_norms
from edgevision.compiler.prune.groups import ChannelGroup, Member, find_groups, modular_copy
from edgevision.compiler.prune.importance import Ranking
from edgevision.compiler.prune.statistics import consumer_names, input_statistics, outputs_of
from edgevision.errors import InputError
from edgevision.train.channels import channel_counts

pytestmark = pytest.mark.requires("torch", "torch-pruning")


def group(size, tied=1):
    places = np.arange(size)
    return ChannelGroup(size, (Member("a", "out", places, places), Member("b", "in", places, places)), tied)


def ranking(*harm):
    return Ranking(np.arange(len(harm))[::-1].copy(), np.array(harm, float))


@pytest.mark.parametrize(
    ("target", "multiple", "least", "expected"),
    [
        (0, 1, (1, 1), {}),
        (3, 1, (1, 1), {0: [7], 1: [6, 7]}),  # harms 1 | 2, 3
        (6, 1, (1, 1), {0: [5, 6, 7], 1: [5, 6, 7]}),
        (6, 1, (6, 1), {0: [6, 7], 1: [4, 5, 6, 7]}),  # the first keeps 6
        (4, 4, (1, 1), {1: [4, 5, 6, 7]}),  # four at a time: 2+3+4+60 < 1+10+11+60
        (5, 4, (1, 1), {1: [4, 5, 6, 7]}),  # 4 are nearer to 5 than 8
        (7, 4, (1, 1), {0: [4, 5, 6, 7], 1: [4, 5, 6, 7]}),
        (99, 3, (1, 5), {0: [3, 4, 5, 6, 7], 1: [6, 7]}),  # left: 3 and 6, multiples of 3
    ],
)
def test_steps_that_hurt_least_go_first(target, multiple, least, expected):
    rankings = [ranking(1, 10, 11, 60, 70, 80, 90, 99), ranking(2, 3, 4, 60, 70, 80, 90, 99)]
    gone = channels_to_go([group(8), group(8)], rankings, [1, 1], [1, 1], target, multiple=multiple, least=least)
    assert {place: channels.tolist() for place, channels in gone.items()} == expected


def test_prices_and_weights():
    groups, rankings = [group(8), group(8)], [ranking(*range(1, 9)), ranking(*range(2, 10))]
    dear = channels_to_go(groups, rankings, [1, 1], [1, 100], 3, multiple=1, least=(1, 1))
    assert {place: len(channels) for place, channels in dear.items()} == {1: 3}
    heavy = channels_to_go(groups, rankings, [3, 1], [1, 1], 3, multiple=1, least=(1, 1))
    assert {place: len(channels) for place, channels in heavy.items()} == {0: 1}  # which takes 3 channels along


def test_tied_channels_go_together():
    gone = channels_to_go([group(8, tied=2)], [ranking(1, 2, 3, 4)], [1], [1], 4, multiple=4, least=[1])
    assert gone[0].tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize(
    ("size", "tied", "multiple", "least", "left"),
    [
        (8, 1, 1, 0, 1),  # never none, also where none would be allowed
        (8, 1, 1, 1, 1),
        (8, 1, 1, 2, 2),
        (8, 1, 4, 4, 4),
        (8, 1, 4, 5, 8),  # the next multiple is all it has
        (7, 1, 4, 1, 4),
        (7, 1, 8, 1, 7),  # fewer than a multiple from the start
        (8, 2, 1, 1, 2),  # as many from each half
        (12, 2, 3, 1, 6),  # a multiple of 3, and even
        (12, 2, 4, 5, 8),
    ],
)
def test_however_many_are_to_go_so_many_stay(size, tied, multiple, least, left):
    harmless = ranking(*[0.0] * (size // tied))
    gone = channels_to_go([group(size, tied)], [harmless], [1], [1], size, multiple=multiple, least=[least])
    assert size - len(gone.get(0, ())) == left


def test_norms_keep_what_their_layer_keeps(nets, photos):
    network = nets["residual"]()
    groups = groups_of(network, photos)
    place = [group.name for group in groups].index("a")
    kept = kept_in_norms(network, groups, {place: np.array([0, 5, 23])})
    expected = {"n0": list(range(16)), "n1": [*range(1, 5), *range(6, 23)], "n2": list(range(16))}
    assert {name: channels.tolist() for name, channels in kept.items()} == expected


def groups_of(network, photos):
    return find_groups(modular_copy(network), torch.from_numpy(photos[:1]))


def some(groups):
    """Every third atom of each group."""
    return {place: np.sort(group.atoms[1::3].reshape(-1)) for place, group in enumerate(groups)}


@pytest.mark.parametrize("net", ["residual", "mobile", "joined", "lite"])
def test_channels_that_nothing_reads_are_not_missed(nets, photos, net):
    """Weights that read what goes are set to 0 one by one, by the layer's own arithmetic; then nothing may change."""
    network = nets[net]()
    groups = groups_of(network, photos)
    gone = some(groups)
    before = channel_counts(network)
    check_cut(network, groups, gone, photos[:3])
    pruned = cut(network, groups, gone)
    after = channel_counts(pruned)
    for place, group in enumerate(groups):
        for member in group.members:
            assert sum(before[member.layer]) > sum(after[member.layer])
        assert before[group.name][1] - after[group.name][1] == len(gone[place])
    assert channel_counts(network) == before  # the original is left alone
    assert outputs_of(pruned, photos).shape == (24, 5)


def test_zero_channels_leave_outputs_as_they_were(nets, photos):
    network = nets["residual"]()
    gone = np.array([2, 7, 19])
    with torch.no_grad():
        network.b.weight[:, gone] = 0
    groups = groups_of(network, photos)
    place = [group.name for group in groups].index("a")
    pruned = cut(network, groups, {place: gone})
    np.testing.assert_allclose(outputs_of(pruned, photos), outputs_of(network, photos), rtol=0, atol=1e-5)
    assert channel_counts(pruned)["b"] == (21, 16)


@pytest.mark.parametrize("net", ["residual", "mobile"])
def test_the_channels_left_take_over(nets, photos, net):
    """A channel that is 2·another + 1 at the reader's input is made up for exactly, bias included."""
    torch.manual_seed(0)
    first, reader = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 3 if net == "residual" else 1)
    with torch.no_grad():
        first.weight[4] = 2 * first.weight[1]
        first.bias[4] = 2 * first.bias[1] + 1
    network = nn.Sequential(first, reader, nn.Flatten()).eval()
    groups = groups_of(network, photos)
    statistics = input_statistics(modular_copy(network), consumer_names(groups), photos)
    gone = {0: np.array([4])}
    expected = outputs_of(network, photos)
    spread = float(expected.std())
    np.testing.assert_allclose(outputs_of(cut(network, groups, gone, statistics), photos), expected, atol=0.02 * spread)
    assert np.abs(outputs_of(cut(network, groups, gone), photos) - expected).max() > 0.2 * spread


class Crossed(nn.Module):
    """Adds to each channel its mirror image: a tie between channels that tracing takes for none."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 5, 1)

    def forward(self, x):
        x = self.a(x)
        return self.b(x + x.flip(1)).mean((2, 3))


def test_a_wrong_tie_is_found_out(photos):
    network = Crossed().eval()
    groups = groups_of(network, photos)
    with pytest.raises(InputError, match=r"Crossed cannot be pruned: .* cannot be traced"):
        check_cut(network, groups, {0: np.array([0, 3])}, photos[:2])
