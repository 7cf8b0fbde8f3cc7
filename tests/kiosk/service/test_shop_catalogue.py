"""Prices change while the service runs: new ones are taken up, and what a screen said a moment ago is still honoured."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from galleries import BUNDLE, DIMENSION

from edgevision.errors import InputError
from edgevision.gallery.products import GalleryProduct
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.kiosk.service.price_list import PriceChange, PriceList, prices_before
from edgevision.kiosk.service.shop_catalogue import HONOURED_S, ShopCatalogue
from edgevision.tasks.results import Label

PEAR, FIG = Label(7, "pear"), Label(9, "fig")
HEAD = "id;price;currency\n"


@pytest.fixture
def shop(tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text(f"{HEAD}7;1,29;EUR\n")
    now_s, told = [0.0], []
    made = ShopCatalogue(
        file, None, trouble=told.append, changed=lambda: told.append("changed"), now_s=lambda: now_s[0]
    )
    return made, file, now_s, told


def test_a_new_price_counts_and_the_old_one_is_honoured_for_a_while(shop):
    made, file, now_s, told = shop
    file.write_text(f"{HEAD}7;1,40;EUR\n8;2;EUR\n")
    assert made.now().price_of(PEAR) == Decimal("1.29")
    made.look()
    assert told == ["changed"]
    assert made.now().price_of(PEAR) == Decimal("1.40")
    honoured = [made.now().honours(PEAR, Decimal(text)) for text in ("1.29", "1.40", "1.30")]
    assert honoured == [True, True, False]
    now_s[0] = HONOURED_S + 1
    made.look()
    assert [made.now().honours(PEAR, Decimal(text)) for text in ("1.29", "1.40")] == [False, True]


@pytest.mark.parametrize("text", ["", f"{HEAD}7;cheap;EUR\n", "nonsense"])
def test_a_list_that_cannot_be_used_changes_nothing(shop, text):
    made, file, _, told = shop
    file.write_text(text)
    made.look()
    assert made.now().price_of(PEAR) == Decimal("1.29")
    assert len(told) == 1
    assert "prices.csv" in told[0]


def test_the_first_list_must_be_usable(tmp_path):
    with pytest.raises(InputError, match="price list"):
        ShopCatalogue(tmp_path / "none.csv", None, trouble=print, changed=print)


@pytest.fixture
def gallery(tmp_path):
    """A gallery of pears at 1.29 and figs at 2, its catalogue, and the clock."""
    shop = ShopGallery(tmp_path / "shop.evg", BUNDLE, DIMENSION)
    for label, price in ((PEAR, 1.29), (FIG, 2)):
        shop.change(lambda old, to, label=label: to.add_product(GalleryProduct(label.id, label.name)))
        set_price(shop, label, price)
    now_s = [0.0]
    made = ShopCatalogue(
        None, None, trouble=print, changed=print, shop=shop, currency="EUR", now_s=lambda: now_s[0]
    )  # fmt: skip
    yield shop, made, now_s
    shop.close()


def set_price(shop: ShopGallery, label: Label, price: float) -> None:
    shop.change(lambda old, to: to.set_fields(label.id, {"price": price}))


def test_each_earlier_price_is_honoured_for_its_own_hour_whatever_else_changes(gallery):
    shop, made, now_s = gallery

    def honoured(*prices: str) -> list[bool]:
        made.look()
        return [made.now().honours(PEAR, Decimal(price)) for price in prices]

    set_price(shop, PEAR, 1.49)
    set_price(shop, FIG, 2.5)  # another product's price …
    shop.change(lambda old, to: to.add_product(GalleryProduct(30, "plum")))  # … or no price at all
    assert honoured("1.29", "1.49", "2.00") == [True, True, False]
    now_s[0] = HONOURED_S / 2
    set_price(shop, PEAR, 1.59)
    assert honoured("1.29", "1.49", "1.59") == [True, True, True]
    now_s[0] = HONOURED_S + 1
    shop.change(lambda old, to: to.rename(30, "red plum"))
    assert honoured("1.29", "1.49", "1.59") == [False, True, True]
    now_s[0] = 1.5 * HONOURED_S + 1
    assert honoured("1.29", "1.49", "1.59") == [False, False, True]
    assert made.now().earlier == ()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([({}, {}), ({7: 1}, {})], [None]),
        ([({}, {"pear": 1}), ({7: 2}, {"pear": 1})], [1]),  # the id counts now, and the name did before
        ([({7: 1}, {"pear": 5}), ({7: 1}, {"pear": 6})], [1]),  # a name that did not count
        ([({7: 1}, {"pear": 2}), ({}, {"pear": 2}), ({}, {})], [2, 1]),
    ],
)
def test_what_a_product_cost_before_is_what_the_list_said_then(steps, expected):
    lists = [PriceList(*({key: Decimal(price) for key, price in one.items()} for one in step)) for step in steps]
    changes = [PriceChange.between(old, new) for old, new in itertools.pairwise(lists)]
    assert list(prices_before(PEAR, lists[-1], reversed(changes))) == expected
