"""GS1 element strings: AIs and their values one behind the other, as barcodes hold them or as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from edgevision.decode.pictures import shortened
from edgevision.errors import BarcodeError
from edgevision.tracking.gs1_identifiers import IDENTIFIERS, Identifier, identifier_at

SEPARATOR = "\x1d"  # what readers send for FNC1 behind a value of variable length
_BRACKETED = re.compile(r"\(([0-9]{2,4})\)")


@dataclass(frozen=True)
class Element:
    """One AI with its value, as it stands in the barcode. ``title``: what the AI means."""

    ai: str
    value: str
    title: str


def make_element(identifier: Identifier, value: str, on: date) -> Element:
    """The element, its value checked. Raises BarcodeError."""
    identifier.check(value, on)
    return Element(identifier.ai, value, identifier.title)


def without_repeats(elements: Iterable[Element]) -> tuple[Element, ...]:
    """Each element once. Raises BarcodeError where an AI comes with two different values."""
    found: dict[str, Element] = {}
    for element in elements:
        earlier = found.setdefault(element.ai, element)
        if earlier.value != element.value:
            raise BarcodeError(
                f"({element.ai}) {element.title} is there twice: {earlier.value!r} and {element.value!r}"
            )
    return tuple(found.values())


def parse_element_string(text: str, on: date) -> tuple[Element, ...]:
    """The elements of a string as a reader sends it, without symbology identifier.

    Values of variable length end at the separator GS (``"\\x1d"``) or with the string; others by their length, and a
    separator behind them does no harm. A separator before all is FNC1 as some readers send it. ``on``: the day of reading.
    Raises BarcodeError for AIs that are not known, and for wrong values.

    >>> [(e.ai, e.value) for e in parse_element_string("0109521234543213" "10A\\x1d" "17261231", date(2026, 11, 27))]
    [('01', '09521234543213'), ('10', 'A'), ('17', '261231')]
    """
    elements = []
    at = 1 if text.startswith(SEPARATOR) else 0
    if at == len(text):
        raise BarcodeError("expected an element string of GS1, such as 0109521234543213, got an empty one")
    while at < len(text):
        identifier = identifier_at(text, at)
        at += len(identifier.ai)
        end = text.find(SEPARATOR, at)
        if end < 0:
            end = len(text)
        if identifier.is_predefined:
            end = min(end, at + identifier.length)
        elements.append(make_element(identifier, text[at:end], on))
        at = end + 1 if text.startswith(SEPARATOR, end) else end
    return without_repeats(elements)


def parse_bracketed(text: str, on: date) -> tuple[Element, ...]:
    """The elements of a string as it is printed for people: ``(01)09521234543213(10)A``.

    Two to four digits in brackets begin an element wherever they are a known AI; a value that holds such a thing cannot be
    written so. ``on``: the day of reading. Raises BarcodeError.

    >>> [(e.ai, e.value) for e in parse_bracketed("(10)A(1)(17)261231", date(2026, 11, 27))]
    [('10', 'A(1)'), ('17', '261231')]
    """
    starts = [match for match in _BRACKETED.finditer(text) if match[1] in IDENTIFIERS]
    if not starts or starts[0].start() != 0:
        raise BarcodeError(
            f"expected a known application identifier in brackets, such as (01), at the start of {shortened(repr(text))}"
        )
    ends = [*(match.start() for match in starts[1:]), len(text)]
    return without_repeats(
        make_element(IDENTIFIERS[match[1]], text[match.end() : end], on)
        for match, end in zip(starts, ends, strict=True)
    )
