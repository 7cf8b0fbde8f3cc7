from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from edgevision.bench.statistics.drift import drifts
from edgevision.bench.statistics.ranks import normal_quantile, ranks, signed_rank_interval, spearman, student_p
from edgevision.errors import InputError


def test_ties_share_the_mean_of_their_ranks():
    assert ranks(np.array([10.0, 5, 10, 1])).tolist() == [3.5, 2, 3.5, 1]


@pytest.mark.parametrize(
    ("t", "freedom", "p"),
    # The usual tables: two-sided 5 % and 1 %.
    [
        (12.706, 1, 0.05),
        (4.303, 2, 0.05),
        (2.228, 10, 0.05),
        (3.169, 10, 0.01),
        (2.262, 9, 0.05),
        (1.984, 100, 0.05),
        (0, 7, 1),
    ],
)
def test_students_t(t, freedom, p):
    assert student_p(t, freedom) == pytest.approx(p, abs=2e-4)
    assert student_p(-t, freedom) == student_p(t, freedom)


@pytest.mark.parametrize(("share", "value"), [(0.5, 0.0), (0.975, 1.959964), (0.005, -2.575829)])
def test_normal_quantiles(share, value):
    assert normal_quantile(share) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("trend", [0.0, 0.3, 1.0])
def test_spearmans_p_is_that_of_all_orders(trend):
    """Every order of 7 values is as likely if there is no drift: the share of those with a correlation as strong is the p-value."""
    rng = np.random.default_rng(3)
    time = np.arange(7.0)
    values = rng.normal(0, 1, 7) + trend * time
    rho, p = spearman(time, values)
    centred = time - time.mean()
    all_orders = np.array(list(itertools.permutations(ranks(values))))
    as_strong = np.mean(np.abs(all_orders @ centred / (centred @ centred)) >= abs(rho) - 1e-9)
    assert p == pytest.approx(as_strong, abs=0.03)
    assert rho == pytest.approx(np.corrcoef(ranks(values), time)[0, 1])


def test_spearmans_p_by_drawn_orders():
    rng = np.random.default_rng(5)
    time = np.arange(40.0)
    values = rng.standard_t(2, 40) + 0.04 * time
    rho, p = spearman(time, values)
    centred = time - time.mean()
    drawn = np.array([rng.permutation(ranks(values)) for _ in range(4000)])
    assert p == pytest.approx(np.mean(np.abs(drawn @ centred / (centred @ centred)) >= abs(rho)), abs=0.02)


@pytest.mark.parametrize(
    ("values", "p"), [([1, 1, 1, 1, 1], 1.0), ([1, 2], 1.0), ([1, 2, 3, 4, 5], 2 / math.factorial(5))]
)
def test_what_ranks_cannot_tell(values, p):
    assert spearman(np.arange(float(len(values))), np.array(values, float))[1] == pytest.approx(p)


def test_a_drift_is_found_and_measured():
    rng = np.random.default_rng(0)
    drifting = drifts(10 * np.exp(np.linspace(0, math.log(1.2), 60) + rng.normal(0, 0.02, 60)))
    assert drifting.p < 1e-6
    assert drifting.change == pytest.approx(1.2, abs=0.03)
    assert drifting.n == 60
    falling = drifts(10 * np.exp(np.linspace(0, -0.1, 1000) + rng.normal(0, 0.02, 1000)))
    assert falling.rho < -0.5
    assert falling.change == pytest.approx(math.exp(-0.1), abs=0.01)


def test_no_drift_is_called_one_as_often_as_chance_allows():
    rng = np.random.default_rng(1)
    p = np.array([drifts(np.exp(rng.standard_t(2, 30) * 0.05)).p for _ in range(500)])
    assert 0.02 <= np.mean(p <= 0.05) <= 0.09


def test_drifts_refuses_what_is_no_figure():
    assert drifts([1.0]).p == 1
    with pytest.raises(InputError, match="> 0"):
        drifts([1.0, 0.0])


@pytest.mark.parametrize("n", [4, 7, 10])
def test_the_signed_rank_interval_is_that_of_all_signs(n):
    """A centre is not rejected where more than the error of all 2^n ways to set signs give a rank sum as far out: counted one by one."""
    error = 0.2
    values = np.random.default_rng(n).normal(1, 1, n)
    _, low, high = signed_rank_interval(values, error)
    sums = np.array([np.dot(signs, range(1, n + 1)) for signs in itertools.product((0, 1), repeat=n)])

    def rejected(centre: float) -> bool:
        below = float(np.sum(ranks(np.abs(values - centre))[values < centre]))
        out = min(below, n * (n + 1) / 2 - below)
        return bool(np.mean(sums <= out) <= error / 2)

    for centre in np.linspace(values.min() - 1, values.max() + 1, 400):
        if min(abs(centre - low), abs(centre - high)) > 1e-6:
            assert rejected(centre) == (not low <= centre <= high)


def test_too_few_values_speak_for_nothing():
    assert signed_rank_interval(np.array([1.0, 2, 3]), 0.05)[1:] == (-math.inf, math.inf)


@pytest.mark.parametrize("n", [12, 200])
def test_the_interval_covers_heavy_tails(n):
    rng = np.random.default_rng(n)
    missed = 0
    for _ in range(400):
        _, low, high = signed_rank_interval(0.5 + rng.standard_t(1.5, n), 0.1)
        missed += not low <= 0.5 <= high
    assert 0.05 <= missed / 400 <= 0.15


def test_a_straggler_moves_nothing():
    values = np.random.default_rng(0).normal(0, 1, 30)
    with_straggler = values.copy()
    with_straggler[np.argmax(values)] = 1e9
    assert np.allclose(signed_rank_interval(values, 0.05), signed_rank_interval(with_straggler, 0.05), atol=0.2)
