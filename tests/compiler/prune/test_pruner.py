"""Whole prunings: ratios and multiples are kept, the best trial is taken, the same seed gives the same network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from measures import classify_measure

from edgevision.compiler.prune.importance import IMPORTANCES
from edgevision.compiler.prune.norms import (
    count_macs,
    count_parameters,
    macs_per_channel,
    norm_inputs,
    reestimate_norms,
)
from edgevision.compiler.prune.pruner import PruneOptions, Pruner, prune
from edgevision.compiler.prune.statistics import outputs_of
from edgevision.compiler.sources.quiet import quiet
from edgevision.errors import InputError
from edgevision.train.channels import channel_counts

pytestmark = pytest.mark.requires("torch", "torch-pruning")

MEASURE = classify_measure(5)


@pytest.fixture(scope="module")
def labels(photos):
    return np.arange(len(photos)) % 5


@pytest.mark.parametrize("net", ["residual", "mobile", "lite"])
@pytest.mark.parametrize("ratio", [0.2, 0.5])
def test_the_ratio_is_reached(nets, photos, net, ratio):
    network = nets[net]()
    result = prune(network, photos, MEASURE, PruneOptions(ratio, multiple=1, importances=("activation",)))
    assert result.chosen.reached == pytest.approx(ratio, abs=0.03)
    before, after = channel_counts(network), channel_counts(result.network)
    prunable = [
        name for name, (_, out) in before.items() if out != 5 and not name.startswith("n") and "norm" not in name
    ]
    gone = 1 - sum(after[name][1] for name in prunable) / sum(before[name][1] for name in prunable)
    assert gone == pytest.approx(result.chosen.reached, abs=1e-9)
    assert result.channels == after
    assert result.chosen.parameters == count_parameters(result.network) < count_parameters(network)


@pytest.mark.parametrize("multiple", [4, 8])
def test_multiples_and_caps_are_kept(nets, photos, multiple):
    network = nets["residual"]()
    options = PruneOptions(0.9, multiple=multiple, max_layer_ratio=0.5, importances=("magnitude-l2",))
    result = prune(network, photos, MEASURE, options)
    before, after = channel_counts(network), channel_counts(result.network)
    for name in ("stem", "a", "b"):
        assert after[name][1] % multiple == 0
        assert after[name][1] >= 0.5 * before[name][1]
    assert after["fc"][1] == 5
    assert 0.3 < result.chosen.reached <= 0.5  # as far as the cap lets it


def test_all_importances_are_tried_and_the_nearest_is_taken(nets, photos, labels):
    reported = []
    options = PruneOptions(0.4, multiple=4, prices=("channels", "macs"))
    result = prune(
        nets["mobile"](), photos, MEASURE, options, labels=labels, progress=lambda *step: reported.append(step)
    )
    assert [(t.importance, t.price) for t in result.trials] == [(i, p) for i in IMPORTANCES for p in options.prices]
    assert result.chosen.divergence == min(trial.divergence for trial in result.trials)
    assert all(0 <= trial.accuracy <= 1 and 0 <= trial.agreement <= 1 for trial in result.trials)
    assert ("prune by taylor", 4, 12) in reported
    assert {"trace channels", "measure channels", "measure gradients"} <= {step for step, _, _ in reported}
    assert result.to_dict()["trials"][0]["importance"] == "reconstruction"
    assert result.tuned is None


def test_nothing_goes_at_ratio_0(nets, photos):
    network = nets["residual"]()
    pruner = Pruner(network, photos, MEASURE, options=PruneOptions(0.0))
    assert pruner.gone(0.0, "activation") == {}
    assert pruner.divergence(pruner.cut(0.0)) == 0
    result = prune(
        network, photos, MEASURE, PruneOptions(0.0), tune=lambda *_: pytest.fail("there is nothing to make good")
    )
    assert result.network is network
    assert (result.chosen.reached, result.chosen.divergence, result.tuned) == (0, 0, None)
    assert result.chosen.macs == result.original["macs"]


@pytest.mark.parametrize("net", ["mobile", "lite"])
def test_the_same_seed_gives_the_same_network(nets, photos, net):
    options = PruneOptions(0.3, multiple=4, importances=("reconstruction", "taylor"), seed=3)
    a, b = (prune(nets[net](), photos, MEASURE, options).network.state_dict() for _ in range(2))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_original_is_left_alone(nets, photos):
    network = nets["lite"]()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    prune(network, photos, MEASURE, PruneOptions(0.3, importances=("taylor", "reconstruction")))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.training


def everything(network):
    return {name: np.arange(outputs) for name, (_, outputs) in channel_counts(network).items()}


def test_norms_estimated_anew_are_like_the_originals(nets, photos):
    """Nothing cut: nothing changes, whatever the statistics are; and what was spoilt comes back."""
    network = nets["residual"]()
    like, expected = norm_inputs(network, photos), outputs_of(network, photos)
    assert reestimate_norms(network, photos, like, everything(network))
    np.testing.assert_allclose(outputs_of(network, photos), expected, atol=1e-4)
    with torch.no_grad():
        network.n1.running_mean += 3
        network.a.weight *= 2
    assert np.abs(outputs_of(network, photos) - expected).max() > 0.1
    reestimate_norms(network, photos, like, everything(network))
    np.testing.assert_allclose(outputs_of(network, photos), expected, atol=1e-4)
    assert not network.n0.training


def test_norms_get_the_photos_statistics_where_the_original_has_them(nets, photos):
    network = nets["residual"]()
    like = {
        name: replace(found, running_mean=found.mean, scale=(found.variance + 1e-5).sqrt())
        for name, found in norm_inputs(network, photos).items()
    }
    reestimate_norms(network, photos, like, everything(network))
    seen = network.stem(torch.from_numpy(photos)).transpose(0, 1).flatten(1)
    torch.testing.assert_close(network.n0.running_mean, seen.mean(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.n0.running_var, seen.var(1, correction=0), rtol=1e-3, atol=1e-5)
    assert not reestimate_norms(nets["joined"](), photos, {}, {})


def test_multiply_adds_by_hand(nets):
    network = nets["mobile"]()
    example = torch.zeros(2, 3, 16, 16)
    places = 16 * 16
    by_hand = places * (3 * 16 + 9 * 16 + 16 * 12) + 16 * 8 + 8 * 16 + 12 * 5
    assert count_macs(network, example) == by_hand
    pruner = Pruner(network, np.ones((4, 3, 16, 16), np.float32), MEASURE, options=PruneOptions(0.5))
    each = dict(zip([g.name for g in pruner.groups], macs_per_channel(network, pruner.groups, example), strict=True))
    assert each == {"expand": places * (3 + 9 + 12) + 8 + 8, "squeeze": 16 + 16, "project": places * 16 + 5}


class Tuner:
    """Stands for fine-tuning: keeps what it is given, and brings the head's bias nearer to 0."""

    def __init__(self):
        self.calls = []

    def __call__(self, network, step, steps):
        self.calls.append((step, steps, channel_counts(network)["a"][1]))
        with torch.no_grad():
            network.fc.bias.mul_(0.5)
        return network


