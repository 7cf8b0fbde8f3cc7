from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.statistics.calibration import (
    expected_calibration_error,
    fit_temperature,
    laplace_smoothed,
    negative_log_likelihood,
    reliability,
)


def answers(seed: int, n: int = 400, classes: int = 7, sharp: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and truths drawn from softmax(logits): calibrated at ``sharp`` = 1, and so best at T = sharp."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    odds = np.exp(logits)
    truth = (odds.cumsum(axis=1) / odds.sum(axis=1, keepdims=True) < rng.random((n, 1))).sum(axis=1)
    return logits * sharp, truth


def slow_nll(logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    total = 0.0
    for row, t in zip(logits, truth, strict=True):
        total -= row[t] / temperature - math.log(math.fsum(math.exp(x / temperature) for x in row))
    return total / len(truth)


@pytest.mark.parametrize("sharp", [0.3, 1.0, 4.0])
def test_temperature_is_the_best_of_a_dense_grid(sharp):
    logits, truth = answers(1, sharp=sharp)
    fitted = fit_temperature(logits, truth)
    grid = np.exp(np.linspace(math.log(0.05), math.log(20), 4001))
    losses = [negative_log_likelihood(logits, truth, t) for t in grid]
    assert fitted == pytest.approx(grid[int(np.argmin(losses))], rel=2e-3)
    assert negative_log_likelihood(logits, truth, fitted) <= min(losses) + 1e-12
    assert fitted == pytest.approx(sharp, rel=0.2)  # what the truths were drawn with


def test_temperature_does_not_mind_a_shift_or_log_probabilities():
    logits, truth = answers(2)
    fitted = fit_temperature(logits, truth)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert fit_temperature(log_p, truth) == pytest.approx(fitted, rel=1e-6)
    assert fit_temperature(logits + 1e4, truth) == pytest.approx(fitted, rel=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_temperature_stays_in_its_bounds(sign):
    """All right: the sharper the better. All wrong: the flatter the better."""
    logits = sign * np.eye(4)
    expected = 0.05 if sign == 1 else 20.0
    assert fit_temperature(logits, np.arange(4)) == pytest.approx(expected, rel=1e-4)


def test_where_nothing_is_left_to_gain_the_softer_temperature_is_taken():
    logits = np.eye(3) * 1000.0  # the loss underflows to 0 up to about T = 1.3
    fitted = fit_temperature(logits, np.arange(3))
    assert negative_log_likelihood(logits, np.arange(3), fitted) == 0.0
    assert fitted > 1.0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_likelihood_against_its_definition(temperature):
    logits, truth = answers(3, n=50)
    expected = slow_nll(logits, truth, temperature)
    assert negative_log_likelihood(logits, truth, temperature) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "truth", "added"),
    [
        # margins 3, 1, 2: the second-smallest is that of the last photo, whose second-best class is 0
        ([[4, 1, 0], [0, 1, 2], [3, 0, 5]], [0, 2, 2], ([3, 0, 5], 0)),
        # of two, the larger margin; what is wrong counts as any other
        ([[4, 1, 0], [0, 1, 2]], [1, 0], ([4, 1, 0], 1)),
        ([[0, 7]], [1], ([0, 7], 0)),
    ],
)
def test_the_photo_with_the_median_margin_is_added_as_an_error(scores, truth, added):
    more, classes = laplace_smoothed(np.array(scores, float), np.array(truth))
    assert more.tolist() == [*scores, added[0]]
    assert classes.tolist() == [*truth, added[1]]


def test_calibration_error_of_a_table():
    # bins of 0.5: (0 … 0.5] holds 0.2 wrong, 0.5 right; (0.5 … 1] holds 0.8 and 1.0 right
    bins = reliability([0.2, 0.5, 0.8, 1.0], np.array([False, True, True, True]), bins=2)
    assert bins.count.tolist() == [2, 2]
    assert bins.confidence == pytest.approx([0.35, 0.9])
    assert bins.accuracy == pytest.approx([0.5, 1.0])
    assert bins.error == pytest.approx(0.5 * 0.15 + 0.5 * 0.1)


def test_calibration_error_against_a_slow_one():
    rng = np.random.default_rng(5)
    confidence = np.round(rng.random(300), 2)
    right = rng.random(300) < confidence**2
    total = 0.0
    for b in range(10):
        inside = [i for i in range(300) if b / 10 < confidence[i] <= (b + 1) / 10 or (b == 0 and confidence[i] == 0)]
        if inside:
            total += abs(sum(right[i] for i in inside) - sum(confidence[i] for i in inside)) / 300
    # a score of exactly 0.3 lies on the edge 3/10 = 0.3, but float edges may differ in the last bit
    assert expected_calibration_error(confidence, right, bins=10) == pytest.approx(total, abs=2e-3)


def test_calibrated_answers_have_little_error_and_empty_bins_none():
    rng = np.random.default_rng(6)
    confidence = rng.uniform(0.5, 1.0, 20_000)
    right = rng.random(20_000) < confidence
    assert expected_calibration_error(confidence, right) < 0.02
    bins = reliability(confidence, right)
    assert np.isnan(bins.accuracy[0])
    assert bins.count.sum() == 20_000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_temperature([[0.0, -math.inf]], [0]), "finite"),
        (lambda: fit_temperature(np.zeros((0, 2)), np.zeros(0, int)), "at least one photo"),
        (lambda: reliability([1.5], np.array([True])), "0…1"),
        (lambda: reliability([0.5], np.array([1])), "bools"),
        (lambda: reliability([0.5], np.array([True]), bins=0), "bins"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
