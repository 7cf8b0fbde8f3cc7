from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal

import pytest

from edgevision.errors import BarcodeError
from edgevision.tracking.gs1 import Measure, Price, parse_gs1

TODAY = date(2026, 11, 27)

# (what a reader sends, the fields that are then set)
TEXTS = [
    # GTINs, as readers send them with and without symbology identifier
    ("4006381333931", {"gtin": "04006381333931"}),
    ("]E04006381333931", {"gtin": "04006381333931"}),
    ("036000291452", {"gtin": "00036000291452"}),
    ("]E0036000291452", {"gtin": "00036000291452"}),
    ("96385074", {"gtin": "00000096385074"}),
    ("]E496385074", {"gtin": "00000096385074"}),
    ("]I110614141000415", {"gtin": "10614141000415"}),
    # element strings
    ("]C1010952123454321310ABC\x1d17261231", {"gtin": "09521234543213", "batch": "ABC", "expiry": date(2026, 12, 31)}),
    ("]d2010952123454321321S1", {"gtin": "09521234543213", "serial": "S1"}),
    ("]Q30109521234543213", {"gtin": "09521234543213"}),
    ("]e00109521234543213", {"gtin": "09521234543213"}),
    ("]J10109521234543213", {"gtin": "09521234543213"}),
    ("010952123454321310ABC\x1d17261231", {"gtin": "09521234543213", "batch": "ABC", "expiry": date(2026, 12, 31)}),
    ("]C100106141411234567897", {"sscc": "106141411234567897"}),
    ("]C10209521234543213" + "3712", {"content_gtin": "09521234543213"}),
    ("(01)09521234543213(15)270200", {"gtin": "09521234543213", "best_before": date(2027, 2, 28)}),
    ("(11)250102(13)250103(16)250104", {"production": date(2025, 1, 2), "packaging": date(2025, 1, 3), "sell_by": date(2025, 1, 4)}),
    ("(7003)2612310830", {"expiry_time": datetime(2026, 12, 31, 8, 30)}),
    # numbers with decimals
    ("(3103)001250", {"net_weight": Measure(Decimal("1.250"), "kg")}),
    ("(3100)000002", {"net_weight": Measure(Decimal("2"), "kg")}),
    ("(3201)000105", {"net_weight": Measure(Decimal("10.5"), "lb")}),
    ("(3302)000105", {}),  # gross, not net
    ("(30)12", {"count": 12}),
    ("(3922)199", {"price": Price(Decimal("1.99"))}),
    ("(3932)9780199", {"price": Price(Decimal("1.99"), "978")}),
    # web addresses, from a QR code and a DataMatrix
    ("https://id.gs1.org/01/09521234543213/10/ABC123?17=261231", {"gtin": "09521234543213", "batch": "ABC123", "expiry": date(2026, 12, 31)}),
    ("]Q1https://example.com/01/09521234543213", {"gtin": "09521234543213"}),
    ("]d1https://example.com/01/09521234543213", {"gtin": "09521234543213"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_texts(text, expected):
    data = parse_gs1(text, TODAY)
    fields = {name: value for name, value in vars(data).items() if value is not None and name != "elements"}
    assert fields == expected
    json.dumps(data.to_dict())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no form of GS1"),
        ("Code 128", "no form of GS1"),
        ("http://google.com/gwt/n?u=bluenile.com", "no key of GS1"),
        ("]Q1A text", "no form of GS1"),
        ("0109521234543213", "symbology identifier"),  # 16 digits: an element string, or some number
        ("4006381333932", "check digit is 1"),
        ("]E04006381333932", "check digit is 1"),
        ("]E496385075", "check digit is 4"),
        ("]E4" + "4006381333931", "GTIN of 8 digits"),
        ("]E0" + "96385074", "GTIN of 12 or 13 digits"),
        ("]I1" + "4006381333931", "GTIN of 14 digits"),
        ("00000000", "all zeros"),
        ("]C1" + "5000112637922", "application identifier"),  # not an element string, though marked as one
        ("]C0" + "0109521234543213", "no form of GS1"),  # not marked as one
        ("]C1", "empty"),
        ("x" * 5000, "characters)"),  # what a QR code holds is long, a message is not
        ("https://example.com/" + "x" * 5000, "no key of GS1"),
        ("https://example.com/01/" + "9" * 5000, "(01) GTIN"),
        ("https://example.com/01/09521234543213?05=" + "9" * 5000, "no application identifier"),
        ("(" + "x" * 5000, "brackets"),
        ("]C110" + "x" * 5000, "(10) batch"),
        ("]C1253" + "9" * 5000, "(253)"),
        ("]E0" + "9" * 5000, "GTIN of 12 or 13"),
    ],
)
def test_wrong_texts(text, message):
    with pytest.raises(BarcodeError, match=re.escape(message)) as raised:
        parse_gs1(text, TODAY)
    assert len(str(raised.value)) < 450


@pytest.mark.requires("biip")
@pytest.mark.parametrize(
    "text", [text for text, _ in TEXTS if text.startswith("]") and text[1] in "CEdeQ" and "http" not in text]
)
def test_biip_reads_them_alike(text):
    import biip

    ours, theirs = parse_gs1(text, TODAY), biip.parse(text)
    assert (ours.gtin and ours.gtin.lstrip("0")) == (theirs.gtin and theirs.gtin.value.lstrip("0"))
    assert ours.sscc == (theirs.sscc and theirs.sscc.value)


@pytest.mark.parametrize(
    ("text", "on", "expected"),
    [
        ("(17)261127", date(2026, 11, 27), False),  # the last day itself
        ("(17)261127", date(2026, 11, 28), True),
        ("(17)261100", date(2026, 11, 30), False),  # the end of the month
        ("(17)261100", date(2026, 12, 1), True),
        ("(7003)2611270800", date(2026, 11, 27), False),
        ("(7003)2611270800", date(2026, 11, 28), True),
        ("(15)200101", date(2026, 11, 28), None),  # best before is no expiry
    ],
)
def test_expired(text, on, expected):
    assert parse_gs1(text, on).expired(on) is expected


@pytest.mark.parametrize(
    ("text", "day", "expected"), [("(15)261127", 27, False), ("(15)261127", 28, True), ("(17)200101", 28, None)]
)
def test_past_best_before(text, day, expected):
    on = date(2026, 11, day)
    assert parse_gs1(text, on).past_best_before(on) is expected


def test_the_century_is_that_of_the_day_of_reading():
    assert parse_gs1("(17)760101", date(2026, 1, 1)).expiry == date(2076, 1, 1)
    assert parse_gs1("(17)760101", date(2025, 1, 1)).expiry == date(1976, 1, 1)


def test_values_and_plain_json():
    data = parse_gs1("(01)09521234543213(3103)001250(3932)9780199(240)A-1(17)261231", TODAY)
    assert (data.value("240"), data.value("10")) == ("A-1", None)
    assert data.to_dict() == {
        "elements": {"01": "09521234543213", "3103": "001250", "3932": "9780199", "240": "A-1", "17": "261231"},
        "gtin": "09521234543213",
        "expiry": "2026-12-31",
        "net_weight": {"value": "1.250", "unit": "kg"},
        "price": {"amount": "1.99", "currency": "978"},
    }
