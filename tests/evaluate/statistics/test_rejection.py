"""Thresholds, against counting photo by photo."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.statistics.rejection import (
    NEAR_THRESHOLD,
    false_accept_rate,
    fit_threshold,
    transfer_threshold,
    true_accept_rate,
)


@pytest.mark.parametrize(
    ("scores", "true_accept_rate", "expected"),
    [
        ([0.1, 0.5, 0.9, 0.7], 1.0, 0.1),
        ([0.1, 0.5, 0.9, 0.7], 0.75, 0.5),
        ([0.1, 0.5, 0.9, 0.7], 0.74, 0.5),
        ([0.1, 0.5, 0.9, 0.7], 0.01, 0.9),
        ([0.3, 0.3, 0.3, 0.9], 0.5, 0.3),
        (np.arange(100) / 100, 0.95, 0.05),
        (np.arange(100) / 100, 0.07, 0.93),  # 0.07 · 100 = 7.000000000000001 in floating point
    ],
)
def test_threshold_is_the_largest_that_keeps_enough(scores, true_accept_rate, expected):
    threshold = fit_threshold(scores, true_accept_rate)
    assert threshold == expected
    scores = np.asarray(scores)
    assert (scores >= threshold).mean() >= true_accept_rate - 1e-9
    assert (scores >= np.nextafter(threshold, 2)).mean() < true_accept_rate


@pytest.mark.parametrize("rate", [false_accept_rate, true_accept_rate])
@pytest.mark.parametrize(("threshold", "expected"), [(0.0, 1.0), (0.5, 0.75), (0.6, 0.25), (1.0, 0.0)])
def test_a_score_equal_to_the_threshold_passes(rate, threshold, expected):
    assert rate([0.2, 0.5, 0.5, 0.8], threshold) == expected


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_threshold_is_carried_to_a_variant_by_what_its_scores_do_near_it():
    """The variant's log odds are 0.3 lower near the line and far lower elsewhere: the line moves by 0.3."""
    odds = np.linspace(-1.0, 9.0, 201)
    moved = odds - np.where(np.abs(odds - 2.0) < 1.5, 0.3, 2.0) + 0.01 * np.cos(np.arange(201))
    scores, own = sigmoid(odds), sigmoid(moved)
    carried = transfer_threshold(float(sigmoid(2.0)), scores, own)
    assert np.log(carried / (1 - carried)) == pytest.approx(1.7, abs=0.02)
    assert [transfer_threshold(edge, scores, own) for edge in (0.0, 1.0)] == [0.0, 1.0]
    assert transfer_threshold(0.9, scores, scores) == pytest.approx(0.9, abs=1e-12)


def test_what_moves_the_line_is_the_median_over_the_nearest_photos():
    """Against Python's own numbers; few of the photos nearest to the line move far, and all others farther."""
    rng = np.random.default_rng(8)
    odds = rng.normal(1.0, 2.0, 300)
    nearest = np.argsort(np.abs(odds - 1.0))[:NEAR_THRESHOLD]
    moved = odds + 5.0
    moved[nearest] = odds[nearest] + rng.normal(-0.2, 0.05, NEAR_THRESHOLD)
    moved[nearest[:5]] = odds[nearest[:5]] + 4.0
    shifts = sorted(float(moved[i] - odds[i]) for i in nearest)
    middle = (shifts[NEAR_THRESHOLD // 2 - 1] + shifts[NEAR_THRESHOLD // 2]) / 2
    carried = transfer_threshold(float(sigmoid(1.0)), sigmoid(odds), sigmoid(moved))
    assert carried == pytest.approx(1 / (1 + math.exp(-1.0 - middle)), rel=1e-9)


def test_certain_scores_have_log_odds_too():
    ones = np.ones(30)
    assert transfer_threshold(0.5, ones, ones) == pytest.approx(0.5)
    assert 0.5 < transfer_threshold(0.5, np.full(30, 0.5), ones) < 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_threshold([]), "right answers"),
        (lambda: fit_threshold([0.5], true_accept_rate=95), "0 < true_accept_rate ≤ 1"),
        (lambda: fit_threshold([0.5], true_accept_rate=0.0), "0 < true_accept_rate ≤ 1"),
        (lambda: false_accept_rate([math.nan], 0.5), "unknown photos"),
        (lambda: true_accept_rate([], 0.5), "right answers"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
