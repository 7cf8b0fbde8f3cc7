"""What is a gap, and what moved meanwhile, against belts that are known."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.tracking.gap import Gap, Rhythm


@pytest.mark.parametrize(("times", "longest_s", "expected"), [
    ([0.1] * 4 + [0.31], 3.0, True), ([0.1] * 4 + [0.29], 3.0, False),  # three times as long as usual
    ([0.04] * 4 + [0.29], 3.0, False), ([0.04] * 4 + [0.31], 3.0, True),  # and 0.3 s
    ([0.5] * 4 + [1.4], 3.0, False), ([0.5] * 4 + [1.6], 3.0, True),
    ([0.1] * 4 + [3.1], 3.0, False), ([0.1] * 4 + [2.9], 3.0, True), ([0.1] * 4 + [1.0], 0.0, False),
    ([0.1] * 2 + [1.0], 3.0, False),  # nothing is usual yet
    ([0.1, 0.1, 0.1, 1.0, 1.0], 3.0, True),  # one gap does not become usual
    ([0.1] * 15 + [1.0] * 7, 3.0, True), ([0.1] * 15 + [1.0] * 9, 3.0, False),  # ten times as slow, from now on
    ([0.1] * 15 + [0.2] * 8 + [0.5], 3.0, False),  # the camera became slower
])  # fmt: skip
def test_a_gap_is_a_time_that_is_not_usual(times, longest_s, expected):
    rhythm = Rhythm()
    assert [rhythm.add(one, longest_s) for one in times][-1] is expected


def at(*xs):
    return np.array([[x - 40.0, 100.0, x + 40.0, 160.0] for x in xs])


BOXES_ON, CENTERS_ON = np.array([300.0, 0, 300, 0]), np.array([300.0, 0])  # the way they would have gone


def centers(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2


@pytest.mark.parametrize(("share", "trembles"), [(1.0, 0), (1.0, 6), (0.0, 0), (0.0, 6), (0.5, 0), (0.3, 4), (1.1, 0)])
def test_the_share_of_the_way_is_found(share, trembles):
    """Three products that would have moved by 300 px in 2 s; the first is not found again, and two others came in."""
    began = at(100, 330, 610)
    seen = at(330 + 300 * share, 610 + 300 * share, -150 + 300 * share, 1100) + np.random.default_rng(0).normal(
        0, trembles, (4, 4)
    )
    gap = Gap(5.0, 2.0, centers(began))
    gap.judge(began + BOXES_ON, np.ones(3, bool), seen)
    np.testing.assert_allclose(gap.moved(centers(began) + CENTERS_ON)[:, 0] - [100, 330, 610], 300 * share, atol=16)
    assert gap.moving_s == pytest.approx(2.0 * share, abs=0.11)


@pytest.mark.parametrize(("confirmed", "seen"), [
    ([False, False], at(400, 630)), ([True, True], at(2000, 3000)), ([True, True], np.empty((0, 4))),
])  # fmt: skip
def test_where_nothing_tells_tracks_go_on_and_nothing_is_guessed(confirmed, seen):
    began = at(100, 330)
    gap = Gap(5.0, 2.0, centers(began))
    gap.judge(began + BOXES_ON, np.array(confirmed), seen)
    np.testing.assert_allclose(gap.moved(centers(began) + CENTERS_ON), centers(began) + CENTERS_ON)
    assert gap.moving_s == 0.0
