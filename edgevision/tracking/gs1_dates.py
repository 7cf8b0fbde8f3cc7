"""Dates in barcodes: two digits for the year, and day 00 for the end of the month."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date

from edgevision.errors import BarcodeError


def full_year(two_digits: int, on: date) -> int:
    """The year that ``two_digits`` stand for in a barcode that is read on the day ``on``: from 49 years before it to 50
    years after it (GS1 General Specifications, section 7.12).

    >>> full_year(26, date(2026, 11, 27)), full_year(77, date(2026, 11, 27))
    (2026, 1977)
    """
    century = on.year - on.year % 100
    difference = two_digits - on.year % 100
    if difference >= 51:
        return century - 100 + two_digits
    if difference <= -50:
        return century + 100 + two_digits
    return century + two_digits


def gs1_date(text: str, on: date, *, whole_months: bool = True) -> date:
    """The date YYMMDD. Day 00 is the last day of the month, where ``whole_months`` allows it.

    ``on``: the day of reading, which decides the century. Raises BarcodeError for a day that is in no calendar.

    >>> gs1_date("280200", date(2026, 11, 27))
    datetime.date(2028, 2, 29)
    """
    if not re.fullmatch(r"[0-9]{6}", text):
        raise BarcodeError(f"a date has 6 digits, YYMMDD, got {text!r}")
    year, month, day = full_year(int(text[:2]), on), int(text[2:4]), int(text[4:])
    if day == 0 and whole_months and 1 <= month <= 12:
        day = monthrange(year, month)[1]
    try:
        return date(year, month, day)
    except ValueError:
        raise BarcodeError(f"{text} is no date of the form YYMMDD: {year} has no day {day} in month {month}") from None
