"""The tray: products come, stay, and lie where things can lie."""

import itertools

import cv2
import numpy as np
import pytest

from edgevision.demo.raster import solid
from edgevision.demo.world.tray import MAX_ITEMS, MIN_ITEMS, TRAY_CM, Tray

SEEDS = range(5)


def items(tray, time_s):
    return {item.id: item for layer in tray.layers(time_s) for item in layer.items}


def hull(item):
    points = solid(item.product).posed(item.pose).points
    return cv2.convexHull(points[:, :2].astype(np.float32)), points[:, 2].min(), points[:, 2].max()


def test_trays_hold_few_and_many():
    counts = {len(items(tray, tray.complete_s)) for tray in (Tray(seed, 60, 80) for seed in range(25))}
    assert MIN_ITEMS <= min(counts) < MIN_ITEMS + 3
    assert MAX_ITEMS - 3 < max(counts) <= MAX_ITEMS
    assert len(counts) > 6


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_put_down_stays(seed):
    tray = Tray(seed, 60, 80)
    there = [items(tray, time_s) for time_s in np.arange(0, tray.complete_s + 2, 0.7)]
    assert len(there[0]) == MIN_ITEMS
    for before, after in itertools.pairwise(there):
        assert before.items() <= after.items()
        assert len(after) <= len(before) + 1  # one hand


@pytest.mark.parametrize("seed", SEEDS)
def test_products_lie_on_the_tray_or_on_others(seed):
    """Outlines from above (OpenCV's hulls): where two meet, one lies above the other."""
    tray = Tray(seed, 60, 80)
    hulls = [hull(item) for _, item in sorted(items(tray, tray.complete_s).items())]
    for (first, low, high), (second, other_low, other_high) in itertools.combinations(hulls, 2):
        shared, _ = cv2.intersectConvexConvex(first, second)
        assert shared < 0.2 or max(low, other_low) >= min(high, other_high) - 1e-3
    for place, (outline, low, _) in enumerate(hulls):
        assert (np.abs(outline.reshape(-1, 2)) < np.array(TRAY_CM) / 2).all()
        if low > 1e-3:  # something carries it, and was there before
            carriers = [high for other, _, high in hulls[:place] if cv2.intersectConvexConvex(outline, other)[0] > 0]
            assert low <= max(carriers) + 1e-3


def test_some_lie_on_others_and_at_any_turn():
    trays = [Tray(seed, 60, 80) for seed in SEEDS]
    every = [item for tray in trays for item in items(tray, tray.complete_s).values()]
    assert any(item.pose.lift > 0 for item in every)
    turns = np.array([item.pose.yaw for item in every])
    assert (np.histogram(turns, 6, (0, 360))[0] > 0).all()
    assert {item.pose.pitch for item in every} == {0.0, 90.0}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_hand_is_there_when_something_comes(seed):
    tray = Tray(seed, 60, 80)
    times = np.arange(0, tray.complete_s + 3, 0.05)
    for before, after in itertools.pairwise(times):
        if len(items(tray, after)) > len(items(tray, before)):
            assert tray.hands(after)
    assert not tray.hands(tray.complete_s + 1)
