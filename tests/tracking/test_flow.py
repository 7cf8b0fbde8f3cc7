"""What is believed of a velocity, against sums written out."""

from __future__ import annotations

import numpy as np

from edgevision.tracking.flow import DOUBT, REACH, REMEMBERED, SPREAD, Flow
from edgevision.tracking.motion import UNKNOWN_SPEED

SCALE = np.array([[50.0]])
HERE = np.array([[100.0, 100.0]])


def test_where_nothing_was_seen_every_direction_is_as_likely():
    velocity, variance = Flow().expect(HERE, SCALE)
    np.testing.assert_array_equal(velocity, [[0, 0]])
    np.testing.assert_allclose(variance, [[(UNKNOWN_SPEED * 50) ** 2] * 2])


def test_it_is_the_weighted_mean_of_what_was_seen():
    places, velocities = np.array([[120.0, 90], [180, 100], [400, 300]]), np.array([[300.0, 0], [280, 20], [-100, 50]])
    flow = Flow()
    flow.remember(places, velocities)
    velocity, variance = flow.expect(HERE, SCALE)
    for axis in (0, 1):
        total, first, second = DOUBT, 0.0, DOUBT * (UNKNOWN_SPEED * 50) ** 2
        for place, seen in zip(places, velocities, strict=True):
            weight = np.exp(-0.5 * (np.linalg.norm(place - HERE[0]) / (REACH * 50)) ** 2)
            total, first, second = total + weight, first + weight * seen[axis], second + weight * seen[axis] ** 2
        assert np.isclose(velocity[0, axis], first / total)
        assert np.isclose(variance[0, axis], max(second / total - (first / total) ** 2, (SPREAD * 50) ** 2))


def test_many_that_agree_are_believed_and_not_without_end():
    flow = Flow()
    flow.remember(np.tile(HERE, (REMEMBERED, 1)), np.tile([[300.0, -20.0]], (REMEMBERED, 1)))
    velocity, variance = flow.expect(HERE, SCALE)
    np.testing.assert_allclose(velocity, [[300, -20]], rtol=0.01)
    assert (variance >= (SPREAD * 50) ** 2).all()


def test_what_is_far_away_says_nothing():
    flow = Flow()
    flow.remember(HERE + 2000, np.array([[300.0, 0]]))
    np.testing.assert_allclose(flow.expect(HERE, SCALE)[0], [[0, 0]], atol=1e-9)


def test_the_oldest_give_way():
    flow = Flow()
    flow.remember(HERE, np.array([[-300.0, 0]]))
    for _ in range(REMEMBERED):
        flow.remember(HERE, np.array([[200.0, 0]]))
    assert flow.expect(HERE, SCALE)[0][0, 0] > 199
