"""The conveyor: what passes the line, and that it is a belt and not a film."""

import itertools

import numpy as np
import pytest

from edgevision.demo.camera import depth, project
from edgevision.demo.raster import solid
from edgevision.demo.world.conveyor import BELT_CM, Conveyor

SIZE = (60, 80)  # nothing is rendered in most of these tests
SEEDS = range(8)


def items(belt, time_s):
    return {item.id: item for layer in belt.layers(time_s) for item in layer.items}


def bounds(item):
    points = solid(item.product).posed(item.pose).points
    return points.min(axis=0), points.max(axis=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_product_crosses_once_at_the_moment_when_its_middle_does(seed):
    """Against positions watched every 0.1 s."""
    belt, watched, last = Conveyor(seed, *SIZE), {}, {}
    for time_s in np.arange(0, 12.01, 0.1):
        for id, item in items(belt, time_s).items():
            low, high = bounds(item)
            middle = (low[0] + high[0]) / 2
            if id in last and last[id] <= 0 < middle:
                assert id not in watched
                watched[id] = (time_s, item.label)
            last[id] = middle
    crossings = belt.crossings(12.0)
    assert {one.id: one.label for one in crossings} == {id: label for id, (_, label) in watched.items()}
    assert len(crossings) >= 4
    for one in crossings:
        assert watched[one.id][0] - 0.1 <= one.time_s + 1e-9
        assert one.time_s <= watched[one.id][0] + 1e-9
    assert [one.time_s for one in crossings] == sorted(one.time_s for one in crossings)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_seen_depends_on_the_time_alone(seed):
    jumping, walking = Conveyor(seed, *SIZE), Conveyor(seed, *SIZE)
    far = items(jumping, 20.0)
    back = items(jumping, 3.0)
    assert items(walking, 3.0) == back
    assert items(walking, 20.0) == far
    assert walking.crossings(9.0) == jumping.crossings(9.0) == jumping.crossings(20.0)[: len(jumping.crossings(9.0))]


@pytest.mark.parametrize("seed", SEEDS)
def test_products_touch_but_never_share_a_place(seed):
    belt = Conveyor(seed, *SIZE)
    for time_s in (0.0, 7.0):
        boxes = [bounds(item) for item in items(belt, time_s).values()]
        assert len(boxes) >= 4
        for (low, high), (other_low, other_high) in itertools.combinations(boxes, 2):
            assert (np.maximum(low, other_low) >= np.minimum(high, other_high) - 1e-6)[:2].any()
        for low, high in boxes:
            assert low[2] == pytest.approx(0, abs=1e-6)
            assert max(-low[1], high[1]) < BELT_CM / 2


def test_some_products_touch_and_some_go_side_by_side():
    gaps, pairs = [], 0
    for seed in SEEDS:
        belt = Conveyor(seed, *SIZE)
        boxes = sorted((bounds(item) for item in items(belt, 5.0).values()), key=lambda box: box[0][0])
        for (_, high), (low, _) in itertools.pairwise(boxes):
            gaps.append(low[0] - high[0])
        pairs += sum(gap < 0 for gap in gaps)
    assert any(0 <= gap < 0.6 for gap in gaps)
    assert any(gap > 5 for gap in gaps)
    assert pairs > 5


@pytest.mark.parametrize("seed", SEEDS)
def test_they_move_as_fast_as_the_belt_and_the_belts_picture_does(seed):
    belt = Conveyor(seed, *SIZE)
    before, after = (belt.layers(time_s) for time_s in (4.0, 4.05))
    first, second = ({item.id: item.pose for item in layers[1].items} for layers in (before, after))
    for id in set(first) & set(second):
        assert second[id].x - first[id].x == pytest.approx(0.05 * belt.speed)
        assert second[id].y == first[id].y
    moved = after[1].surfaces[0].corner[0] - before[1].surfaces[0].corner[0]
    assert moved % 96 == pytest.approx(0.05 * belt.speed)  # its picture repeats every 96 cm


@pytest.mark.parametrize("seed", SEEDS)
def test_products_appear_and_leave_outside_of_the_frame(seed):
    """Nothing pops up: whoever is new or gone after a short time was or is far from the frame."""
    belt = Conveyor(seed, *SIZE)
    for time_s in np.arange(0, 6, 0.5):
        now, then = items(belt, time_s), items(belt, time_s + 0.02)
        for id in set(now) ^ set(then):
            item = now.get(id) or then[id]
            pixels = project(belt.matrix, solid(item.product).posed(item.pose).points)
            out = (pixels.max(axis=0) < 0) | (pixels.min(axis=0) > (SIZE[1], SIZE[0]))
            assert out.any()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_line_is_where_middles_are_when_they_cross(seed):
    belt = Conveyor(seed, 480, 640)
    (x1, y1), (x2, y2) = belt.line
    one = belt.crossings(20.0)[0]
    item = items(belt, one.time_s)[one.id]
    x, y = project(belt.matrix, np.array([item.pose.x, item.pose.y, 0.0])) + 0.5
    across = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
    assert abs(across) / np.hypot(x2 - x1, y2 - y1) < 0.5  # pixels
    assert min(y1, y2) - 1 <= y <= max(y1, y2) + 1 or min(x1, x2) - 1 <= x <= max(x1, x2) + 1


def test_what_moves_is_smeared_and_what_stands_is_not():
    """The same moment with an open shutter and without one: only belt and products differ."""
    belt, still = Conveyor(1), Conveyor(1)
    still._smear = None
    sharp, smeared = (world._painted(world.layers(2.0)).frame.astype(int) for world in (still, belt))
    changed = np.abs(sharp - smeared).max(axis=2) > 8
    assert changed.any()
    ends = project(belt.matrix, np.array([(x, side * (BELT_CM / 2 + 6), 0.0) for side in (-1, 1) for x in (-200, 200)]))
    rows, columns = np.nonzero(changed)
    for (x1, y1), (x2, y2) in (ends[:2], ends[2:]):  # on the inner side of both rails
        inner = np.sign((x2 - x1) * (240 - y1) - (y2 - y1) * (320 - x1))
        side = ((x2 - x1) * (rows - y1) - (y2 - y1) * (columns - x1)) * inner
        tall = (side < 0).mean()  # products may stick out over a rail as the camera sees it
        assert tall < 0.1


def test_what_passes_under_the_camera_is_not_in_the_frame():
    # Here a box lies behind the camera. Its shadow seemed to be 600,000 pixels soft, and took minutes to blur.
    belt = Conveyor(2688233702202190816)
    snapshot = belt.at(3.3)
    items = [item for layer in belt.layers(3.3) for item in layer.items]
    nearest = {item.id: depth(belt.matrix, solid(item.product).posed(item.pose).points).min() for item in items}
    behind = {id for id, cm in nearest.items() if cm < 0}
    assert behind
    assert not behind & {one.id for one in snapshot.seen}
