"""What a batch for an embedder holds: several photos of each of a few products, look-alikes among them, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
pytest.importorskip("torch")

from edgevision.train.embed.batches import Mixture, ProductOrder  # noqa: E402

COUNTS = (12, 9, 30, 1, 3, 8, 8, 8)
PRODUCTS = np.random.default_rng(0).permutation(np.repeat(np.arange(8), COUNTS))
RING = np.array([[(p + 1) % 8] for p in range(8)])  # each product is taken for the next one


def order(batch=12, photos=3, hard=0.5, seed=1, look_alikes=RING):
    return ProductOrder(PRODUCTS, look_alikes, Mixture(batch, photos, hard), seed)


def shown(photos):
    products, counts = np.unique(PRODUCTS[photos], return_counts=True)
    return dict(zip(products.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("hard", [0.0, 0.5, 1.0])
def test_so_many_products_with_so_many_photos_each(hard):
    for number in range(40):
        photos = order(hard=hard).photos(number)
        assert len(photos) == 12
        counts = shown(photos)
        assert len(counts) == 4
        assert set(counts.values()) == {3}
        for product, count in counts.items():  # each photo once, where there are enough
            assert len(set(photos[PRODUCTS[photos] == product].tolist())) == min(count, COUNTS[product])


def test_half_of_the_products_are_look_alikes_of_the_others():
    for number in range(40):
        products = set(shown(order().photos(number)))
        assert sum((p + 1) % 8 in products for p in products) >= 2
    alone = [
        sum((p + 1) % 8 in set(shown(order(hard=0.0).photos(n))) for p in shown(order(hard=0.0).photos(n)))
        for n in range(40)
    ]
    assert min(alone) < 2


def test_products_come_by_how_many_photos_they_have():
    seen = np.zeros(8)
    for number in range(400):
        for product in shown(order(batch=1, photos=1).photos(number)):
            seen[product] += 1
    np.testing.assert_allclose(seen / 400, np.array(COUNTS) / sum(COUNTS), atol=0.06)


@pytest.mark.parametrize(
    ("batch", "photos", "expected"),
    [(10, 3, [3, 3, 4]), (2, 4, [2]), (64, 4, [8] * 8), (5, 1, [1] * 5)],
)  # fmt: skip
def test_batches_that_do_not_divide_evenly_are_full(batch, photos, expected):
    chosen = order(batch=batch, photos=photos).photos(0)
    assert len(chosen) == batch
    assert sorted(shown(chosen).values()) == expected


def test_the_same_seed_and_number_give_the_same_batch():
    assert order().photos(7).tolist() == order().photos(7).tolist()
    assert order().photos(7).tolist() != order().photos(8).tolist()
    assert order().photos(7).tolist() != order(seed=2).photos(7).tolist()


def test_two_products_need_no_look_alikes():
    few = ProductOrder(np.array([0, 0, 1]), np.zeros((2, 0), np.int64), Mixture(4, 2, 1.0), 0)
    assert sorted(np.array([0, 0, 1])[few.photos(0)].tolist()) == [0, 0, 1, 1]
