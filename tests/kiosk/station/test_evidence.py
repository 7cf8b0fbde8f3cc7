"""Looks added up: against Bayes' rule written out, and against what more looks may and may not do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.kiosk.station.evidence import Evidence
from edgevision.tasks.results import Prediction


def look(*shares: float) -> list[Prediction]:
    return [Prediction(place, f"p{place}", share) for place, share in enumerate(shares)]


def scores(evidence: Evidence) -> dict[int, float]:
    return {one.id: one.score for one in evidence.posterior()}


def test_one_look_is_the_posterior():
    evidence = Evidence(4, alike=0.5)
    evidence.add(look(0.7, 0.1, 0.15, 0.05), known=True)
    assert scores(evidence) == pytest.approx({0: 0.7, 1: 0.1, 2: 0.15, 3: 0.05})
    assert [one.id for one in evidence.posterior()] == [0, 2, 1, 3]


@pytest.mark.parametrize("alike", [0.001, 0.5, 0.999])
def test_several_looks_are_bayes_rule_with_the_worth_of_as_many(alike):
    rng = np.random.default_rng(3)
    looks = rng.dirichlet((2, 1, 1), size=6)
    evidence = Evidence(3, alike=alike)
    for one in looks:
        evidence.add(look(*one), known=True)
    power = 1 / (1 + 5 * alike)
    expected = np.prod(looks**power, axis=0)
    expected /= expected.sum()
    assert [scores(evidence)[place] for place in range(3)] == pytest.approx(expected.tolist(), rel=1e-9)
    assert evidence.worth == pytest.approx(6 * power)


def test_the_same_look_again_and_again_makes_nobody_sure():
    """A wrong model that is 80 % sure must not become certain by repeating itself: two independent looks are the most."""
    evidence = Evidence(2, alike=0.5)
    for _ in range(1000):
        evidence.add(look(0.8, 0.2), known=True)
    assert evidence.worth < 2
    assert scores(evidence)[0] < 0.8**2 / (0.8**2 + 0.2**2) + 1e-9


def test_what_is_not_named_shares_the_rest():
    evidence = Evidence(12, alike=0.5)
    evidence.add(look(0.6, 0.2), known=True)  # ten others share 0.2
    assert scores(evidence) == pytest.approx({0: 0.6, 1: 0.2})
    evidence.add([Prediction(7, "late", 0.9)], known=True)  # named for the first time by the second look
    power = (2 / 1.5) / 2
    weights = {0: 0.6 * (0.1 / 11), 1: 0.2 * (0.1 / 11), 7: 0.02 * 0.9}
    unnamed = 9 * (0.02 * 0.1 / 11) ** power
    total = sum(weight**power for weight in weights.values()) + unnamed
    assert scores(evidence) == pytest.approx({key: weight**power / total for key, weight in weights.items()})


def test_zero_rules_nothing_out_for_good():
    evidence = Evidence(2, alike=0.01)
    evidence.add(look(0.0, 1.0), known=True)
    for _ in range(12):
        evidence.add(look(0.99, 0.01), known=True)
    assert scores(evidence)[0] > 0.99
    assert all(math.isfinite(one.score) for one in evidence.posterior())


def test_what_was_known_is_counted():
    evidence = Evidence(2, alike=0.5)
    assert (evidence.known_share, evidence.posterior(), evidence.worth) == (0.0, [], 0.0)
    for known in (True, False, True, True):
        evidence.add(look(0.5, 0.5), known=known)
    assert (evidence.looks, evidence.known, evidence.known_share) == (4, 3, 0.75)
