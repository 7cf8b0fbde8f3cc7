"""Visits stay whole, the largest of a product is always learnt, intervals are those of visits, and catalogue pictures are cut out of white."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.grocery_visits import fold_of, visits

pytestmark = pytest.mark.requires("torch")


def test_photos_that_are_alike_are_one_visit():
    """Two products, whose photos lie on circles: neighbours are alike, the ends are not, and photos of the other product are the same ones."""
    degrees = np.array([0, 20, 40, 120, 140, 250])
    vectors = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1)
    truth = np.repeat([0, 1], 6)
    found = visits(truth, np.vstack([vectors, vectors]).astype(np.float32), alike=np.cos(np.radians(25)))
    assert found.tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 5]


@pytest.mark.parametrize("folds", [2, 5])
def test_visits_are_held_out_whole_and_the_largest_never(folds):
    random = np.random.default_rng(folds)
    visit = np.sort(random.integers(0, 60, 500))
    truth = visit // 6  # ten products with six visits each
    fold = fold_of(truth, visit, folds)
    for number in np.unique(visit):
        assert len(np.unique(fold[visit == number])) == 1
    for product in range(10):
        numbers, counts = np.unique(visit[truth == product], return_counts=True)
        never = [n for n in numbers if (fold[visit == n] == -1).all()]
        assert len(never) == 1
        assert counts[numbers == never[0]] == counts.max()
    sizes = np.bincount(fold[fold >= 0], minlength=folds)
    assert sizes.max() - sizes.min() <= np.bincount(visit).max()


def test_the_interval_is_that_of_visits():
    """Photos of a visit that are all alike tell no more than one of them, and a visit counts as often as it has photos: the mean is
    Σ nᵢ·vᵢ / Σ nᵢ, whose variance is Σ nᵢ²·(vᵢ - mean)² / (Σ nᵢ)² (Cochran, "Sampling Techniques", 1977, 6.3)."""
    from benchmarks.recipe_trials import _interval

    random = np.random.default_rng(1)
    sizes = random.integers(1, 12, 300)
    values = random.normal(0.5, 1.0, 300) + 0.2 * sizes
    low, high = _interval(np.repeat(values, sizes), np.repeat(np.arange(300), sizes))
    mean = (sizes * values).sum() / sizes.sum()
    half = 1.96 * np.sqrt((sizes**2 * (values - mean) ** 2).sum()) / sizes.sum()
    assert abs(mean - values.mean()) > 2 * half  # visits that count alike would give another mean
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.15 * half)


def test_a_run_is_of_all_that_decides_its_weights(monkeypatch):
    """Also of train's defaults, which nothing here repeats, and of its teacher."""
    from benchmarks import recipe_trials

    before = {trial: recipe_trials.asked(trial) for trial in ("base", "taught")}
    assert json.loads(json.dumps(before)) == before
    assert before["base"]["lr"] == 5e-4
    monkeypatch.setitem(recipe_trials.TRIALS, "lite2", {"arch": "lite2", "epochs": 3})
    assert recipe_trials.asked("taught") != before["taught"]
    assert recipe_trials.asked("base") == before["base"]


def test_a_product_is_cut_out_of_white():
    from benchmarks.pasted import SIDE_PX, cut_out, paste

    picture = np.full((100, 80, 3), 255, np.uint8)
    picture[:, :] -= np.random.default_rng(0).integers(0, 8, (100, 80, 1), np.uint8)  # as JPEG leaves white
    picture[20:80, 20:60] = (0, 0, 200)
    picture[40:60, 30:50] = 255  # a white label in the middle is product
    cut = cut_out(picture)
    inside, outside = cut[24:76, 24:56], np.delete(np.delete(cut, np.s_[17:83], 0), np.s_[17:63], 1)
    assert inside.min() > 0.95
    assert outside.max() < 0.05

    background = np.full((200, 300, 3), (90, 160, 30), np.uint8)
    made = paste(picture, background, np.random.default_rng(3))
    assert made.shape == (SIDE_PX, SIDE_PX, 3)
    blue, green, red = (made[..., channel].astype(int) for channel in range(3))
    red_share = ((red > 90) & (red > 2 * blue) & (red > 2 * green)).mean()
    behind = ((green > red + 60) & (green > blue + 30)).mean()
    assert 0.05 < red_share < 0.7
    assert behind > 0.15
    assert np.array_equal(made, paste(picture, background, np.random.default_rng(3)))
    assert not np.array_equal(made, paste(picture, background, np.random.default_rng(4)))