def test_steps_of_pruning_and_tuning(nets, photos):
    tuner = Tuner()
    options = PruneOptions(0.5, multiple=2, importances=("activation",), steps=2)
    result = prune(nets["residual"](), photos, MEASURE, options, tune=tuner)
    assert [(step, steps) for step, steps, _ in tuner.calls] == [(0, 2), (1, 2)]
    assert 24 > tuner.calls[0][2] >= tuner.calls[1][2]
    assert [trial.ratio for trial in result.trials] == [0.25, 0.5]
    assert [trial.reached for trial in result.trials] == pytest.approx([0.25, 0.5], abs=0.04)
    assert result.tuned.divergence != result.chosen.divergence
    assert result.trials[0].divergence > 0.0  # from the original, at every step
    twice = Pruner(result.network, photos, MEASURE, options=options, original=nets["residual"]())
    assert twice.reached({}) == pytest.approx(result.tuned.reached)
    assert twice.divergence(result.network) == pytest.approx(result.tuned.divergence)
    assert result.tuned.reached == result.chosen.reached


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratio": 0.96}, r"within 0…0.95, got 0.96"),
        ({"ratio": -0.1}, "ratio to prune"),
        ({"max_layer_ratio": 1.0}, "max_layer_ratio"),
        ({"multiple": 0}, "at least 1"),
        ({"steps": 0}, "at least 1"),
        ({"importances": ()}, "importances are some of"),
        ({"importances": ("luck",)}, "luck"),
        ({"prices": ("watts",)}, "prices"),
    ],
)
def test_options_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        replace(PruneOptions(0.5), **changes)


@pytest.mark.parametrize(
    ("shape", "dtype", "labels", "message"),
    [
        ((1, 3, 16, 16), np.float32, None, "at least 2 prepared photos"),
        ((4, 3, 16, 16), np.uint8, None, "uint8"),
        ((4, 16, 16), np.float32, None, "float32"),
        ((4, 3, 16, 16), np.float32, np.zeros(3, np.int64), "each of the 4 photos"),
    ],
)
def test_photos_that_do_not_do(nets, shape, dtype, labels, message):
    with pytest.raises(InputError, match=message):
        Pruner(nets["residual"](), np.zeros(shape, dtype), MEASURE, labels, options=PruneOptions(0.5))


def test_torchscript_is_refused(nets, photos):
    with quiet():
        script = torch.jit.trace(nets["residual"](), torch.from_numpy(photos[:1]))
    with pytest.raises(InputError, match="only a network of PyTorch layers"):
        Pruner(script, photos, MEASURE, options=PruneOptions(0.5))
