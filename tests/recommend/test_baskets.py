import itertools
import json

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.recommend.baskets import MOST_DISTINCT, Baskets
from edgevision.recommend.baskets_file import read_baskets, save_baskets, told_from_dict, told_to_dict


def random_log(seed, count=200, products=12, shoppers=15):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(products, 0.6))
    return [
        (int(rng.integers(shoppers)), [int(p) for p in rng.choice(products, rng.integers(1, 6), p=weights)])
        for _ in range(count)
    ]


def counted(log, floor):
    baskets = Baskets(floor=floor)
    for shopper, ids in log:
        baskets.add(ids, shopper=shopper)
    return baskets


def by_brute_force(log, floor):
    """Products and pairs with their baskets, of those that at least ``floor`` shoppers bought."""
    found = {}
    for shopper, ids in log:
        distinct = sorted(set(ids))
        for key in [(one,) for one in distinct] + list(itertools.combinations(distinct, 2)):
            entry = found.setdefault(key, [0, set()])
            entry[0] += 1
            entry[1].add(shopper)
    return {key: baskets for key, (baskets, shoppers) in found.items() if len(shoppers) >= floor}


@pytest.mark.parametrize("floor", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_counts_are_right_and_nothing_below_the_floor_exists(seed, floor):
    log = random_log(seed)
    baskets, expected = counted(log, floor), by_brute_force(log, floor)
    assert baskets.total == len(log)
    assert dict(baskets.counts()) == {key[0]: n for key, n in expected.items() if len(key) == 1}
    pairs = {(a, b): n for a in range(12) for b, n in baskets.together(a).items() if a < b}
    assert pairs == {key: n for key, n in expected.items() if len(key) == 2}
    assert all(baskets.together(b)[a] == n for (a, b), n in pairs.items())


def test_one_shopper_cannot_lift_a_pair_over_the_floor():
    baskets = Baskets(floor=3)
    for _ in range(100):
        baskets.add([1, 2], shopper="Ada")
    baskets.add([1, 2], shopper="Bob")
    assert baskets.count(1) == 0
    assert dict(baskets.together(1)) == {}
    baskets.add([1, 2], shopper="Cem")
    assert baskets.count(1) == 102
    assert dict(baskets.together(1)) == {2: 102}


def test_a_file_has_whole_steps_and_nothing_of_shoppers(tmp_path):
    path = tmp_path / "shop.json"
    log = [(f"shopper-{shopper}", ids) for shopper, ids in random_log(7)]
    baskets = counted(log, 5)
    save_baskets(path, baskets)
    text = path.read_text()
    assert "shopper-" not in text
    given = json.loads(text)
    numbers = [given["total"], *given["products"].values(), *(count for _, _, count in given["pairs"])]
    assert all(number % 5 == 0 for number in numbers)
    read = read_baskets(path)
    assert dict(read.counts()) == {id: n - n % 5 for id, n in baskets.counts().items()}
    assert told_to_dict(read) == given


@pytest.mark.parametrize("seed", range(5))
def test_two_files_one_basket_apart_do_not_tell_the_basket(seed):
    """Of the products of the last basket, a change is only seen where a whole step is full."""
    log = random_log(seed, count=201)
    before, after = counted(log[:-1], 5), counted(log, 5)
    told, then = before.told().counts(), after.told().counts()
    changed = {id for id in then if then[id] != told.get(id, 0)}
    seen = {id for id in log[-1][1] if after.count(id)}
    assert changed == {id for id in seen if after.count(id) % 5 == 0 or not before.count(id)}
    assert all(then[id] - told.get(id, 0) >= 5 for id in changed)


def test_large_baskets_say_nothing_of_pairs():
    baskets = Baskets(floor=1)
    baskets.add(range(MOST_DISTINCT + 1))
    assert baskets.count(3) == 1
    assert dict(baskets.together(3)) == {}
    baskets.add([])
    assert baskets.total == 1


def test_what_is_rare_is_bounded():
    baskets = Baskets(floor=2, most_rare=10)
    for id in range(100):
        baskets.add([id])
    assert len(baskets._rare_products) == 10
    baskets.add([99])
    assert baskets.count(99) == 2
    baskets.add([5])  # was given up: counting begins anew
    assert baskets.count(5) == 0


GOOD = {
    "format": "edgevision baskets",
    "version": 1,
    "floor": 5,
    "total": 20,
    "products": {"1": 10, "2": 5},
    "pairs": [[1, 2, 5]],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "expected basket counts"),
        ({"version": 3}, "version 1"),
        ({"shoppers": []}, "version 1"),
        ({"floor": "5"}, "whole number"),
        ({"total": -1}, "0 or more"),
        ({"products": {"apple": 5}}, "whole number"),
        ({"products": {"1": True}}, "whole number"),
        ({"products": []}, "an object"),
        ({"pairs": [[1, 2]]}, "two products and a count"),
        ({"pairs": [[1, 1, 5]]}, "damaged"),
        ({"pairs": [[1, 3, 5]]}, "damaged"),
        ({"pairs": [[1, 2, 6]]}, "damaged"),
    ],
)
def test_what_are_no_counts_is_refused(change, message):
    assert told_to_dict(told_from_dict(GOOD)) == GOOD
    with pytest.raises(InputError, match=message):
        told_from_dict({**GOOD, **change})


def test_a_floor_is_one_or_more():
    with pytest.raises(InputError, match="1 or more, got 0"):
        Baskets(floor=0)
