import math
from fractions import Fraction

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.recommend.decay import Clock, FadingCounts


def exact_sum(events, now, half_life):
    """Sum of 2^-(age in half-lives), for events at whole multiples of the half-life: exact."""
    return float(sum(Fraction(1, 2 ** ((now - at) // half_life)) for at in events))


@pytest.mark.parametrize("half_life", [1, 60, 86_400])
@pytest.mark.parametrize("events", [[0], [0, 1, 2, 3], [5, 0, 5, 3], [0, 45]])
def test_a_sum_fades_by_half_every_half_life(half_life, events):
    clock = Clock(half_life, base_s=2.0 * half_life)
    total = sum(clock.weight(at * half_life) for at in events)
    now = 50 * half_life
    assert total * clock.now(now) == pytest.approx(
        exact_sum([at * half_life for at in events], now, half_life), rel=1e-12
    )


@pytest.mark.parametrize(("at", "due"), [(0, False), (40, False), (41, True), (-900, False)])
def test_sums_are_brought_to_the_present_before_they_overflow(at, due):
    assert Clock(10.0).due(10.0 * at) is due


def test_the_very_old_counts_nothing_and_the_far_future_is_finite():
    clock = Clock(1.0)
    assert clock.weight(-1e9) == 0.0
    assert math.isfinite(clock.weight(1e9))


@pytest.mark.parametrize("half_life", [0.0, -1.0, math.nan, math.inf])
def test_a_half_life_is_above_zero(half_life):
    with pytest.raises(InputError, match="above 0"):
        Clock(half_life)


def test_a_time_that_is_none_is_refused():
    with pytest.raises(InputError, match="seconds since 1970"):
        Clock(1.0).weight(math.nan)
    with pytest.raises(InputError, match="seconds since 1970"):
        Clock(1.0, base_s=math.inf)


def test_the_smallest_counts_go_when_there_are_too_many():
    counts = FadingCounts(most=3)
    rng = np.random.default_rng(0)
    for id in rng.permutation(50):
        counts.add(int(id), 1.0 + int(id))
        assert len(counts) < 6
    counts.trim()
    kept = dict(counts)
    assert len(kept) == 3
    assert 49 in kept  # the largest of all is never thrown out
    assert kept[49] == 50.0
