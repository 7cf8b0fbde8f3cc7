"""Numbers of GS1 that end in a check digit: GTIN of 8, 12, 13 and 14 digits, GLN, SSCC; and the short form UPC-E."""

from __future__ import annotations

import re

from edgevision.decode.pictures import shortened
from edgevision.errors import BarcodeError

GTIN_LENGTHS = (8, 12, 13, 14)
_DIGITS = re.compile(r"[0-9]+")  # str.isdecimal also takes digits of other scripts


def check_digit(digits: str) -> str:
    """The digit that follows ``digits``: it makes the weighted sum of all a multiple of ten. Counted from the right, the
    weights are 3, 1, 3, 1, … (GS1 General Specifications, section 7.9). Raises BarcodeError for anything but digits.

    >>> check_digit("629104150021")
    '3'
    """
    if not _DIGITS.fullmatch(digits):
        raise BarcodeError(f"a check digit is computed from digits 0…9, got {shortened(repr(digits))}")
    total = sum(3 * int(digit) for digit in digits[::-2]) + sum(int(digit) for digit in digits[-2::-2])
    return str(-total % 10)


def has_right_check_digit(number: str) -> bool:
    """Whether ``number`` consists of digits, two or more, and the last is the check digit of those before it."""
    return len(number) > 1 and _DIGITS.fullmatch(number) is not None and check_digit(number[:-1]) == number[-1]


def gtin14(number: str) -> str:
    """A GTIN of 8, 12, 13 or 14 digits in its form with 14 digits, in which all are compared.

    Raises BarcodeError for another length, a wrong check digit, and for zeros alone, which no product has and which
    readers see in plain stripes.

    >>> gtin14("4006381333931")
    '04006381333931'
    """
    if not _DIGITS.fullmatch(number) or len(number) not in GTIN_LENGTHS:
        raise BarcodeError(f"a GTIN has 8, 12, 13 or 14 digits and nothing else, got {shortened(repr(number))}")
    if not has_right_check_digit(number):
        raise BarcodeError(
            f"GTIN {number} ends in {number[-1]}, its check digit is {check_digit(number[:-1])}: misread or mistyped"
        )
    if not number.strip("0"):
        raise BarcodeError(f"GTIN {number} is all zeros: no product has it")
    return number.zfill(14)


def expand_upc_e(number: str) -> str:
    """The 12 digits of UPC-A that 8 digits of UPC-E stand for: number system (0 or 1), six digits, check digit.

    The sixth digit says where zeros were left out (GS1 General Specifications, section 5.2.2.4). Raises BarcodeError for
    anything else, and for a wrong check digit.

    >>> expand_upc_e("01234565")
    '012345000065'
    """
    if not re.fullmatch(r"[01][0-9]{7}", number):
        raise BarcodeError(f"UPC-E has 8 digits, the first of them 0 or 1, got {shortened(repr(number))}")
    system, body, last, check = number[0], number[1:6], number[6], number[7]
    if last in "012":
        item = f"{body[:2]}{last}0000{body[2:]}"
    elif last == "3":
        item = f"{body[:3]}00000{body[3:]}"
    elif last == "4":
        item = f"{body[:4]}00000{body[4:]}"
    else:
        item = f"{body}0000{last}"
    if check_digit(system + item) != check:
        raise BarcodeError(
            f"UPC-E {number} ends in {check}, its check digit is {check_digit(system + item)}: misread or mistyped"
        )
    return f"{system}{item}{check}"
