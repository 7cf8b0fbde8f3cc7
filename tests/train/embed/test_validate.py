"""Recall@1 of photos whose neighbours are known by construction."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
pytest.importorskip("torch")

from edgevision.train.embed.validate import RecallScore, leave_one_out  # noqa: E402


def on_circle(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


SEEN = np.zeros(6, bool)


@pytest.mark.parametrize(
    ("degrees", "truth", "is_unseen", "expected"),
    [
        ((0, 5, 90, 95, 180, 185), (0, 0, 1, 1, 2, 2), SEEN, (100.0, None)),
        ((0, 50, 5, 95, 180, 185), (0, 0, 1, 1, 2, 2), SEEN, (100 / 3, None)),  # only the last pair
        ((0, 5, 90, 95, 180, 185), (0, 0, 1, 1, 2, 2), np.array([0, 0, 0, 0, 1, 1], bool), (100.0, 100.0)),
        ((0, 5, 90, 95, 180, 93), (0, 0, 1, 1, 2, 2), np.array([0, 0, 0, 0, 1, 1], bool), (100 / 3, 0.0)),
        ((0, 5, 90, 95, 180, 270), (0, 0, 1, 1, 2, 3), np.array([0, 0, 0, 0, 1, 0], bool), (100.0, None)),  # two ask nothing
    ],
)  # fmt: skip
def test_the_most_alike_other_photo(degrees, truth, is_unseen, expected):
    score = leave_one_out(on_circle(*degrees), np.array(truth), is_unseen)
    assert (score.recall1, score.unseen_recall1) == pytest.approx(expected)


def test_the_margin_is_own_nearest_less_foreign_nearest():
    score = leave_one_out(on_circle(0, 60, 180), np.array([0, 0, 1]), np.zeros(3, bool))
    assert score.margin == pytest.approx(np.mean([0.5 + 1.0, 0.5 + 0.5]), abs=1e-6)


def test_photos_that_are_all_alone_score_nothing():
    assert leave_one_out(on_circle(0, 90), np.array([0, 1]), np.zeros(2, bool)) == RecallScore(0.0, 0.0)


def test_photos_of_one_product_are_right():
    assert leave_one_out(on_circle(0, 90), np.array([1, 1]), np.zeros(2, bool)).recall1 == 100


def test_the_better_score_is_that_of_unseen_products():
    assert RecallScore(50, 0.1, 80).better_than(RecallScore(90, 0.3, 70))
    assert not RecallScore(50, 0.1, 70).better_than(RecallScore(40, 0.1, 70))
    assert RecallScore(50, 0.2).better_than(RecallScore(50, 0.1))
    assert RecallScore(0, 0).better_than(None)
    assert RecallScore(50, 0.1).metrics == {"recall1": 50, "margin": 0.1}
    assert RecallScore.from_metrics(RecallScore(50, 0.1, 70).metrics) == RecallScore(50, 0.1, 70)
    assert "unseen" in RecallScore(50, 0.1, 70).headline
    assert "unseen" not in RecallScore(50, 0.1).headline
