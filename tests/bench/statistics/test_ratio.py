from __future__ import annotations

import numpy as np
import pytest
from bench_samples import block, blocks

from edgevision.bench.statistics.ratio import log_ratios, paired_ratio_of, throughput
from edgevision.errors import InputError
from edgevision.latency import Samples, paired_ratio


def test_it_is_the_paired_ratio_of_single_calls():
    """With one call in each block, it is what ``latency`` says of the same calls."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(900, 1100, 31), rng.integers(400, 600, 31)
    ratio = paired_ratio_of([block([v], i) for i, v in enumerate(a)], [block([v], i) for i, v in enumerate(b)])
    assert ratio.median == pytest.approx(paired_ratio(Samples(a), Samples(b)).median)
    assert ratio.low == pytest.approx(paired_ratio(Samples(a), Samples(b)).low, rel=1e-3)
    assert ratio.high == pytest.approx(paired_ratio(Samples(a), Samples(b)).high, rel=1e-3)


def test_rounds_are_paired_by_number_and_disturb_both():
    moods = np.random.default_rng(0).choice([1, 7], 20)
    a = [block(1_030_000 * mood + np.arange(50), number) for number, mood in enumerate(moods)]
    b = [block(1_000_000 * mood + np.arange(50), number) for number, mood in enumerate(moods)]
    ratio = paired_ratio_of(a, list(reversed(b)))
    assert (ratio.n, ratio.confidence) == (20, 0.95)
    assert ratio.low == pytest.approx(1.03, abs=1e-3)
    assert ratio.high == pytest.approx(1.03, abs=1e-3)
    assert paired_ratio_of(a, b[:7]).n == 7  # only rounds of both


def test_the_interval_covers_the_truth():
    held = 0
    for seed in range(100):
        a = blocks(rounds=25, n=9, noise=0.1, seed=2 * seed, scale_ns=1.2e6)
        b = blocks(rounds=25, n=9, noise=0.1, seed=2 * seed + 1)
        ratio = paired_ratio_of(a, b, resamples=300)
        held += ratio.low <= 1.2 <= ratio.high
    assert 88 <= held <= 100


def test_few_rounds_show_all_that_was_seen():
    a, b = [block([v], i) for i, v in enumerate((10, 12, 11))], [block([10], i) for i in range(3)]
    ratio = paired_ratio_of(a, b)
    assert (ratio.median, ratio.low, ratio.high) == (pytest.approx(1.1), pytest.approx(1.0), pytest.approx(1.2))


def test_another_statistic():
    a, b = [block([10**6] * 10, i) for i in range(6)], [block([2 * 10**6] * 10, i) for i in range(6)]
    assert paired_ratio_of(a, b, throughput).median == pytest.approx(2.0)


def test_blocks_without_samples_are_left_out_and_doubled_ones_counted_once():
    a = [block([4], 0), block([9], 0), block([], 1), block([5], 2)]
    assert log_ratios(a, [block([6], 0), block([6], 1), block([5], 2)]) == pytest.approx([0.0, 0.0])


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="in common"):
        paired_ratio_of([block([1], 0)], [block([1], 1)])
    with pytest.raises(InputError, match="> 0"):
        paired_ratio_of([block([0], 0)], [block([1], 0)])
    with pytest.raises(InputError, match="confidence"):
        paired_ratio_of([block([1], 0)], [block([1], 0)], confidence=95)
