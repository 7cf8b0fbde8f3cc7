from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.statistics.bootstrap import draw_weights, interval


def test_draws_are_whole_numbers_of_pictures_and_repeat():
    weights = draw_weights(20, 500, 3)
    assert weights.shape == (500, 20)
    assert (weights == weights.round()).all()
    assert (weights.sum(axis=1) == 20).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.25)
    np.testing.assert_array_equal(weights, draw_weights(20, 500, 3))
    assert not np.array_equal(weights, draw_weights(20, 500, 4))


@pytest.mark.parametrize("n", [8, 25, 100])
def test_the_mean_of_normal_numbers_is_held_as_often_as_promised(n):
    """Of 400 samples about 90 % hold the true mean: the ± 4 deviations of a binomial, and 3 points for few numbers."""
    rng = np.random.default_rng(n)
    weights = draw_weights(n, 600, 1)
    held = 0
    for _ in range(400):
        sample = rng.normal(size=n)
        low, high = interval(float(sample.mean()), weights @ sample / n, n, 0.9)
        held += low <= 0 <= high
    assert 0.9 - 0.06 - 0.03 <= held / 400 <= 0.9 + 0.06


def test_the_estimate_is_always_inside_and_nan_does_not_count():
    drawn = np.array([1.0, 2.0, np.nan] * 20)
    assert interval(5.0, drawn, 10, 0.9)[1] == 5.0
    assert interval(0.0, drawn, 10, 0.9)[0] == 0.0
    assert interval(1.0, np.full(3, np.nan), 10, 0.9) == (-100.0, 100.0)
    assert interval(1.0, np.ones(3), 1, 0.9) == (-100.0, 100.0)
    assert interval(0.9, np.array([-1.0, 1.0] * 50), 2, 0.9, most=1.0) == (-1.0, 1.0)


@pytest.mark.parametrize("n", [2, 40, 70, 1000])
def test_pictures_that_do_not_differ_do_not_prove_that_none_would(n):
    """The share that n pictures miss with a chance of 2.5 %, by simulation."""
    low, high = interval(0.0, np.zeros(100), n, 0.95)
    assert low == -high
    missed = np.random.default_rng(n).binomial(n, high / 100, 40_000) == 0
    assert missed.mean() == pytest.approx(0.025, abs=0.004)


def test_a_mean_over_groups_is_told_as_far_as_its_smallest_ones_are():
    """10 pictures of which none differs leave 30.8 points open (Clopper and Pearson's bound for 0 of 10), 1000 leave 0.4."""
    low, high = interval(0.0, np.zeros(100), 1000, 0.95, groups=np.array([1000, 10]))
    assert high == pytest.approx((0.368 + 30.85) / 2, abs=0.01)
    assert low == -high
    assert interval(0.0, np.zeros(100), 1000, 0.95, groups=np.array([1000])) == interval(0.0, np.zeros(100), 1000, 0.95)


@pytest.mark.parametrize(("tail", "deviations"), [(1e-6, 4.753), (1e-4, 3.719), (0.05, 1.645)])
def test_a_tail_that_no_draw_reaches_is_normal(tail, deviations):
    """Deviations from tables of the normal distribution; 500 draws reach no further than 3 or so."""
    drawn = np.random.default_rng(4).normal(2.0, 3.0, 500)
    low, high = interval(2.0, drawn, 10_000, 1 - 2 * tail)
    assert (high - low) / 2 == pytest.approx(3.0 * deviations, rel=0.12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_weights(0, 5, 0), "at least one picture"),
        (lambda: draw_weights(5, 0, 0), "at least one picture"),
        (lambda: interval(0.0, np.zeros(3), 5, 1.0), "confidence between 0 and 1"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(InputError, match=message):
        call()
