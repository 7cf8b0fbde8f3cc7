"""Where points are to lines and zones, against sampled and hand-made truths."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.tracking import Anchor, Line, Zone

SQUARE = [(0, 0), (100, 0), (100, 100), (0, 100)]
L_SHAPE = [(0, 0), (100, 0), (100, 40), (40, 40), (40, 100), (0, 100)]
SLANTED = [(50, 3), (97, 61), (31, 88)]


@pytest.mark.parametrize(("anchor", "expected"), [
    (Anchor.CENTER, (20, 50)), (Anchor.TOP, (20, 20)), (Anchor.BOTTOM, (20, 80)), (Anchor.LEFT, (10, 50)), (Anchor.RIGHT, (30, 50)),
])  # fmt: skip
def test_anchors(anchor, expected):
    assert anchor.of((10, 20, 30, 80)) == expected


@pytest.mark.parametrize(("start", "end", "point", "expected"), [
    ((50, 100), (50, 0), (60, 50), 10),  # drawn upwards: right is right
    ((50, 0), (50, 100), (60, 50), -10),
    ((0, 50), (100, 50), (10, 70), 20),  # drawn to the right: right of it is below
    ((0, 0), (30, 40), (30, 40), 0),
    ((0, 0), (30, 40), (0, 50), 30),  # 3-4-5
    ((0, 0), (30, 40), (500, 0), -400),  # beyond the end, the line goes on
])  # fmt: skip
def test_offset_from_a_line(start, end, point, expected):
    assert Line("l", start, end).offset(point) == pytest.approx(expected)


@pytest.mark.parametrize(("before", "after", "expected"), [
    ((40, 50), (60, 50), True), ((40, 99), (60, 99), True), ((40, 101), (60, 101), False), ((40, -1), (60, -1), False),
    ((0, 180), (100, 0), True),  # the ends are far away, the way leads through
    ((0, 180), (100, 40), False),  # at x = 50, y = 110
])  # fmt: skip
def test_ways_through_a_line_and_past_it(before, after, expected):
    line = Line("l", (50, 100), (50, 0))
    assert line.passed_within(before, after) is expected
    assert line.passed_within(after, before) is expected


@pytest.mark.parametrize("corners", [SQUARE, L_SHAPE, SLANTED, SQUARE[::-1], L_SHAPE[::-1]])
def test_depth_in_a_zone(corners):
    """The distance against 20,000 points on the border; inside against the winding number."""
    zone = Zone("z", corners)
    sides = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    share = np.linspace(0, 1, 20_000 // len(sides))[:, None]
    border = np.concatenate([np.array(a) + share * (np.array(b) - np.array(a)) for a, b in sides])
    rng = np.random.default_rng(0)
    for point in rng.uniform(-30, 130, (200, 2)):
        ways = np.array(corners) - point
        angles = np.arctan2(ways[:, 1], ways[:, 0])
        turns = (np.roll(angles, -1) - angles + np.pi) % (2 * np.pi) - np.pi
        inside = abs(turns.sum()) > np.pi
        depth = zone.depth(tuple(point))
        assert (depth > 0) == inside
        assert abs(depth) == pytest.approx(np.hypot(*(border - point).T).min(), abs=0.02)


@pytest.mark.parametrize("y", [0, 40, 100])
def test_a_ray_through_a_corner_is_counted_once(y):
    assert Zone("z", L_SHAPE).depth((-10, y)) < 0
    assert Zone("z", L_SHAPE).depth((150, y)) < 0
    assert Zone("z", [(0, 50), (50, 0), (100, 50), (50, 100)]).depth((50, 50)) > 0
    assert Zone("z", [(0, 50), (50, 0), (100, 50), (50, 100)]).depth((-50, 50)) < 0


@pytest.mark.parametrize(("make", "says"), [
    (lambda: Zone("shelf", SQUARE[:2]), "'shelf' has 2 corners"),
    (lambda: Zone("shelf", [(0, 0), (100, 100), (100, 0), (0, 100)]), "sides 0 and 2 cross"),  # a bow tie
    (lambda: Zone("shelf", [(0, 0), (100, 0), (100, 0), (0, 100)]), "cross or touch"),  # a corner twice
    (lambda: Zone("shelf", [(0, 0), (50, 0), (100, 0)]), "cross or touch"),  # no area
    (lambda: Zone("shelf", [*SQUARE, (50, 0)]), "cross or touch"),  # a corner on a side
    (lambda: Zone("shelf", [(0, 0), (np.nan, 0), (0, 100)]), "finite"),
    (lambda: Zone("shelf", SQUARE, margin_px=-1), "margin_px"),
    (lambda: Line("door", (5, 5), (5, 5)), "two different points"),
    (lambda: Line("door", (5, 5), (5, np.inf)), "finite"),
    (lambda: Line("door", (5, 5), (5, 6), settle_s=np.nan), "settle_s"),
])  # fmt: skip
def test_places_that_make_no_sense_are_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


@pytest.mark.parametrize("corners", [SQUARE, L_SHAPE, SLANTED, [(0, 0), (50, 0), (100, 0), (100, 100)]])
def test_good_polygons_are_taken_in_both_directions_from_every_corner(corners):
    for turn in range(len(corners)):
        turned = [*corners[turn:], *corners[:turn]]
        Zone("z", turned)
        Zone("z", turned[::-1])
