from __future__ import annotations

import re
from datetime import date

import pytest

from edgevision.errors import BarcodeError
from edgevision.tracking.digital_link import is_web_address, parse_digital_link

TODAY = date(2026, 11, 27)
GTIN = ("01", "09521234543213")

LINKS = [
    ("https://id.gs1.org/01/09521234543213", [GTIN]),
    ("https://id.gs1.org/01/09521234543213/10/ABC123?17=261231", [GTIN, ("10", "ABC123"), ("17", "261231")]),
    ("http://shop.example:8080/some/path/01/09521234543213/21/7", [GTIN, ("21", "7")]),
    ("https://id.gs1.org/01/09521234543213/22/2A/10/L1/21/S1", [GTIN, ("22", "2A"), ("10", "L1"), ("21", "S1")]),
    ("https://id.gs1.org/01/09521234543213/21/01", [GTIN, ("21", "01")]),  # a serial number that looks like a key
    ("https://id.gs1.org/21/x/01/09521234543213", [GTIN]),  # a path of the shop's own that looks like a qualifier
    ("https://id.gs1.org/01/09521234543213?linkType=gs1:pip&17=261231", [GTIN, ("17", "261231")]),
    ("https://id.gs1.org/01/09521234543213/10/A%2FB%25+C#top", [GTIN, ("10", "A/B%+C")]),
    ("https://id.gs1.org/01/9521234543213", [GTIN]),  # 13 digits
    ("https://id.gs1.org/01/96385074", [("01", "00000096385074")]),
    ("https://id.gs1.org/00/106141411234567897", [("00", "106141411234567897")]),
    ("https://id.gs1.org/01/09521234543213/235/TPX5", [GTIN, ("235", "TPX5")]),
    ("https://id.gs1.org/414/9524000000002/254/32a", [("414", "9524000000002"), ("254", "32a")]),
]
# biip refuses these.
OTHER_LINKS = [
    ("HTTPS://ID.GS1.ORG/01/09521234543213", [GTIN]),  # as in a QR code's set of large letters
    ("https://id.gs1.org/01/09521234543213/", [GTIN]),
    ("https://id.gs1.org/01/09521234543213?17=261231;3103=000195", [GTIN, ("17", "261231"), ("3103", "000195")]),
]


@pytest.mark.parametrize(("uri", "expected"), LINKS + OTHER_LINKS)
def test_links(uri, expected):
    assert [(one.ai, one.value) for one in parse_digital_link(uri, TODAY)] == expected


@pytest.mark.requires("biip")
@pytest.mark.parametrize(("uri", "expected"), LINKS)
def test_biip_reads_them_alike(uri, expected):
    import biip

    link = biip.parse(uri).gs1_digital_link_uri
    assert [(one.ai.ai, one.value) for one in link.element_strings] == expected


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("https://example.com/", "no key of GS1"),
        ("https://example.com/products?id=5", "no key of GS1"),
        ("https://id.gs1.org/AQnYUc1gmiELlQBCiA", "compressed GS1 Digital Link, which is not read"),
        ("https://id.gs1.org/gtin/09521234543213", "no key of GS1"),
        ("https://id.gs1.org/10/ABC", "no key of GS1"),  # a batch of what?
        ("https://id.gs1.org/01", "no key of GS1"),
        ("https://id.gs1.org/01/09521234543214", "check digit is 3"),
        ("https://id.gs1.org/01/9521234543214", "check digit is 3"),
        ("https://id.gs1.org/01/095212345432", "(01) GTIN"),
        ("https://id.gs1.org/01/09521234543213/21/S/10/L", "22, 10, 21 or 235, in that order"),
        ("https://id.gs1.org/01/09521234543213/10/L/235/T", "in that order"),
        ("https://id.gs1.org/00/106141411234567897/21/S", "may have nothing"),
        ("https://id.gs1.org/01/09521234543213/17/261231", "no key of GS1"),  # a date belongs into the query
        ("https://id.gs1.org/01/09521234543213?17=261301", "month 13"),
        ("https://id.gs1.org/01/09521234543213?05=1", "05 is no application identifier"),
        ("https://id.gs1.org/01/09521234543213/10/A?10=B", "there twice"),
        ("https://id.gs1.org/01/09521234543213/10/%FF", "(10) batch"),
        ("https://id.gs1.org/01/09521234543213/10/a%20b", "(10) batch"),
        ("https:///01/09521234543213", "a domain"),
        ("https://[/01/09521234543213", "a domain"),
        ("ftp://id.gs1.org/01/09521234543213", "https://"),
        ("id.gs1.org/01/09521234543213", "https://"),
        ("", "https://"),
    ],
)
def test_wrong_links(uri, message):
    with pytest.raises(BarcodeError, match=re.escape(message)):
        parse_digital_link(uri, TODAY)


@pytest.mark.parametrize(
    ("text", "expected"), [("https://a", True), ("Http://a", True), ("mailto:a", False), ("(01)", False)]
)
def test_web_addresses(text, expected):
    assert is_web_address(text) is expected
