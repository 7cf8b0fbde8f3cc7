"""The measures and the simulated shop behind the figures of recommendations."""

import math

import numpy as np
import pytest

from benchmarks import recommend_peers as peers
from benchmarks.recommend_cases import split
from benchmarks.recommend_measures import difference, ndcg, recall, summary
from benchmarks.recommend_sessions import LAUNCH_DAY, Shop, Trip, trips_of
from edgevision.recommend.decay import DAY_S


@pytest.mark.parametrize(
    ("ranked", "wanted", "expected"),
    [
        ([1, 2, 3], {1}, 1.0),
        ([2, 1, 3], {1}, 1 / math.log2(3)),
        ([2, 1, 3], {1, 3}, (1 / math.log2(3) + 1 / 2) / (1 + 1 / math.log2(3))),
        ([2], {1}, 0.0),
        ([2], set(), 0.0),
        (list(range(2, 14)), {13}, 0.0),  # beyond the tenth place
    ],
)
def test_ndcg_is_its_definition(ranked, wanted, expected):
    assert ndcg(ranked, wanted) == pytest.approx(expected)


def test_recall_coverage_and_novelty():
    assert recall([1, 2], {1, 5}) == 0.5
    looks = np.eye(4, dtype=np.float32)
    found = summary([[0, 1], [0, 2]], [{0}, {2}], np.array([3.0, 0, 0, 0]), looks)
    assert found["coverage"] == 0.75
    assert found["variety"] == 1.0
    assert found["novelty_bits"] == pytest.approx((2 * -math.log2(4 / 7) + 2 * -math.log2(1 / 7)) / 4, abs=1e-3)


def test_a_difference_is_paired():
    rng = np.random.default_rng(0)
    b = rng.uniform(0, 1, 400)
    found = difference((b + 0.01).tolist(), b.tolist())
    assert found["mean"] == 0.01
    assert found["interval"] == [0.01, 0.01]


@pytest.fixture(scope="module")
def shop():
    made = Shop(12, seed=3)
    made.run()
    return made


def test_nothing_is_known_before_it_happens(shop):
    trips = trips_of(shop.shoppers)
    cut_s = 150 * DAY_S
    data = split([one.name for one in shop.goods], np.eye(len(shop.goods), dtype=np.float32), trips, cut_s)
    assert {case.shopper for case in data.choose}.isdisjoint({case.shopper for case in data.test})
    for case in [*data.choose, *data.test]:
        assert all(trip.time_s < cut_s for trip in case.history)
        later = [trip for trip in trips[case.shopper] if trip.time_s >= cut_s]
        assert (case.wanted, case.time_s) == (frozenset(later[0].items), later[0].time_s)
        assert case.shortened(2).history == case.history[-2:]
        assert case.shortened(0).history == ()
    assert data.baskets().total == sum(trip.time_s < cut_s for own in trips for trip in own)


def test_nobody_buys_what_is_not_launched(shop):
    new = {one.place for one in shop.goods if one.launched_day}
    assert new
    early = [trip for own in trips_of(shop.shoppers) for trip in own if trip.time_s < LAUNCH_DAY * DAY_S]
    assert not new & {item for trip in early for item in trip.items}


def test_true_chances_leave_a_shopper_as_they_were(shop):
    shopper = shop.shoppers[0]
    before = (dict(shopper.stock), dict(shopper.last))
    chances = shop.chances(shopper, 200.0, 7.0, 50, seed=0)
    assert (shopper.stock, shopper.last) == before
    assert np.array_equal(chances, shop.chances(shopper, 200.0, 7.0, 50, seed=0))
    assert 0 < chances.max() <= 1
    assert 0.5 < chances.sum() < 15  # products of a trip


def test_peers_against_their_definitions():
    rng = np.random.default_rng(0)
    matrix = (rng.uniform(size=(30, 8)) < 0.4).astype(np.float32)
    seen = matrix.astype(float)
    weights = np.linalg.inv(seen.T @ seen + 5 * np.eye(8))
    expected = np.eye(8) - weights / np.diag(weights)[None]
    expected[np.diag_indices(8)] = 0
    assert peers.ease(matrix, 5.0)([[2], [2, 5]]) == pytest.approx(expected[2] + expected[5])
    length = np.linalg.norm(seen, axis=0)
    cosines = seen.T @ seen / np.outer(length, length) - np.eye(8)
    assert peers.item_knn(matrix, 8)([[1, 3]]) == pytest.approx(cosines[1] + cosines[3])
    assert list(np.argsort(-peers.favourites(matrix)([[4], [4, 6]]))[:2]) == [4, 6]
    assert np.array_equal(peers.popularity(matrix)([]), matrix.sum(axis=0))


def test_trips_are_in_order(shop):
    for own in trips_of(shop.shoppers):
        assert own == sorted(own, key=lambda trip: trip.time_s)
        assert all(isinstance(trip, Trip) and trip.items for trip in own)
