"""Price lists as spreadsheets save them; bad rows are named by line, all of them."""

from __future__ import annotations

import codecs
from decimal import Decimal

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.price_list import read_price_list
from edgevision.tasks.results import Label

PEAR, CHEESE = Label(7, "pear"), Label(9, "Gruyère")


def read(tmp_path, text: str | bytes):
    path = tmp_path / "prices.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_price_list(path)


GERMAN = "id;name;price;currency\r\n7;pear;1,29;EUR\r\n9;Gruyère;12,50;EUR\r\n"
FORMS = {
    "commas": "id,name,price,currency\n7,pear,1.29,EUR\n9,Gruyère,12.50,EUR\n",
    "semicolons and decimal commas": GERMAN,
    "byte-order mark": codecs.BOM_UTF8 + GERMAN.encode(),
    "UTF-16": codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le"),
    "tabs": "price\tid\tcurrency\n1,29\t7\tEUR\n12,5\t9\tEUR\n",
    "quoted": 'name,price,currency\npear,"1,29",EUR\nGruyère,"12,50",EUR\n',
    "names alone": "name;price;currency\npear;1.29;EUR\nGruye\u0300re;12.50;EUR\n",  # as macOS writes è
    "other columns, blank lines, spaces": "sku; Name ;Currency;PRICE;\n\nx; pear ;EUR; 1,29 ;\ny;Gruyère;EUR;12,50;\n\n",
    "ids of other products": "id;price;currency\n7;1,29;EUR\n9;12,5;EUR\n4000;3;EUR\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_price_lists_as_people_have_them(tmp_path, form):
    prices = read(tmp_path, FORMS[form])
    assert prices.currency == "EUR"
    assert prices.price_of(PEAR) == Decimal("1.29")
    assert prices.price_of(CHEESE) == Decimal("12.50")
    assert prices.price_of(Label(1, "salt")) is None


def test_the_id_counts_before_the_name(tmp_path):
    prices = read(tmp_path, "id;name;price;currency\n7;;1;EUR\n;pear;2;EUR\n")
    assert prices.price_of(PEAR) == 1
    assert prices.price_of(Label(8, "pear")) == 2


def test_a_row_without_a_price_is_no_mistake(tmp_path):
    prices = read(tmp_path, "id;price;currency\n7;;EUR\n9;2;EUR\n")
    assert prices.price_of(PEAR) is None
    assert prices.price_of(CHEESE) == 2


BAD = {
    "price": ("id;price;currency\n7;1,29;EUR\n9;cheap;EUR\n", [3], "'cheap'"),
    "thousands or a fraction": ("id;price;currency\n7;1.234;EUR\n", [2], "two ways"),
    "currency": ("id;price;currency\n7;1,29;Euro\n", [2], "three capital letters"),
    "two currencies": ("id;price;currency\n7;1;EUR\n9;1;USD\n", [3], "line 2 has EUR"),
    "id": ("id;price;currency\nx7;1;EUR\n", [2], "whole number"),
    "id in other digits": ("id;price;currency\n٧;1;EUR\n", [2], "whole number"),
    "neither": ("id;name;price;currency\n;;1;EUR\n", [2], "neither"),
    "id twice": ("id;price;currency\n7;1;EUR\n9;1;EUR\n7;1;EUR\n", [4], "line 2 already"),
    "name twice, two spellings": ("name;price;currency\nGruyère;1;EUR\nGruye\u0300re;1;EUR\n", [3], "line 2 already"),
    "short row": ("id;price;currency\n7\n", [2], "at least 3 cells, got 1"),
    "comma in a price": ("id,price,currency\n7,1,29,EUR\n", [2], "double quotes"),
    "comma in a price, behind": ("id,currency,price\n7,EUR,1,29\n", [2], "double quotes"),
    "several": ("id;price;currency\n7;x;EUR\n8;1;EUR\n9;y;EUR\n", [2, 4], "2 rows"),
    "digits": ("id;price;currency\n7;1,5;JPY\n", [2], "more digits"),
}


@pytest.mark.parametrize("what", BAD)
def test_every_bad_row_is_named_by_its_line(tmp_path, what):
    text, lines, words = BAD[what]
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path, text)
    for line in lines:
        assert f"line {line}:" in str(caught.value)


def test_of_many_bad_rows_the_lines_are_all_there(tmp_path):
    rows = "".join(f"{id};x;EUR\n" for id in range(40))
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"id;price;currency\n{rows}")
    message = str(caught.value)
    assert message.count("expected a price") == 10
    assert message.endswith("and lines " + ", ".join(str(line) for line in range(12, 42)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("id;price\n7;1\n", "columns price, currency"),
        ("price;currency\n1;EUR\n", "id or name"),
        ("7;pear;1,29;EUR\n", "the first line"),
        ("id;price;currency;price\n7;1;EUR;2\n", "'price' twice"),
        (b"id;price;currency\n7;1;EUR\xff\n", "UTF-8"),
        (b"PK\x03\x04\x00\x00", "not text"),
    ],
)
def test_what_is_no_price_list(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv"):
        read_price_list(tmp_path / "none.csv")


def test_too_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("edgevision.kiosk.service.price_list.MOST_ROWS", 3)
    with pytest.raises(InputError, match="at most 3 rows"):
        read(tmp_path, "id;price;currency\n1;1;EUR\n2;1;EUR\n3;1;EUR\n")
