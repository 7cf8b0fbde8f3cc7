"""What a barcode says of a product: GTIN, batch, serial number, dates, weight, price; from every form that GS1 has.

It needs no package for barcodes: what a hand scanner sends can be read, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from edgevision.decode.pictures import shortened
from edgevision.errors import BarcodeError
from edgevision.tracking.check_digits import GTIN_LENGTHS, gtin14
from edgevision.tracking.digital_link import is_web_address, parse_digital_link
from edgevision.tracking.element_strings import SEPARATOR, Element, parse_bracketed, parse_element_string
from edgevision.tracking.gs1_dates import gs1_date
from edgevision.tracking.gs1_identifiers import IDENTIFIERS

# Symbology identifiers (ISO/IEC 15424) of barcodes that hold element strings: GS1-128, DataBar, DataMatrix, QR, DotCode.
_ELEMENT_STRINGS = ("]C1", "]e0", "]d2", "]Q3", "]J1")
# Of those that hold a GTIN and nothing else: EAN-13 (UPC-A and UPC-E come as such), EAN-8, ITF-14 with check digit.
_GTINS = {"]E0": (12, 13), "]E4": (8,), "]I1": (14,)}
_NET_WEIGHTS = ("310", "320", "356")


@dataclass(frozen=True)
class Measure:
    """A number with its unit, such as 1.250 kg."""

    value: Decimal
    unit: str


@dataclass(frozen=True)
class Price:
    """``currency``: three digits of ISO 4217, or None for the currency of the country."""

    amount: Decimal
    currency: str | None = None


@dataclass(frozen=True)
class Gs1Data:
    """What one barcode says. Fields are None where it says nothing; ``elements`` has everything, as it stands there.

    ``gtin`` and ``content_gtin`` (of what is inside a logistic unit) have 14 digits. ``expiry``: the last day on which the
    product may be used; ``expiry_time``: the last minute. ``count``: pieces, of products sold by number.
    """

    elements: tuple[Element, ...]
    gtin: str | None = None
    content_gtin: str | None = None
    sscc: str | None = None
    batch: str | None = None
    serial: str | None = None
    production: date | None = None
    packaging: date | None = None
    best_before: date | None = None
    sell_by: date | None = None
    expiry: date | None = None
    expiry_time: datetime | None = None
    net_weight: Measure | None = None
    count: int | None = None
    price: Price | None = None

    def value(self, ai: str) -> str | None:
        """The value of one AI as it stands in the barcode, or None."""
        return next((element.value for element in self.elements if element.ai == ai), None)

    def expired(self, on: date) -> bool | None:
        """Whether the product must not be used any more on the day ``on``; None where the barcode has no expiry date."""
        last = self.expiry or (self.expiry_time and self.expiry_time.date())
        return None if last is None else on > last

    def past_best_before(self, on: date) -> bool | None:
        """Whether ``on`` is later than the best-before day; None where the barcode has none."""
        return None if self.best_before is None else on > self.best_before

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without what is None; numbers with decimals as text."""
        plain: dict[str, Any] = {"elements": {element.ai: element.value for element in self.elements}}
        for name in ("gtin", "content_gtin", "sscc", "batch", "serial", "count"):
            plain[name] = getattr(self, name)
        for name in ("production", "packaging", "best_before", "sell_by", "expiry", "expiry_time"):
            day: date | None = getattr(self, name)
            plain[name] = day and day.isoformat()
        if self.net_weight is not None:
            plain["net_weight"] = {"value": str(self.net_weight.value), "unit": self.net_weight.unit}
        if self.price is not None:
            plain["price"] = {"amount": str(self.price.amount), "currency": self.price.currency}
        return {name: value for name, value in plain.items() if value is not None}


