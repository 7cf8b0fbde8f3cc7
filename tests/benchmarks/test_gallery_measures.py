"""Figures of galleries whose answers are known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gallery_measures import (
    Gallery,
    as_strangers,
    held_scores,
    is_among,
    mean_scores,
    percent,
    probe_scores,
    product_scores,
    unit,
)
from benchmarks.gallery_split import HELD_OUT, enrolled, held_out


def on_circle(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


GALLERY = Gallery(on_circle(0, 40, 90, 100, 180), np.array([3, 3, 5, 5, 8]))


def test_the_nearest_view_of_each_product():
    scores, products = product_scores(GALLERY, on_circle(30))
    assert products.tolist() == [3, 5, 8]
    assert scores[0] == pytest.approx(np.cos(np.deg2rad([10, 60, 150])), abs=1e-6)


def test_the_mean_of_each_product_s_views():
    scores, _ = mean_scores(GALLERY, on_circle(30))
    assert scores[0] == pytest.approx(np.cos(np.deg2rad([10, 65, 150])), abs=1e-6)


def test_views_where_a_gallery_holds_them():
    """Of 0° and 40° the mean is 20°: they are held at 10° and 30°. 180° is alone."""
    scores, _ = held_scores(GALLERY, on_circle(26))
    assert scores[0] == pytest.approx(np.cos(np.deg2rad([4, 66.5, 154])), abs=1e-6)


@pytest.mark.parametrize(("top", "expected"), [(1, [True, False]), (2, [True, True]), (3, [True, True])])
def test_the_right_product_among_the_best(top, expected):
    scores, products = product_scores(GALLERY, on_circle(30, 72))  # 72°: product 5 by 18°, product 3 by 32°
    assert is_among(scores, products, np.array([3, 3]), top).tolist() == expected


def test_a_probe_tells_apart_what_a_line_separates():
    random = np.random.default_rng(0)
    centres = unit(random.normal(size=(6, 32)))
    draw = lambda n: unit(centres[np.repeat(np.arange(6), n)] + 0.1 * random.normal(size=(6 * n, 32)))  # noqa: E731
    scores, products = probe_scores(Gallery(draw(5), np.repeat(np.arange(6), 5) + 10), draw(20))
    assert products.tolist() == [10, 11, 12, 13, 14, 15]
    assert is_among(scores, products, np.repeat(np.arange(6), 20) + 10, 1).mean() > 0.95


def test_a_stranger_is_a_photo_without_its_product():
    scores, products = product_scores(GALLERY, on_circle(30, 95, 20))
    found = as_strangers(scores, products, np.array([3, 5, 8]))  # the last is answered wrongly
    assert found.known == pytest.approx(np.cos(np.deg2rad([10, 5])), abs=1e-6)
    assert found.strangers == pytest.approx(np.cos(np.deg2rad([60, 55, 20])), abs=1e-6)
    assert found.figures == {"auroc": 1.0, "false_accepts": 0.0}


def test_percent_draws_products_and_not_photos():
    rights = np.repeat([1.0, 0.0, 1.0, 1.0], 50)
    one_each = percent(rights, np.arange(200))
    by_product = percent(rights, np.repeat(np.arange(4), 50))
    assert one_each["percent"] == by_product["percent"] == 75
    assert by_product["high"] - by_product["low"] > 3 * (one_each["high"] - one_each["low"])
    assert (by_product["photos"], by_product["products"]) == (200, 4)


def test_what_is_enrolled_is_a_candidate_and_as_many():
    truth = np.repeat(np.arange(4), (6, 2, 9, 9))
    candidates = np.arange(26) % 2 == 0
    views = enrolled(truth, candidates, np.array([0, 1, 3]), 3, seed=1)
    assert candidates[views].all()
    assert np.bincount(truth[views], minlength=4).tolist() == [3, 1, 0, 3]
    assert len(set(views.tolist())) == len(views)
    assert views.tolist() != enrolled(truth, candidates, np.array([0, 1, 3]), 3, seed=2).tolist()


def test_draws_hold_out_different_products():
    draws = [held_out(draw, 81).tolist() for draw in range(3)]
    assert all(len(set(draw)) == HELD_OUT for draw in draws)
    assert draws[0] == held_out(0, 81).tolist()
    assert draws[0] != draws[1] != draws[2]
