from __future__ import annotations

import re
from datetime import date

import pytest

from edgevision.errors import BarcodeError
from edgevision.tracking.element_strings import Element, parse_bracketed, parse_element_string

TODAY = date(2026, 11, 27)
GTIN = ("01", "09521234543213")
EXPIRY = ("17", "261231")

# (what a reader sends, the AIs and values in it)
STRINGS = [
    ("0109521234543213", [GTIN]),
    ("010952123454321317261231", [GTIN, EXPIRY]),  # both of a length that is known: nothing between them
    ("0109521234543213\x1d17261231", [GTIN, EXPIRY]),  # a separator that need not be
    ("010952123454321310ABC\x1d17261231", [GTIN, ("10", "ABC"), EXPIRY]),
    ("01095212345432131726123110ABC", [GTIN, EXPIRY, ("10", "ABC")]),  # the last of variable length ends with the string
    ("01095212345432131726123110ABC\x1d", [GTIN, EXPIRY, ("10", "ABC")]),
    ("\x1d0109521234543213", [GTIN]),  # FNC1 before all
    ("10" + "17261231", [("10", "17261231")]),  # a batch that looks like a date
    ("1017261231\x1d17261231", [("10", "17261231"), EXPIRY]),
    ("21" + "x" * 20 + "\x1d" + "10" + "y" * 20, [("21", "x" * 20), ("10", "y" * 20)]),
    ("422840\x1d0109521234543213", [("422", "840"), GTIN]),  # three digits, yet separated
    ("0109521234543213" "3103001250" "3922199\x1d15261201", [GTIN, ("3103", "001250"), ("3922", "199"), ("15", "261201")]),
    ("00106141411234567897", [("00", "106141411234567897")]),
    ("0209521234543213" "3712", [("02", "09521234543213"), ("37", "12")]),
    ("10A\x1d10A", [("10", "A")]),  # the same twice, as when two barcodes are joined
    ("8200http://example.com", [("8200", "http://example.com")]),
    ("10(17)261231", [("10", "(17)261231")]),  # brackets are characters as others are
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STRINGS)
def test_element_strings(text, expected):
    assert [(one.ai, one.value) for one in parse_element_string(text, TODAY)] == expected


@pytest.mark.requires("biip")
@pytest.mark.parametrize(("text", "expected"), [row for row in STRINGS if not row[0].startswith("\x1d")])
def test_biip_reads_them_alike(text, expected):
    import biip

    message = biip.parse(f"]C1{text}").gs1_message
    theirs = list(dict.fromkeys((one.ai.ai, one.value) for one in message.element_strings))
    assert theirs == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\x1d", "empty"),
        ("0109521234543214", "(01) GTIN 09521234543214 ends in 4, its check digit is 3"),
        ("010952123454321", "(01) GTIN is 14 digits; got '0952123454321'"),  # cut short
        ("01095212345\x1d17261231", "(01) GTIN is 14 digits; got '095212345'"),  # a separator within
        ("17261301", "month 13"),
        ("17260230", "no day 30 in month 2"),
        ("10", "(10) batch is 1 to 20 characters of set 82; got ''"),
        ("10\x1d17261231", "(10) batch"),
        ("10" + "x" * 21, "(10) batch"),  # the separator was lost
        ("0109521234543213\x1d\x1d17261231", "application identifier of GS1 at character 18"),
        ("010952123454321305123", "application identifier of GS1 at character 17, got '0512'"),
        ("10A\x1d10B", "(10) batch is there twice: 'A' and 'B'"),
        ("Code 128", "at character 1"),
        ("168901", "(16) sell by"),  # on a photo of zxing-cpp's samples: marked as GS1, and no date
    ],
)
def test_wrong_element_strings(text, message):
    with pytest.raises(BarcodeError, match=re.escape(message)):
        parse_element_string(text, TODAY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(01)09521234543213(10)ABC(17)261231", [GTIN, ("10", "ABC"), EXPIRY]),
        ("(10)A(B)(17)261231", [("10", "A(B)"), EXPIRY]),
        ("(10)A(05)", [("10", "A(05)")]),  # no AI that is known
        ("(3103)001250", [("3103", "001250")]),
    ],
)
def test_bracketed(text, expected):
    assert [(one.ai, one.value) for one in parse_bracketed(text, TODAY)] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "brackets"),
        ("0109521234543213", "brackets"),
        ("A(01)09521234543213", "at the start"),
        ("(05)123", "known application identifier"),
        ("(01)09521234543214", "check digit is 3"),
        ("(01)09521234543213 (17)261231", "(01) GTIN is 14 digits"),  # a space, which is no part of it
        ("(17)261231(17)261230", "twice"),
    ],
)
def test_wrong_bracketed(text, message):
    with pytest.raises(BarcodeError, match=re.escape(message)):
        parse_bracketed(text, TODAY)


def test_elements_say_what_they_mean():
    assert parse_element_string("17261231", TODAY) == (Element("17", "261231", "expiry date"),)
