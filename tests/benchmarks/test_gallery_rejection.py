"""The benchmark of rejections: its answers, its Weibull fit, and that what it calls the gallery's is one of its ways."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gallery_rejection import EACH, WAYS, _weibull, answers, compare, shop_of, synthetic


@pytest.fixture(scope="module")
def data():
    return synthetic(classes=40, photos=12, dimension=32)


@pytest.fixture(scope="module")
def shop(data):
    vectors, classes = data
    chosen = np.concatenate([np.flatnonzero(classes == one)[:4] for one in range(30)])
    return shop_of(vectors[chosen], classes[chosen])


def test_answers():
    similarity = np.array([[0.9, 0.1, 0.8, 0.7], [0.2, -np.inf, 0.1, 0.3]])
    found = answers(similarity, np.array([4, 4, 7, 9]))
    assert found.product.tolist() == [4, 9]
    assert found.best.tolist() == [0.9, 0.3]
    assert found.second.tolist() == [0.8, 0.2]
    assert found.example.tolist() == [0, 3]


@pytest.mark.parametrize(("shape", "scale"), [(0.7, 2.0), (1.5, 0.1), (8.0, 1.0)])
def test_the_weibull_fit_finds_what_was_drawn(shape, scale):
    values = scale * np.random.default_rng(1).weibull(shape, 20_000)
    assert _weibull(values) == pytest.approx((shape, scale), rel=0.03)


def test_the_gallery_does_what_won(shop):
    """The two are written apart: their scores are the same, but for a weight of the wrong sign, which the gallery leaves out."""
    ours, threshold = WAYS["edgevision.gallery"](shop)
    other, _ = WAYS["logistic, + usual"](shop)
    np.testing.assert_allclose(ours(shop.strangers), other(shop.strangers), atol=0.05)
    assert 0 < threshold < 1


def test_every_way_has_its_figures(data):
    found = compare(*data, draws=1)
    assert set(found) == {str(each) for each in EACH}
    for name in WAYS:
        figures = found["5"][name]
        assert 0.5 < figures["auroc"] <= 1
        assert 0 <= figures["accepted_unknown"] <= 1
    assert set(found["1"]) == {"all ways", "stranger tail (Gumbel)", "edgevision.gallery"}
