"""Prices change while the service runs: new ones are taken up, and what a screen said a moment ago is still honoured."""

from __future__ import annotations

from decimal import Decimal

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.shop_catalogue import HONOURED_S, ShopCatalogue
from edgevision.tasks.results import Label

PEAR = Label(7, "pear")
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
