"""How values are written."""

from __future__ import annotations

import math

import pytest

from edgevision.bench.report import words
from edgevision.bench.scenarios.base import Scenario


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (5.0, "5"), (-1.25, "−1.25"), (0.00123456, "0.00123"), (999.6, "1000"), (123456.7, "123457"), (1e-9, "1e−09"),
        (math.nan, "–"), (-math.inf, "−∞"), (9.996, "10.00"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (Scenario("x", {"fps": 15}), Scenario("x", {"fps": 15.0}, seed=7), True),
        (
            Scenario("x", {"fps": 15, "seconds": 0.3}),
            Scenario("x", {"fps": 15, "seconds": 0.9, "most_requests": 5}),
            True,
        ),
        (Scenario("x", {"a": 1, "b": 2}), Scenario("x", {"b": 2, "a": 1}), True),
        (Scenario("x", {"fps": 15}), Scenario("x", {"fps": 10}), False),
        (Scenario("x"), Scenario("y"), False),
    ],
)
def test_which_scenarios_are_the_same(a, b, same):
    assert (words.scenario_key(a) == words.scenario_key(b)) is same


@pytest.mark.parametrize(
    ("unit", "word"), [("ms", "slower"), ("frames/s", "slower"), ("cameras", "worse"), ("J", "worse")]
)
def test_only_times_and_rates_are_slower(unit, word):
    assert words.verdict_word("slower", unit) == word
    assert words.verdict_word("undecided", unit) == "undecided"


def test_nested_values_become_lines():
    values = {"a": {"b": {"c": True}}, "d": [], "e": [{"f": 1}], "g": {}}
    assert words.flat(values) == [("a.b.c", "yes"), ("d", "–"), ("e", '[{"f": 1}]'), ("g", "–")]
