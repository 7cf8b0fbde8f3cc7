from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from edgevision.bench.statistics.percentiles import binomial_cdf, bounded, bounded_by_blocks, needed_samples
from edgevision.errors import InputError


def exact_cdf(k: int, n: int, q: Fraction) -> Fraction:
    return sum((comb(n, i) * q**i * (1 - q) ** (n - i) for i in range(k + 1)), Fraction(0))


@pytest.mark.parametrize(
    ("n", "q"), [(1, "1/2"), (10, "1/10"), (64, "1/10"), (200, "99/100"), (300, "1/100"), (90, "1/2")]
)
def test_the_binomial_tail_is_that_of_fractions(n, q):
    share = Fraction(q)
    for k in (0, 1, n // 10, n // 2, n - 1, n):
        assert binomial_cdf(k, n, float(share)) == pytest.approx(float(exact_cdf(k, n, share)), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(("p", "needed"), [(0.9, 64), (0.95, 130), (0.99, 662)])
def test_needed_samples_are_those_of_mlperf(p, needed):
    assert needed_samples(p) == needed
    q = 1 - Fraction(str(p))
    assert exact_cdf(1, needed, q) <= Fraction(1, 100) < exact_cdf(1, needed - 1, q)
    assert bounded(np.arange(needed), p).high == needed - 1  # the highest of all
    few = bounded(np.arange(needed - 1), p)
    assert (few.high, few.enough, few.needed) == (None, False, needed)


@pytest.mark.parametrize(("p", "n"), [(0.5, 25), (0.9, 100), (0.9, 1000), (0.99, 2000)])
def test_bounds_hold_as_often_as_they_say(p, n):
    """Uniform samples, whose percentile is known: each bound fails in at most 1 of 100, and not much more rarely."""
    rng = np.random.default_rng(n)
    bounds = [bounded(rng.random(n), p) for _ in range(1500)]
    too_low = np.mean([bound.high < p for bound in bounds if bound.high is not None])
    too_high = np.mean([bound.low > p for bound in bounds if bound.low is not None])
    assert too_low <= 0.018
    assert 0.0005 <= too_high <= 0.018
    assert all(bound.low <= bound.value <= bound.high for bound in bounds)


def test_a_percentile_is_a_sample_that_the_share_stayed_within():
    for n, p in ((1, 0.9), (10, 0.9), (11, 0.9), (100, 0.07), (7, 0.5)):
        values = np.random.default_rng(n).permutation(n) + 1
        value = bounded(values, p).value
        assert np.mean(values <= value) >= p - 1e-12
        assert np.mean(values <= value - 1) < p


def test_without_samples_enough_there_is_no_bound():
    assert bounded(np.array([5]), 0.9).low is None
    assert bounded(np.array([5, 6]), 0.9).low == 5  # both over the true p90: 1 in 100


def test_blocks_that_differ_widen_the_bounds():
    """Whole blocks are slower or quicker: bounds by samples miss the truth, bounds by blocks hold it."""
    rng = np.random.default_rng(0)
    held = {"samples": 0, "blocks": 0}
    for _ in range(100):
        blocks = [100 * np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.01, 30)) for _ in range(30)]
        by_samples, by_blocks = bounded(np.concatenate(blocks), 0.5), bounded_by_blocks(blocks, 0.5, resamples=300)
        held["samples"] += by_samples.low <= 100 <= by_samples.high
        held["blocks"] += by_blocks.low <= 100 <= by_blocks.high
        assert by_blocks.value == by_samples.value
    assert held["blocks"] >= 88
    assert held["samples"] <= 60


def test_few_blocks_have_no_bounds():
    bound = bounded_by_blocks([np.arange(1, 100)] * 4, 0.9)
    assert (bound.low, bound.high, bound.enough) == (None, None, False)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bounded(np.zeros(0), 0.9),
        lambda: bounded(np.ones((2, 2)), 0.9),
        lambda: bounded(np.ones(3), 90),
        lambda: bounded(np.ones(3), 0.9, confidence=1),
        lambda: bounded_by_blocks([], 0.5),
        lambda: needed_samples(1.0),
    ],
)
def test_wrong_input_is_refused(call):
    with pytest.raises(InputError, match="expected"):
        call()
