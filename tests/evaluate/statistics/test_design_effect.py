"""The jackknife of photos that answer for each other, against leaving each one out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.evaluate.statistics.design_effect import Change, Photos, design_effect
from edgevision.evaluate.statistics.retrieval import has_another, nearest_is_right, neighbours, others_of


def effect_of(vectors, truth):
    """The design effect of recall@1, by the module."""
    n, found = len(vectors), neighbours(vectors)
    judged = has_another(truth)
    right, without = (np.asarray(truth[places] == truth, np.float64) for places in (found.first, found.second))
    only_other = np.full(n, -1)
    for place in np.flatnonzero(others_of(truth) == 1):
        only_other[place] = next(i for i in range(n) if truth[i] == truth[place] and i != place)
    change = Change(found.first[judged], (without - right)[judged])
    return design_effect(right[judged], [change], Photos(np.arange(n)[judged], only_other[judged], n))


def by_hand(vectors, truth):
    """Each photo really taken out of the set, and recall@1 measured anew."""
    recalls = []
    for left_out in range(len(vectors)):
        kept = np.arange(len(vectors)) != left_out
        judged = has_another(truth[kept])
        recalls.append(nearest_is_right(vectors[kept], truth[kept])[judged].mean())
    n = len(recalls)
    jackknife = (n - 1) / n * np.sum((np.array(recalls) - np.mean(recalls)) ** 2)
    judged = has_another(truth)
    right = nearest_is_right(vectors, truth)[judged]
    return jackknife / (right.var() / (len(right) - 1))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("products", [3, 12])
def test_it_is_what_leaving_each_photo_out_gives(seed, products):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, products, 30)  # of 12 products some have one photo, some two
    vectors = rng.normal(size=(products, 6))[truth] + 1.4 * rng.normal(size=(30, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert effect_of(vectors, truth) == pytest.approx(by_hand(vectors, truth), rel=1e-9)


def test_photos_that_nobody_else_answers_for_are_independent():
    value = np.random.default_rng(0).integers(0, 2, 50).astype(float)
    alone = Photos(np.arange(50), np.full(50, -1), 50)
    assert design_effect(value, [], alone) == pytest.approx(1)


def test_a_photo_that_all_depend_on_makes_them_say_less():
    n = 40
    value = np.array([1.0, 0.0] * (n // 2))
    hub = Change(np.zeros(n, np.int64), 1.0 - 2 * value)  # without the first photo all answers turn
    assert design_effect(value, [hub], Photos(np.arange(n), np.full(n, -1), n)) == pytest.approx(1, abs=0.1)
    one_way = Change(np.zeros(n, np.int64), np.ones(n) - value)
    assert design_effect(value, [one_way], Photos(np.arange(n), np.full(n, -1), n)) > n / 2


def test_where_nothing_varies_there_is_no_effect():
    assert (
        design_effect(np.ones(5), [Change(np.zeros(5, np.int64), -np.ones(5))], Photos(np.arange(5), np.full(5, -1), 5))
        == 1
    )
