"""Prices of the gallery's own: the price list counts before them, and a shop has one currency."""

from __future__ import annotations

from decimal import Decimal

import pytest

from edgevision.gallery.products import GalleryProduct
from edgevision.kiosk.service.gallery.prices import with_gallery_prices
from edgevision.kiosk.service.price_list import PriceList
from edgevision.tasks.results import Label

EUR = {"price": 1.29, "currency": "EUR"}


@pytest.mark.parametrize(
    ("fields", "usual", "price"),
    [
        (EUR, None, "1.29"),
        ({"price": "1.29"}, "EUR", "1.29"),
        ({"price": 2}, "EUR", "2.00"),
        ({"price": 1.29}, None, None),  # in no currency
        (EUR, "USD", None),  # the shop has another
        ({"price": 1.299}, "EUR", None),
        ({"price": 1e-9}, "EUR", None),
        ({"price": -1.0}, "EUR", None),
        ({"price": True}, "EUR", None),
        ({"price": None}, "EUR", None),
        ({"price": "cheap", "currency": "EUR"}, None, None),
        ({"price": 1.29, "currency": "euro"}, None, None),
        ({}, "EUR", None),
        ({"price": 300}, "JPY", "300"),
    ],
)
def test_a_field_is_a_price_or_none(fields, usual, price):
    found = with_gallery_prices(PriceList(), [GalleryProduct(7, "pear", fields)], usual).price_of(Label(7, "pear"))
    assert found == (None if price is None else Decimal(price))


def test_the_price_list_counts_first_by_id_and_by_name():
    listed = PriceList({7: Decimal("1.00")}, {"apple": Decimal("2.00")}, "EUR")
    products = [GalleryProduct(7, "pear", EUR), GalleryProduct(8, "apple", EUR), GalleryProduct(9, "plum", EUR)]
    found = with_gallery_prices(listed, products)
    prices = [found.price_of(Label(one.id, one.name)) for one in products]
    assert prices == [Decimal("1.00"), Decimal("2.00"), Decimal("1.29")]
    assert found.currency == "EUR"


def test_the_first_currency_that_a_product_names_is_the_shops():
    products = [
        GalleryProduct(1, "a", {"price": 1}),
        GalleryProduct(2, "b", EUR),
        GalleryProduct(3, "c", {**EUR, "currency": "USD"}),
    ]
    found = with_gallery_prices(PriceList(), products)
    assert (found.currency, found.by_id) == ("EUR", {1: Decimal("1.00"), 2: Decimal("1.29")})
