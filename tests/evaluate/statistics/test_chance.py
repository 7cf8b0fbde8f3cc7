"""Chance, against sums of exact fractions, and against guesses that are drawn."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.statistics.chance import balanced_hits, binomial_tail, sign_test, upper_bound


def exact_tail(hits: int, n: int, p: Fraction) -> float:
    return float(sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(hits, n + 1)))


@pytest.mark.parametrize("p", [Fraction(0), Fraction(1, 81), Fraction(1, 2), Fraction(99, 100), Fraction(1)])
@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (3, 10), (10, 10), (4, 240), (130, 256), (256, 256)])
def test_the_tail_is_the_sum_of_its_terms(hits, n, p):
    assert binomial_tail(hits, n, float(p)) == pytest.approx(exact_tail(hits, n, p), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (9, 10), (120, 256), (0, 256)])
@pytest.mark.parametrize("error_rate", [0.05, 0.001])
def test_at_the_upper_bound_so_few_hits_have_the_error_rate(hits, n, error_rate):
    bound = upper_bound(hits, n, error_rate)
    assert bound > hits / n
    at_bound = sum(comb(n, k) * bound**k * (1 - bound) ** (n - k) for k in range(hits + 1))
    assert at_bound == pytest.approx(error_rate, rel=1e-6)


def test_where_all_are_hits_nothing_is_ruled_out():
    assert upper_bound(7, 7, 0.05) == 1.0


@pytest.mark.parametrize(
    ("won", "lost", "expected"), [(0, 0, 1.0), (1, 0, 0.5), (0, 5, 1.0), (4, 1, 6 / 32), (20, 0, 2.0**-20)]
)
def test_signs(won, lost, expected):
    assert sign_test(won, lost) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: binomial_tail(3, 2, 0.5), "got 3 of 2"),
        (lambda: binomial_tail(0, 0, 0.5), "got 0 of 0"),
        (lambda: binomial_tail(1, 2, 1.5), "0…1, got 1.5"),
        (lambda: upper_bound(-1, 2, 0.05), "got -1 of 2"),
        (lambda: balanced_hits(np.zeros(2, np.int64), np.zeros(3, np.int64)), "answers"),
        (lambda: balanced_hits(np.zeros(0, np.int64), np.zeros(0, np.int64)), "n > 0"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("answers", "truth", "hits", "n", "guessing"),
    [
        ([0, 1, 0, 1], [0, 0, 1, 1], 2, 4, 0.5),
        ([0, 1, 2, 3], [0, 1, 2, 3], 4, 4, 0.25),
        # Nine photos of one class and one of the other count as 1 / (9 / 18² + 1 / 2²) = 3.6 photos.
        ([0] * 10, [0] * 9 + [1], 2, 3, 0.5),
        ([0] * 9 + [1], [0] * 9 + [1], 3, 3, 0.5),
        # Guesses at classes that no photo shows are never right.
        ([5, 5, 0, 5], [0, 0, 1, 1], 0, 4, 0.125),
        ([-1, 0, -1, 1], [0, 0, 1, 1], 2, 4, 0.25),
    ],
)
def test_each_class_counts_alike(answers, truth, hits, n, guessing):
    counted = balanced_hits(np.array(answers), np.array(truth))
    assert (counted.hits, counted.n, counted.classes) == (hits, n, len(set(truth)))
    assert counted.guessing == pytest.approx(guessing)


def test_guessing_is_what_answers_drawn_without_a_look_hit():
    """On average over many draws, however unevenly they guess and however uneven the classes are."""
    rng = np.random.default_rng(0)
    truth = rng.choice(5, 3000, p=[0.6, 0.2, 0.1, 0.05, 0.05])
    answers = rng.choice(7, 3000, p=[0.5, 0.1, 0.1, 0.05, 0.05, 0.1, 0.1])
    counted = balanced_hits(answers, truth)
    mean = np.mean([balanced_hits(rng.permutation(answers), truth).hits for _ in range(200)])
    assert mean / counted.n == pytest.approx(counted.guessing, abs=0.01)


@pytest.mark.parametrize(("right", "beats", "ruled_out"), [(0.1, False, True), (0.2, True, True), (0.9, True, False)])
def test_guesses_do_not_beat_guessing_and_rule_skill_out(right, beats, ruled_out):
    """Of ten classes; who has the skill 0.5 is right on 0.55 of the photos."""
    truth = np.arange(300) % 10
    answers = np.where(np.arange(300) // 10 < 30 * right, truth, (truth + 1) % 10)
    counted = balanced_hits(answers, truth)
    assert (counted.hits, counted.n) == (300 * right, 300)
    assert counted.beats_guessing(0.01) == beats
    assert counted.rules_out(0.5, 0.001) == ruled_out


def test_photos_of_one_class_rule_nothing_out():
    assert not balanced_hits(np.zeros(500, np.int64), np.ones(500, np.int64)).rules_out(0.5, 0.001)
