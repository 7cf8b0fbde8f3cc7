"""The shelf: products stand on boards, behind each other, and go when they are taken."""

import itertools

import cv2
import numpy as np
import pytest

from edgevision.demo.raster import solid
from edgevision.demo.world.shelf import DEPTH_CM, Shelf

SEEDS = range(6)


def items(shelf, time_s):
    return {item.id: item for layer in shelf.layers(time_s) for item in layer.items}


def hull(item):
    points = solid(item.product).posed(item.pose).points
    return cv2.convexHull(points[:, :2].astype(np.float32)), points[:, 2].min(), points[:, 2].max()


@pytest.mark.parametrize("seed", SEEDS)
def test_products_stand_on_boards_beside_and_behind_each_other(seed):
    shelf = Shelf(seed, 60, 80)
    there = list(items(shelf, 0).values())
    boards = sorted({surface.corner[2] for layer in shelf.layers(0)[1:] for surface in layer.surfaces})
    hulls = [hull(item) for item in there]
    assert len(there) > 25
    for outline, low, high in hulls:
        assert min(abs(low - board) for board in boards) < 2.0  # the underside of a board is below what stands on it
        assert not any(low + 1e-3 < board < high - 1e-3 for board in boards if board - low > 2.0)
        assert outline[..., 1].min() > 0
        assert outline[..., 1].max() < DEPTH_CM + 1
    for (first, low, high), (second, other_low, other_high) in itertools.combinations(hulls, 2):
        if max(low, other_low) < min(high, other_high):
            assert cv2.intersectConvexConvex(first, second)[0] < 0.2
    rows = {(item.pose.x, item.pose.lift) for item in there}
    assert len(rows) < len(there)  # several depths


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_taken_is_gone_and_a_hand_was_there(seed):
    shelf = Shelf(seed, 60, 80)
    everything = items(shelf, 0)
    times = np.arange(0, 60, 0.1)
    taken = 0
    for before, after in itertools.pairwise(times):
        gone = set(items(shelf, before)) - set(items(shelf, after))
        assert len(gone) <= 1
        assert set(items(shelf, after)) <= set(everything)
        for id in gone:
            taken += 1
            assert shelf.hands(before)
            assert shelf.hands(after)
            mine = everything[id].pose
            row = [i for i in items(shelf, before).values() if (i.pose.x, i.pose.lift) == (mine.x, mine.lift)]
            assert min(row, key=lambda i: i.pose.y).id == id  # never from behind another
    assert taken >= 3


def test_shelves_have_gaps_and_some_products_stand_askew():
    shelves = [list(items(Shelf(seed, 60, 80), 0).values()) for seed in SEEDS]
    assert any(abs(item.pose.yaw) > 20 for there in shelves for item in there)
    fronts = [
        min(i.pose.y for i in there if (i.pose.x, i.pose.lift) == row)
        for there in shelves
        for row in {(i.pose.x, i.pose.lift) for i in there}
    ]
    assert sum(front > 9 for front in fronts) > 3  # the first of the row is sold


@pytest.mark.parametrize("seed", range(4))
def test_products_of_the_middle_boards_can_be_told(seed):
    """What a detector is to learn from: enough products in view, most of the front ones whole."""
    seen = Shelf(seed, 240, 320).at(0).seen
    assert len(seen) > 20
    assert sum(one.visible > 0.7 for one in seen) > 8
    assert any(one.crowd for one in seen)
