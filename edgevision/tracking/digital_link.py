"""GS1 Digital Link: a web address that holds a product's number, batch, serial number and dates.

``https://shop.example/01/09521234543213/10/ABC1?17=261231``: a key and what narrows it in the path, the rest in the query.
Any domain may stand before, and any path (GS1 Digital Link Standard: URI Syntax).
"""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import unquote, urlsplit

from edgevision.decode.pictures import shortened
from edgevision.errors import BarcodeError
from edgevision.tracking.check_digits import GTIN_LENGTHS
from edgevision.tracking.element_strings import Element, make_element, without_repeats
from edgevision.tracking.gs1_identifiers import IDENTIFIERS

# The keys that may stand in a path, and the AIs that may follow each, in their order.
_QUALIFIERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "01": (("22", "10", "21"), ("235",)), "8006": (("22", "10", "21"),), "414": (("254",), ("7040",)), "417": (("7040",),),
    "8004": (("7040",),), "8010": (("8011",),), "8017": (("8019",),), "8018": (("8019",),), "415": (("8020",),),
    "00": (), "253": (), "255": (), "401": (), "402": (), "8003": (), "8013": (),
}  # fmt: skip


def is_web_address(text: str) -> bool:
    """Whether the text begins as a web address does."""
    return re.match("https?://", text, re.IGNORECASE) is not None


def parse_digital_link(uri: str, on: date) -> tuple[Element, ...]:
    """The elements of a GS1 Digital Link: the key first, those of the query last.

    A GTIN of 8, 12 or 13 digits is filled up with zeros. What is in the query beside AIs, such as ``linkType``, is left out.
    ``on``: the day of reading. Raises BarcodeError for an address without a key, which is also what a compressed Digital
    Link looks like; for AIs where they must not be; and for wrong values.

    >>> [(e.ai, e.value) for e in parse_digital_link("https://id.gs1.org/01/09521234543213?17=261231", date(2026, 11, 27))]
    [('01', '09521234543213'), ('17', '261231')]
    """
    try:
        parts = urlsplit(uri)
        has_host = is_web_address(uri) and bool(parts.hostname)
    except ValueError:  # brackets that do not match, for one
        has_host = False
    if not has_host:
        raise BarcodeError(
            f"a GS1 Digital Link begins with https:// or http:// and a domain, got {shortened(repr(uri))}"
        )
    pairs = [*_pairs_of_path(parts.path, uri), *_pairs_of_query(parts.query)]
    return without_repeats(make_element(IDENTIFIERS[ai], value, on) for ai, value in pairs)


def _pairs_of_path(path: str, uri: str) -> list[tuple[str, str]]:
    """(AI, value) of the key and what narrows it: the last segments, read from the end."""
    segments = path.rstrip("/").split("/")
    qualifiers = {ai for ways in _QUALIFIERS.values() for way in ways for ai in way}
    pairs: list[tuple[str, str]] = []
    for place in range(len(segments) - 2, 0, -2):
        ai, value = segments[place], _decoded(segments[place + 1])
        pairs.insert(0, (ai, value))
        if ai in _QUALIFIERS:
            _check_order(ai, [qualifier for qualifier, _ in pairs[1:]], uri)
            return [(ai, _filled(ai, value)), *pairs[1:]]
        if ai not in qualifiers:
            break
    raise BarcodeError(
        f"{shortened(repr(uri))} has no key of GS1, such as /01/ with a GTIN, in its path: it is another web address, or a compressed GS1 "
        "Digital Link, which is not read"
    )


def _check_order(key: str, found: list[str], uri: str) -> None:
    for allowed in (*_QUALIFIERS[key], ()):
        if found == [ai for ai in allowed if ai in found]:
            return
    ways = " or ".join(", ".join(way) for way in _QUALIFIERS[key]) or "nothing"
    raise BarcodeError(
        f"behind the key {key}, the path of a GS1 Digital Link may have {ways}, in that order; got {shortened(repr(uri))}"
    )


def _pairs_of_query(query: str) -> list[tuple[str, str]]:
    pairs = []
    for one in re.split("[&;]", query):
        name, _, value = one.partition("=")
        if not re.fullmatch("[0-9]+", name):  # names of digits alone are AIs; others belong to whoever made the address
            continue
        if name not in IDENTIFIERS:
            raise BarcodeError(
                f"the query of a GS1 Digital Link has {shortened(repr(one))}, and {name} is no application identifier"
            )
        pairs.append((name, _filled(name, _decoded(value))))
    return pairs


def _decoded(text: str) -> str:
    """Without percent signs. A plus sign stays: values of GS1 may hold it, and none holds a space."""
    return unquote(text)


def _filled(ai: str, value: str) -> str:
    return value.zfill(14) if ai in ("01", "02") and len(value) in GTIN_LENGTHS else value
