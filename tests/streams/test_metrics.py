"""Counters and histograms, against NumPy's."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgevision.streams.metrics import BOUNDS_S, Histogram, Metrics


def test_values_are_counted_between_bounds():
    values = np.random.default_rng(3).exponential(0.1, 2000)
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    read = histogram.read()
    expected, _ = np.histogram(-values, bins=[-np.inf, *(-b for b in reversed(BOUNDS_S)), np.inf])  # bounds are within
    assert list(read.counts) == list(reversed(expected))
    assert read.count == 2000
    assert read.sum == pytest.approx(values.sum())


@pytest.mark.parametrize(("values", "share", "expected"), [
    ([], 0.5, None), ([0.05], 0.5, 0.1), ([0.1], 1.0, 0.1), ([0.05, 0.15, 0.15, 9], 0.5, 0.2), ([0.05, 9], 0.99, float("inf")),
    ([0.15], 0.0, 0.2),
])  # fmt: skip
def test_a_quantile_is_a_bound_that_holds(values, share, expected):
    histogram = Histogram((0.1, 0.2))
    for value in values:
        histogram.add(value)
    assert histogram.read().quantile(share) == expected


def test_a_camera_keeps_its_counters_when_it_comes_back():
    metrics = Metrics()
    metrics.camera("till").add("age", 0.1)
    metrics.camera("till").add("age", 0.1)
    assert metrics.cameras["till"].stages["age"].read().count == 2
    assert metrics.cameras["till"].stages["queue"].read().count == 0


def test_nothing_is_lost_when_threads_count_at_once():
    metrics = Metrics()

    def count() -> None:
        for _ in range(500):
            metrics.add_batch(2, 0.25)
            metrics.add_model_failure()
            metrics.camera("till").add("age", 0.1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (metrics.busy_s, metrics.model_failures) == (500.0, 2000)
    assert metrics.batch_sizes.read().count == metrics.cameras["till"].stages["age"].read().count == 2000
