"""Amounts of money, exact: texts as people write them in price lists, and as JSON carries them."""

from __future__ import annotations

import re
from decimal import Decimal

from edgevision.errors import InputError

MOST = Decimal(10) ** 9  # more than a price or a receipt comes to in any currency; and it bounds what is calculated
# Digits after the point: ISO 4217 has two for most currencies, three for some, none for others.
_DIGITS = {
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
}  # fmt: skip
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_EXACT = re.compile(r"\d{1,12}(\.\d{1,4})?", re.ASCII)
_GROUPED = re.compile(r"\d{1,3}([.,' \u00a0\u202f])\d{3}(?:\1\d{3})*(?:([.,])(\d+))?", re.ASCII)
_PLAIN = re.compile(r"\d{1,12}(?:[.,](\d+))?", re.ASCII)


def currency(text: str) -> str:
    """A currency's code, such as ``EUR``. Raises InputError."""
    if _CURRENCY.fullmatch(text) is None:
        raise InputError(f"expected a currency as three capital letters, such as EUR, got {text[:20]!r}")
    return text


def digits(code: str) -> int:
    """How many digits an amount of this currency has after the point."""
    return _DIGITS.get(code, 2)


def amount(text: str, code: str) -> Decimal:
    """An amount as JSON carries it: ``"1.29"``, with as many digits as its currency has, or fewer. Raises InputError.

    >>> amount("1.29", "EUR"), amount("2", "EUR")
    (Decimal('1.29'), Decimal('2.00'))
    """
    if _EXACT.fullmatch(text) is None:
        raise InputError(f'expected an amount such as "1.29", got {text[:20]!r}')
    return _fitting(Decimal(text), text, code)


def written_amount(text: str, code: str) -> Decimal:
    """An amount as a price list has it: with a point or a comma, and with groups of three where that is certain. Raises InputError.

    >>> written_amount("1,29", "EUR"), written_amount("1.234,50", "EUR"), written_amount("1 299", "SEK")
    (Decimal('1.29'), Decimal('1234.50'), Decimal('1299.00'))
    """
    stripped = text.strip()
    plain = _PLAIN.fullmatch(stripped)
    if plain is not None:
        after = plain[1] or ""
        if len(after) == 3 and digits(code) != 3:
            raise InputError(
                f"{stripped!r} may be read in two ways, as thousands or as a fraction; write it without groups"
            )
        return _fitting(Decimal(stripped.replace(",", ".")), stripped, code)
    grouped = _GROUPED.fullmatch(stripped)
    if grouped is None or grouped[1] == grouped[2]:
        raise InputError(f"expected a price such as 1.29 or 1,29, got {stripped[:20]!r}")
    whole = re.sub(r"\D", "", stripped if grouped[2] is None else stripped[: -len(grouped[3]) - 1])
    return _fitting(Decimal(f"{whole}.{grouped[3] or 0}"), stripped, code)


def shown(value: Decimal) -> str:
    """The amount as JSON carries it.

    >>> shown(Decimal("2.50"))
    '2.50'
    """
    return f"{value:f}"


def _fitting(value: Decimal, text: str, code: str) -> Decimal:
    """``value`` with the currency's digits. Raises InputError where it has more, or is too large."""
    step = Decimal(1).scaleb(-digits(code))
    if value > MOST:
        raise InputError(f"{text!r} is more than {MOST:f}")
    exact = value.quantize(step)
    if exact != value:
        raise InputError(f"{text!r} has more digits after the point than {code} has ({digits(code)})")
    return exact
