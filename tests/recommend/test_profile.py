import json
import math
import time

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.recommend.decay import DAY_S
from edgevision.recommend.profile import LOOKED, MOST_PRODUCTS, Profile

HALF_LIFE_S = 10 * DAY_S


def events(seed, count=60, products=8, dimension=5):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((products, dimension))
    baskets = [rng.choice(products, rng.integers(1, 4), replace=False) for _ in range(count)]
    times = rng.uniform(0, 900 * DAY_S, count)
    return vectors, [(float(t), [int(p) for p in b]) for t, b in zip(times, baskets, strict=True)]


def reference(vectors, log, now_s):
    """By the definition, event after event, in float64: counts, interest, baskets."""
    counts, interest, baskets = {}, np.zeros(vectors.shape[1]), 0.0
    for time_s, items in log:
        weight = 0.5 ** ((now_s - time_s) / HALF_LIFE_S)
        baskets += weight
        for item in items:
            counts[item] = counts.get(item, 0.0) + weight
            interest += weight * vectors[item]
    return counts, interest, baskets


def made(vectors, log):
    profile = Profile("a bundle", vectors.shape[1], half_life_s=HALF_LIFE_S)
    for time_s, items in log:
        profile.bought({item: vectors[item] for item in items}, time_s)
    return profile


@pytest.mark.parametrize("order", ["as they come", "sorted", "backwards"])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_faded_sum_of_all_events_in_any_order(seed, order):
    """900 days are 90 half-lives: the sums are brought to the present on the way."""
    vectors, log = events(seed)
    log = {"as they come": log, "sorted": sorted(log), "backwards": sorted(log)[::-1]}[order]
    now_s = 905 * DAY_S
    profile = made(vectors, log)
    counts, interest, baskets = reference(vectors, log, now_s)
    assert profile.baskets(now_s) == pytest.approx(baskets, rel=1e-9)
    assert profile.interest(now_s) == pytest.approx(interest, rel=1e-9, abs=1e-12)
    assert profile.products(now_s) == pytest.approx(counts, rel=1e-9, abs=1e-12)


def test_a_look_turns_the_interest_and_is_no_purchase():
    profile = Profile("a bundle", 2)
    profile.looked(np.array([0.0, 1.0]), 0.0)
    assert profile.interest(0.0).tolist() == [0.0, LOOKED]
    assert profile.products(0.0) == {}
    assert profile.baskets(0.0) == 0.0


def test_it_can_be_kept_as_json_and_goes_on():
    vectors, log = events(4)
    log = sorted(log)
    whole = made(vectors, log)
    half = Profile.from_dict(json.loads(json.dumps(made(vectors, log[:30]).to_dict())))
    for time_s, items in log[30:]:
        half.bought({item: vectors[item] for item in items}, time_s)
    now_s = log[-1][0]
    assert half.interest(now_s) == pytest.approx(whole.interest(now_s), rel=1e-4, abs=1e-5)
    assert half.products(now_s) == pytest.approx(whole.products(now_s), rel=1e-4, abs=1e-5)
    assert half.last_s == whole.last_s


def test_it_holds_only_what_it_says():
    """No times of purchases, no pictures, no names: these keys, numbers, and the bundle's id."""
    vectors, log = events(5)
    known = made(vectors, log).to_dict()
    assert set(known) == {"format", "version", "bundle_id", "half_life_s", "time_s", "baskets", "interest", "products"}
    texts = [value for value in known.values() if isinstance(value, str)]
    assert texts == ["edgevision profile", "a bundle"]
    assert all(isinstance(value, float) for value in [*known["interest"], *known["products"].values()])
    assert known["time_s"] == round(max(time_s for time_s, _ in log))


def test_forgotten_is_as_never_begun():
    vectors, log = events(6)
    profile = made(vectors, log)
    profile.forget()
    fresh = Profile("a bundle", vectors.shape[1], half_life_s=HALF_LIFE_S)
    assert profile.to_dict() == fresh.to_dict()
    assert profile.last_s is None


def test_it_stays_small():
    profile = Profile("a bundle", 1)
    for id in range(5 * MOST_PRODUCTS):
        profile.bought({id: None}, float(id))
    assert len(profile.products(0.0)) < 2 * MOST_PRODUCTS
    assert len(profile.to_dict()["products"]) <= MOST_PRODUCTS


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1.0, 2.0], r"have 3 numbers, got the shape \(2,\)"),
        ([1.0, math.nan, 0.0], "not finite"),
        ([[1.0, 2.0, 3.0]], r"got the shape \(1, 3\)"),
    ],
)
def test_a_bad_vector_changes_nothing(vector, message):
    profile = Profile("a bundle", 3)
    with pytest.raises(InputError, match=message):
        profile.bought({1: np.ones(3), 2: np.array(vector)}, 0.0)
    assert profile.to_dict() == Profile("a bundle", 3).to_dict()


DAMAGES = {
    "no object": (lambda d: [], "expected a profile"),
    "another format": (lambda d: {**d, "format": "cookies"}, "expected a profile"),
    "a newer version": (lambda d: {**d, "version": 2}, "version 2"),
    "more than it may hold": (lambda d: {**d, "name": "Ada"}, "nothing else; look at name"),
    "less than it must hold": (lambda d: {k: v for k, v in d.items() if k != "interest"}, "look at interest"),
    "a text as number": (lambda d: {**d, "baskets": "1"}, "baskets is a finite number"),
    "no number": (lambda d: {**d, "interest": [1.0, math.nan]}, "interest is a finite number"),
    "below zero": (lambda d: {**d, "products": {"1": -1.0}}, "0 or more"),
    "no id": (lambda d: {**d, "products": {"apple": 1.0}}, "whole number"),
    "no half-life": (lambda d: {**d, "half_life_s": 0.0}, "above 0"),
    "no vector": (lambda d: {**d, "interest": []}, "1 to 4096"),
    "too many": (lambda d: {**d, "products": {str(n): 1.0 for n in range(2 * MOST_PRODUCTS + 1)}}, "at most"),
    "a list for an object": (lambda d: {**d, "products": [1]}, "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_profile_is_refused(damage):
    change, message = DAMAGES[damage]
    profile = Profile("a bundle", 2)
    profile.bought({1: np.ones(2)}, 5.0)
    with pytest.raises(InputError, match=message):
        Profile.from_dict(change(profile.to_dict()))


@pytest.mark.parametrize("ahead_s", [2 * DAY_S, 1e5 * DAY_S, 1e300])
def test_what_has_not_happened_yet_is_refused(ahead_s):
    """Or every later purchase would weigh nothing beside it."""
    profile, later_s = Profile("a bundle", 2, half_life_s=HALF_LIFE_S), time.time() + ahead_s
    profile.bought({1: np.ones(2)}, time.time())
    before = profile.to_dict()
    with pytest.raises(InputError, match="has not happened yet: this device's clock says"):
        profile.bought({2: np.ones(2)}, later_s)
    with pytest.raises(InputError, match="has not happened yet"):
        profile.looked(np.ones(2), later_s)
    assert profile.to_dict() == before


def test_another_device_s_clock_may_go_a_little_ahead():
    profile = Profile("a bundle", 2)
    profile.bought({1: np.ones(2)}, time.time() + 0.9 * DAY_S)
    assert set(profile.products(time.time())) == {1}
