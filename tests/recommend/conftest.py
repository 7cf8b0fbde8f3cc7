"""A small shop with known answers."""

import numpy as np
import pytest

from edgevision.gallery.products import GalleryProduct
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.shelf import Shelf

NAMES = ("Penne", "Fusilli", "Pesto", "Soap", "Shampoo", "Spelt Penne", "Gift card")


@pytest.fixture
def shelf():
    """Pasta looks like pasta, soap like shampoo; 15 (Spelt Penne) is new, 16 (Gift card) has no picture. Ids are 10 + place."""
    vectors = np.array(
        [[9, 1, 0, 1], [8, 2, 0, 1], [5, 9, 0, 1], [0, 0, 9, 1], [0, 1, 8, 1], [9, 2, 0, 1], [0, 0, 0, 0]], float
    )
    fields = (
        {"price": 1.0},
        {"price": 2.0, "stock": 0},
        {"price": 3.0},
        {"in_stock": False},
        {"stock": 4},
        {},
        {"price": "free"},
    )
    products = [GalleryProduct(10 + place, name, fields[place]) for place, name in enumerate(NAMES)]
    return Shelf(products, vectors)


@pytest.fixture
def baskets():
    """Penne and Pesto go together, Soap and Shampoo too; Fusilli is bought with everything."""
    counted = Baskets(floor=1)
    for ids, times in (([10, 12, 11], 30), ([13, 14, 11], 20), ([11], 10), ([10], 5), ([16], 1)):
        for _ in range(times):
            counted.add(ids)
    return counted
