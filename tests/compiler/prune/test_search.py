"""The search finds the ratio of a known latency curve, reports all it measured, and is not led astray by noise."""

from __future__ import annotations

import pytest
from measures import classify_measure

from edgevision.compiler.prune.norms import count_parameters
from edgevision.compiler.prune.pruner import PruneOptions, Pruner
from edgevision.compiler.prune.search import search_ratio
from edgevision.errors import InputError

pytestmark = pytest.mark.requires("torch", "torch-pruning")


@pytest.fixture(scope="module")
def pruner(nets, photos):
    options = PruneOptions(0.5, multiple=1, importances=("magnitude-l2",), make_up=False)
    return Pruner(nets["residual"](), photos, classify_measure(5), options=options)


def latency(network):
    """1 ms for each 1000 parameters."""
    return count_parameters(network) / 1000


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_finds_the_least_ratio_that_is_enough(pruner, share):
    target = share * latency(pruner.network)
    found = search_ratio(pruner, target, latency, tolerance=0.02)
    assert latency(pruner.cut(found.ratio)) <= target < latency(pruner.cut(found.ratio - 0.03))
    assert [trial.ratio for trial in found.trials[:2]] == [0.0, 0.8]
    assert all(trial.meets == (trial.latency_ms <= target) for trial in found.trials)
    assert found.to_dict()["trials"][0]["latency_ms"] == latency(pruner.network)


def test_quick_enough_already_or_never(pruner):
    already = search_ratio(pruner, 2 * latency(pruner.network), latency)
    assert (already.ratio, {trial.ratio for trial in already.trials}) == (0.0, {0.0})
    never = search_ratio(pruner, 1e-3, latency)
    assert (never.ratio, len(never.trials)) == (None, 2)


def test_a_lucky_measurement_is_not_believed(pruner):
    target = 0.5 * latency(pruner.network)
    measured: dict[int, int] = {}

    def lucky(network):
        """Everything but the original seems quick when it is first measured."""
        size = count_parameters(network)
        measured[size] = measured.get(size, 0) + 1
        return latency(network) * (0.4 if measured[size] == 1 and size < count_parameters(pruner.network) else 1)

    found = search_ratio(pruner, target, lucky)
    assert latency(pruner.cut(found.ratio)) <= target
    assert any(trial.meets for trial in found.trials if latency(pruner.cut(trial.ratio)) > target)


def test_the_same_channels_are_measured_once_and_confirmed(nets, photos):
    coarse = Pruner(
        nets["residual"](), photos, classify_measure(5),
        options=PruneOptions(0.5, multiple=8, importances=("magnitude-l2",), make_up=False),
    )  # fmt: skip
    calls = []

    def measure(network):
        calls.append(count_parameters(network))
        return latency(network)

    found = search_ratio(coarse, 0.6 * latency(coarse.network), measure, tolerance=0.001)
    repeated = {size: calls.count(size) for size in calls}
    assert max(repeated.values()) <= 2
    assert len(calls) < len(found.trials)


@pytest.mark.parametrize("changes", [{"target_latency_ms": 0}, {"most": 1.0}, {"tolerance": 0}])
def test_values_that_cannot_be(pruner, changes):
    with pytest.raises(InputError, match="got"):
        search_ratio(**{"pruner": pruner, "target_latency_ms": 1.0, "measure": latency, **changes})
