from __future__ import annotations

import numpy as np
import pytest

from edgevision.streams.soak.trend import medians, theil_sen


@pytest.mark.parametrize(
    ("times", "values", "expected"),
    [
        ([0, 1, 2], [5, 5, 5], 0.0),
        ([0, 1, 2, 3], [0, 3, 6, 9], 3.0),
        ([0, 2, 4, 6], [9, 6, 3, 0], -1.5),
        ([0, 1, 2, 3, 4], [0, 2, 4, 6, 1000], 2.0),  # least squares gives 200
        ([0, 0, 1, 1], [0, 1, 2, 3], 2.0),  # two at one time make no slope; the others are 2, 3, 1, 2
    ],
)
def test_the_slope_is_the_middle_one_of_all_pairs(times, values, expected):
    assert theil_sen(times, values).value == pytest.approx(expected)


def test_the_interval_is_sens():
    """Of his own example (JASA 63, page 1384): slopes of 7 points, in their order; C = 1.96 √44.33 = 13.05, so that numbers
    (21 − 13.05) / 2 = 3.97 → 3 and 17.02 + 1 → 19 count."""
    times, values = [1, 2, 3, 4, 10, 12, 18], [9, 15, 19, 20, 45, 55, 78]
    slopes = sorted((values[j] - values[i]) / (times[j] - times[i]) for i in range(7) for j in range(i + 1, 7))
    found = theil_sen(times, values)
    assert found.value == slopes[10] == 4.0
    assert (found.low, found.high) == (slopes[2], slopes[18])


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(7)
    times = np.arange(40.0)
    found = [theil_sen(times, 0.5 * times + rng.standard_t(2, 40)) for _ in range(400)]
    share = sum(one.low <= 0.5 <= one.high for one in found) / len(found)
    assert 0.92 < share < 0.985


def test_a_slope_needs_three_points():
    with pytest.raises(ValueError, match="3 points"):
        theil_sen([0, 1], [0, 1])


def test_medians_of_pieces():
    times, values = np.arange(10.0), [0, 9, 0, 1, 1, 5, 5, 5, 100, 5]
    assert medians(times, values, 2) == ([2.0, 7.0], [1.0, 5.0])
    assert medians([1.0, 2.0], [3.0, 4.0], 5) == ([1.0, 2.0], [3.0, 4.0])
