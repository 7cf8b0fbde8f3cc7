"""Amounts of money: exact, with their currency's digits, and never guessed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.money import amount, currency, digits, shown, written_amount


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("1.29", "EUR", "1.29"),
        ("1,29", "EUR", "1.29"),
        ("1", "EUR", "1.00"),
        ("0", "EUR", "0.00"),
        ("1,5", "EUR", "1.50"),
        (" 12 ", "USD", "12.00"),
        ("1.234,50", "EUR", "1234.50"),
        ("1,234.50", "USD", "1234.50"),
        ("1 234,50", "SEK", "1234.50"),
        ("1\u00a0234,50", "EUR", "1234.50"),
        ("1\u202f299", "EUR", "1299.00"),
        ("1'234.50", "CHF", "1234.50"),
        ("1.234.567", "EUR", "1234567.00"),
        ("1.234.567,89", "EUR", "1234567.89"),
        ("298", "JPY", "298"),
        ("1.250", "KWD", "1.250"),  # three digits are its own
        ("1,250", "KWD", "1.250"),
    ],
)
def test_prices_as_people_write_them(text, code, expected):
    found = written_amount(text, code)
    assert found == Decimal(expected)
    assert shown(found) == expected


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("1.234", "EUR", "two ways"),
        ("1,234", "USD", "two ways"),
        ("298.5", "JPY", "more digits"),
        ("1.2345", "EUR", "more digits"),
        ("1.29 €", "EUR", "expected a price"),
        ("-1.29", "EUR", "expected a price"),
        ("1.23.45", "EUR", "expected a price"),
        ("1,234,56", "EUR", "expected a price"),
        ("1.234.50,1", "EUR", "expected a price"),
        ("1,234,567,89", "EUR", "expected a price"),
        ("", "EUR", "expected a price"),
        ("NaN", "EUR", "expected a price"),
        ("1e3", "EUR", "expected a price"),
        ("１.２９", "EUR", "expected a price"),
        ("9" * 13, "EUR", "expected a price"),
        ("9" * 12, "EUR", "more than"),
    ],
)
def test_what_is_no_price_is_refused(text, code, words):
    with pytest.raises(InputError, match=words):
        written_amount(text, code)


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [("1.29", "EUR", "1.29"), ("1", "EUR", "1.00"), ("0.5", "EUR", "0.50"), ("7", "JPY", "7")],
)
def test_amounts_in_json(text, code, expected):
    assert shown(amount(text, code)) == expected


@pytest.mark.parametrize(
    "text", ["1,29", "1.299", "-1", "+1", "1.", ".5", "", "1e2", "Infinity", " 1", "1 ", "१", "1" * 13, "1.00000"]
)
def test_amounts_that_json_does_not_carry(text):
    with pytest.raises(InputError):
        amount(text, "EUR")


def test_sums_are_exact():
    assert sum((amount("0.10", "EUR") for _ in range(3)), Decimal(0)) == amount("0.30", "EUR")


@pytest.mark.parametrize(("code", "expected"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("XYZ", 2)])
def test_digits(code, expected):
    assert digits(code) == expected


@pytest.mark.parametrize("code", ["eur", "EURO", "€", "", "EU", "ÉUR", "EU1"])
def test_what_is_no_currency(code):
    with pytest.raises(InputError):
        currency(code)
