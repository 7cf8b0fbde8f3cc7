"""Rankings against truths known by construction: dead channels, twins, covariances in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgevision.compiler.prune import statistics as prune_statistics
from edgevision.compiler.prune.groups import find_groups, modular_copy
from edgevision.compiler.prune.importance import IMPORTANCES, rank
from edgevision.compiler.prune.statistics import consumer_names, input_statistics, loss_shares, shrink
from edgevision.errors import InputError

pytestmark = pytest.mark.requires("torch", "torch-pruning")


def ranked(importance, network, photos, name, labels=None):
    twin = modular_copy(network)
    groups = find_groups(twin, torch.from_numpy(photos[:1]))
    layers = consumer_names(groups)
    group = next(group for group in groups if group.name == name)
    shares = loss_shares(twin, layers, photos, labels) if importance == "taylor" else {}
    return rank(importance, group, twin, input_statistics(twin, layers, photos), shares)


@torch.no_grad()
def kill(network, channels):
    """Channels of the residual network's middle that are 0 whatever comes in, and that nothing reads; others live."""
    network.n1.running_mean.zero_()
    network.a.weight[channels] = 0
    network.n1.weight[channels] = network.n1.bias[channels] = 0
    network.b.weight[:, channels] = 0
    return network


@pytest.mark.parametrize("importance", IMPORTANCES)
def test_dead_channels_go_first(nets, photos, importance):
    network = kill(nets["residual"](), [3, 17, 8])
    labels = np.arange(len(photos)) % 5
    ranking = ranked(importance, network, photos, "a", labels)
    assert set(ranking.order[:3].tolist()) == {3, 8, 17}
    assert (ranking.harm[:3] < 1e-6 * ranking.harm[3:].min()).all()
    assert sorted(ranking.order.tolist()) == list(range(24))


def test_of_twins_one_is_free_and_the_other_is_not():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(6, 6, 1, bias=False), nn.Conv2d(6, 4, 1, bias=False), nn.Flatten()).eval()
    with torch.no_grad():
        network[0].weight[5] = network[0].weight[2]
    photos = np.random.default_rng(0).normal(size=(4000, 6, 1, 1)).astype(np.float32)
    ranking = ranked("reconstruction", network, photos, "0")
    first, order = int(ranking.order[0]), ranking.order.tolist()
    assert first in (2, 5)
    assert ranking.harm[0] < 0.05 * ranking.harm[order.index(7 - first)]
    alone = ranked("activation", network, photos, "0")
    assert alone.harm[alone.order.tolist().index(first)] > 10 * ranking.harm[0]


def test_activation_is_the_variance_that_readers_lose():
    network = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.Conv2d(2, 3, 1, bias=False), nn.Flatten())
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]])[..., None, None])
        network[1].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])[..., None, None])
    photos = np.random.default_rng(0).normal(size=(4000, 2, 1, 1)).astype(np.float32)
    # variances 1 and 4; energies 9 and 2: shares 9/17 and 8/17
    ranking = ranked("activation", network, photos, "0")
    assert ranking.order.tolist() == [1, 0]
    assert ranking.harm == pytest.approx([8 / 17, 9 / 17], abs=0.03)


def test_taylor_is_the_change_of_the_loss():
    """One linear reader: x·∂L/∂x of each channel, by hand."""
    network = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), nn.Flatten(), nn.Linear(3, 2, bias=False)).eval()
    photos = np.random.default_rng(1).normal(size=(1, 2, 1, 1)).astype(np.float32)
    x = network[0](torch.from_numpy(photos)).flatten().detach().requires_grad_()
    nn.functional.cross_entropy((network[2].weight @ x)[None], torch.tensor([1])).backward()
    expected = (x * x.grad).detach().square().numpy()
    ranking = ranked("taylor", network, photos, "0", np.array([1]))
    assert ranking.harm == pytest.approx(np.sort(expected), rel=1e-4)
    assert ranking.order.tolist() == np.argsort(expected).tolist()


def test_tied_groups_share_their_fate(nets, photos):
    ranking = ranked("reconstruction", nets["joined"](), photos, "grouped")
    assert sorted(ranking.order.tolist()) == [0, 1, 2, 3]


def test_statistics_of_inputs(photos):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        inputs = network[:3](torch.from_numpy(photos)).double()
    found = input_statistics(network, ["3"], photos)["3"]
    torch.testing.assert_close(found.mean, inputs.mean(0))
    for variance in (found.variance, found.covariance.diagonal()):
        torch.testing.assert_close(variance, inputs.var(0, correction=0), rtol=1e-4, atol=1e-9)
    shares = loss_shares(network, ["3"], photos, None, seed=1)["3"]
    assert torch.equal(shares, loss_shares(network, ["3"], photos, None, seed=1)["3"])


@pytest.mark.parametrize("samples", [3, 30, 3000])
def test_shrinking_comes_nearer_to_the_truth(samples):
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    truth = torch.eye(40, dtype=torch.float64) + 0.02 * mix @ mix.T
    data = torch.randn(samples, 40, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(truth).T
    plain = data.T @ data / samples
    shrunk = shrink(plain.clone(), samples)
    assert float((shrunk - truth).norm()) <= 1.001 * float((plain - truth).norm())
    assert float(torch.linalg.eigvalsh(shrunk)[0]) > 0
    torch.testing.assert_close(shrunk.diagonal(), plain.diagonal(), rtol=1e-4, atol=0)


def test_unknown_importance(nets, photos):
    with pytest.raises(InputError, match=r"importance is one of reconstruction, .*, got 'luck'"):
        ranked("luck", nets["residual"](), photos, "a")


def test_wide_layers_are_taken_channel_by_channel(nets, photos, monkeypatch):
    """Where a covariance would not fit into memory, channels are ranked by what they lose alone."""
    network = nets["residual"]()
    apart = ranked("activation", network, photos, "a")
    monkeypatch.setattr(prune_statistics, "_MOST_TOGETHER", 20)
    ranking = ranked("reconstruction", network, photos, "a")
    assert ranking.order.tolist() == apart.order.tolist()
    assert ranking.harm.tolist() == apart.harm.tolist()
