"""What a call is expected to take, against a reckoning by hand."""

from __future__ import annotations

import pytest

from edgevision.calls.cost import REMEMBERED_S, CallCost


@pytest.mark.parametrize(
    ("at_once", "others", "pictures", "expected"),
    [
        (1, 0, 1, 0.02),
        (1, 1, 1, 0.04),  # one is before it, or shares the core with it
        (1, 3, 2, 0.16),
        (2, 1, 1, 0.02),  # there is room for two
        (2, 3, 1, 0.04),
        (4, 0, 8, 0.16),  # a list runs as one call
    ],
)
def test_time_grows_with_pictures_and_with_calls_beyond_those_that_gain(at_once, others, pictures, expected):
    cost = CallCost(at_once)
    for seconds in (0.02, 0.01, 5.0, 0.02, 0.02):  # one hiccup does not count
        cost.add(seconds, pictures=1, others=0, now_s=0.0)
    assert cost.expected_s(pictures, others, now_s=1.0) == pytest.approx(expected)


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("others", [0, 1, 2, 7])
def test_calls_that_shared_the_cores_tell_what_one_alone_costs(at_once, others):
    """With n calls always under way on a machine for ``at_once``, each takes n / at_once times as long as alone."""
    cost = CallCost(at_once)
    alone_s = 0.003
    cost.add(5 * alone_s * max(1, (others + 1) / at_once), pictures=5, others=others, now_s=0.0)
    assert cost.expected_s(1, 0, now_s=0.0) == pytest.approx(alone_s)


def test_what_is_old_is_forgotten():
    cost = CallCost(1)
    cost.add(3.0, 1, 0, now_s=0.0)
    cost.add(1.0, 1, 0, now_s=5.0)
    assert cost.expected_s(1, 0, now_s=REMEMBERED_S + 1) == 1.0
    assert cost.expected_s(1, 0, now_s=REMEMBERED_S + 6) == 0.0


def test_nothing_is_known_at_first_nor_learnt_from_no_pictures():
    cost = CallCost(1)
    cost.add(3.0, 0, 0, now_s=0.0)
    assert cost.expected_s(1, 5, now_s=0.0) == 0.0


def test_only_the_last_calls_count():
    cost = CallCost(1)
    for number in range(100):
        cost.add(1.0 if number < 50 else 2.0, 1, 0, now_s=0.0)
    assert cost.expected_s(1, 0, now_s=0.0) == 2.0
