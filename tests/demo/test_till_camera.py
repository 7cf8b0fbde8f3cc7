from collections import Counter

import numpy as np
import pytest

from edgevision.demo.scene import SceneKind
from edgevision.demo.till_camera import FIRST_S, PERIOD_S, SIDE_PX, Visits
from edgevision.errors import InputError


def difference(a, b) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_the_same_seed_shows_the_same():
    one, again, other = (Visits(seed, 96) for seed in (1, 1, 2))
    for time_s in (0.0, FIRST_S + 0.9, FIRST_S + 4.0):
        assert np.array_equal(one.frame(time_s), again.frame(time_s))
    assert not np.array_equal(one.frame(FIRST_S + 4.0), other.frame(FIRST_S + 4.0))
    assert Visits().frame(0.0).shape == (SIDE_PX, SIDE_PX, 3)


def test_a_visit_in_its_order():
    """Empty, a hand that moves, a product that stands still, a hand, and empty as before."""
    visits = Visits(3, 96)
    empty, coming, stands, later, going, gone = (
        visits.frame(FIRST_S + at_s) for at_s in (0.1, 0.9, 2.5, 6.0, 7.7, 8.6)
    )
    noise = difference(empty, visits.frame(FIRST_S + 0.15))
    assert noise < 2  # of the camera alone
    assert difference(stands, later) < 2
    assert difference(empty, gone) < 2
    assert min(difference(empty, one) for one in (coming, stands, going)) > 3
    assert difference(stands, going) > 3
    assert [visits.visit_at(FIRST_S + at_s) is not None for at_s in (0.1, 0.9, 2.5, 6.0, 7.7, 8.6)] == [
        False, False, True, True, False, False,
    ]  # fmt: skip


def test_ten_visits_have_their_kinds():
    visits = Visits(5, 96)
    seen = [visits.visit_at(FIRST_S + number * PERIOD_S + 3.0) for number in range(20)]
    assert [one.number for one in seen] == list(range(20))
    for ten in (seen[:10], seen[10:]):
        assert Counter(one.kind for one in ten) == {SceneKind.LISTED: 8, SceneKind.UNLISTED: 2}
        assert sum(abs(one.pose.yaw) > 60 for one in ten) == 1  # its side is to the camera


@pytest.mark.parametrize("side_px", [0, 63, 2001])
def test_a_side_that_cannot_be(side_px):
    with pytest.raises(InputError, match="64 to 2000"):
        Visits(0, side_px)