def parse_gs1(text: str, on: date) -> Gs1Data:
    """Read the text of a barcode. ``on``: the day of reading, which decides the century of dates with two-digit years.

    ``text`` is one of these; what is none of them is refused:

    * a symbology identifier and the content: ``]C1``, ``]e0``, ``]d2``, ``]Q3``, ``]J1`` with an element string, ``]E0``,
      ``]E4``, ``]I1`` with a GTIN, others with one of the forms below;
    * a GS1 Digital Link, with any domain;
    * AIs in brackets, as printed for people;
    * an element string with the separator GS (``"\\x1d"``) in it;
    * the 8, 12, 13 or 14 digits of a GTIN.

    Raises BarcodeError, with the part that is wrong.

    >>> read = parse_gs1("https://id.gs1.org/01/09521234543213/10/ABC123?17=261231", date(2026, 11, 27))
    >>> read.gtin, read.batch, read.expiry
    ('09521234543213', 'ABC123', datetime.date(2026, 12, 31))
    """
    return gs1_data(_elements(text, on), on)


def gs1_data(elements: tuple[Element, ...], on: date) -> Gs1Data:
    """The fields that elements fill. Their values are checked already."""
    values = {element.ai: element.value for element in elements}

    def day(ai: str) -> date | None:
        return gs1_date(values[ai], on) if ai in values else None

    return Gs1Data(
        elements,
        gtin=values.get("01"),
        content_gtin=values.get("02"),
        sscc=values.get("00"),
        batch=values.get("10"),
        serial=values.get("21"),
        production=day("11"),
        packaging=day("13"),
        best_before=day("15"),
        sell_by=day("16"),
        expiry=day("17"),
        expiry_time=_minute(values["7003"], on) if "7003" in values else None,
        net_weight=_net_weight(elements),
        count=int(values["30"]) if "30" in values else None,
        price=_price(elements),
    )


def _elements(text: str, on: date) -> tuple[Element, ...]:
    identifier, content = "", text
    if re.match(r"\][A-Za-z][0-9A-Za-z]", text):
        identifier, content = text[:3], text[3:]
    if identifier in _ELEMENT_STRINGS:
        return parse_element_string(content, on)
    if identifier in _GTINS:
        return (_gtin(content, _GTINS[identifier]),)
    if is_web_address(content):
        return parse_digital_link(content, on)
    if content.startswith("("):
        return parse_bracketed(content, on)
    if SEPARATOR in content:
        return parse_element_string(content, on)
    if re.fullmatch("[0-9]+", content) and len(content) in GTIN_LENGTHS:
        return (_gtin(content, GTIN_LENGTHS),)
    raise BarcodeError(
        f"{shortened(repr(text))} is no form of GS1: expected a GTIN, a GS1 Digital Link, AIs in brackets, or an element string. Of "
        "an element string, have the reader send the symbology identifier before it, such as ]C1"
    )


def _gtin(number: str, lengths: tuple[int, ...]) -> Element:
    if len(number) not in lengths:
        raise BarcodeError(f"expected a GTIN of {' or '.join(map(str, lengths))} digits, got {shortened(repr(number))}")
    return Element("01", gtin14(number), IDENTIFIERS["01"].title)


def _minute(value: str, on: date) -> datetime:
    return datetime.combine(gs1_date(value[:6], on, whole_months=False), time(int(value[6:8]), int(value[8:10])))


def _number(ai: str, digits: str) -> Decimal:
    decimals = IDENTIFIERS[ai].decimals
    assert decimals is not None  # of measures and money
    return Decimal(int(digits)).scaleb(-decimals)


def _net_weight(elements: tuple[Element, ...]) -> Measure | None:
    for element in elements:
        unit = IDENTIFIERS[element.ai].unit
        if element.ai[:3] in _NET_WEIGHTS and unit is not None:
            return Measure(_number(element.ai, element.value), unit)
    return None


def _price(elements: tuple[Element, ...]) -> Price | None:
    for element in elements:
        if element.ai.startswith("392"):
            return Price(_number(element.ai, element.value))
        if element.ai.startswith("393"):
            return Price(_number(element.ai, element.value[3:]), element.value[:3])
    return None
