"""The line through the batches, against NumPy's own least squares."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.streams.batch_cost import BatchCost


def learned(batches) -> BatchCost:
    cost = BatchCost()
    for n, seconds in batches:
        cost.add(int(n), float(seconds))
    return cost


@pytest.mark.parametrize("seed", range(5))
def test_the_line_is_that_of_the_last_50_batches(seed):
    random = np.random.default_rng(seed)
    n = random.integers(1, 9, 80)
    t = 0.010 + 0.004 * n + random.normal(0, 0.001, 80)
    t[:30] += 1.0  # forgotten by then
    cost = learned(zip(n, t, strict=True))
    slope, intercept = np.polyfit(n[-50:], t[-50:], 1)
    assert cost.per_frame_s == pytest.approx(slope)
    assert cost.fixed_s == pytest.approx(intercept)
    assert cost.seconds(5) == pytest.approx(intercept + 5 * slope)


@pytest.mark.parametrize(("batches", "fixed", "per_frame"), [
    ([], 0, 0),
    ([(1, 0.01)] * 9, 0, 0.01),  # nothing says that a batch would cost less
    ([(4, 0.02)] * 9, 0, 0.005),
    ([(1, 0.02), (8, 0.02)], 0.02, 0),  # a graph with a fixed batch: padding costs as much
    ([(1, 0.01), (2, 0.03)], 0, 0.04 / 3),  # more than twice: no b below 0
    ([(1, 0.03), (2, 0.01)], 0.02, 0),  # no a below 0
])  # fmt: skip
def test_neither_part_is_negative(batches, fixed, per_frame):
    cost = learned(batches)
    assert (cost.fixed_s, cost.per_frame_s) == pytest.approx((fixed, per_frame))


def test_while_all_batches_have_one_size_the_ratio_stays():
    """b:a = 10:4 is known; batches are full from then on, and a slower clock makes them cost twice."""
    cost = BatchCost([(1, 0.014), (4, 0.026)])
    for factor in (1, 2):
        for _ in range(60):
            cost.add(8, factor * (0.010 + 8 * 0.004))
    assert (cost.fixed_s, cost.per_frame_s) == pytest.approx((0.020, 0.008))


@pytest.mark.parametrize(("fixed", "per_frame", "max_batch", "expected"), [
    (0.010, 0.001, 8, True), (0.0, 0.010, 8, False), (0.0005, 0.010, 8, False), (0.002, 0.010, 8, False), (0.006, 0.010, 8, True), (0.01, 0.001, 1, False),
])  # fmt: skip
def test_whether_batches_gain_is_judged_by_frames_a_second(fixed, per_frame, max_batch, expected):
    cost = BatchCost([(1, fixed + per_frame), (8, fixed + 8 * per_frame)])
    assert cost.gains_from(max_batch) is expected


def test_batches_are_tried_while_nothing_is_known():
    assert BatchCost().gains_from(8)
    assert learned([(1, 0.01)] * 50).gains_from(8)
    assert not BatchCost().gains_from(1)


@pytest.mark.parametrize("sizes", [[1], [1, 2, 4, 8]])
def test_one_hiccup_puts_no_deadline_out_of_reach(sizes):
    usual = [(n, 0.010 + 0.004 * n) for n in sizes]
    cost = learned(usual * 20)
    before = cost.seconds(1)
    cost.add(1, 15.0)
    assert cost.seconds(1) < 1.5 * before


def test_a_slow_first_batch_is_outweighed_by_the_second():
    assert learned([(1, 3.0), (1, 0.01)]).seconds(1) < 0.03


def test_a_model_that_became_slower_is_believed():
    cost = learned([(1, 0.01)] * 50 + [(1, 0.1)] * 54)
    assert cost.seconds(1) == pytest.approx(0.1)
