from __future__ import annotations

import numpy as np
import pytest

from edgevision.bench.statistics.modes import two_modes


@pytest.mark.parametrize("n", [60, 200, 2000, 20000])
@pytest.mark.parametrize("share", [0.15, 0.5, 0.8])
@pytest.mark.parametrize("distance", [1.3, 3.0, 20.0])
def test_two_heaps_are_found(n, share, distance):
    rng = np.random.default_rng(n)
    upper = np.arange(n) < round(share * n)
    modes = two_modes(1e6 * np.exp(rng.normal(0, 0.03, n)) * np.where(upper, distance, 1.0))
    assert modes is not None
    assert modes.lower == pytest.approx(1e6, rel=0.05)
    assert modes.upper == pytest.approx(distance * 1e6, rel=0.05)
    assert modes.share == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("n", [50, 100, 500, 5000])
@pytest.mark.parametrize("kind", ["log-normal", "wide", "stragglers", "one-sided", "steps"])
def test_one_heap_is_not_taken_for_two(n, kind):
    rng = np.random.default_rng(n)
    alarms = 0
    for _ in range(60):
        logs = rng.normal(0, 0.05, n)
        if kind == "wide":
            logs = rng.normal(0, 0.5, n)
        elif kind == "stragglers":
            logs += np.where(rng.random(n) < 0.03, np.minimum(rng.pareto(1.0, n), 50), 0)
        elif kind == "one-sided":
            logs = rng.exponential(0.1, n)
        values = 1e6 * np.exp(logs)
        if kind == "steps":
            values = np.round(values, -4)  # a clock of 1 %
        alarms += two_modes(values) is not None
    assert alarms <= 3


@pytest.mark.parametrize("values", [np.full(100, 5.0), np.ones(10), np.zeros(100), np.array([1.0] * 97 + [9.0] * 3)])
def test_what_cannot_be_two(values):
    assert two_modes(values) is None
