"""GS1's application identifiers (AIs): how long the value behind each is, which characters it may have, what it means.

The table follows the GS1 General Specifications, section 3, and the GS1 Barcode Syntax Dictionary. Lengths, character sets,
check digits and dates are checked; codes of countries, currencies and banks are not, nor which AIs must go together.

A format is a list of parts. ``N6``: six digits. ``X..20``: 1 to 20 characters of set 82. ``Y``: of set 39. ``Z``: of base 64
as in file names. ``[…]``: may be missing. Behind a colon: ``key``, the part ends in a check digit; ``day``, a date YYMMDD
with day 00 for the end of the month; ``date``, one without; ``time``, HHMM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from edgevision.decode.pictures import shortened
from edgevision.errors import BarcodeError
from edgevision.tracking.check_digits import check_digit, has_right_check_digit
from edgevision.tracking.gs1_dates import gs1_date

# GS1 General Specifications, section 7.11: the letters, digits and signs of each character set, for a regular expression.
_CHARACTERS = {"N": "0-9", "X": r"""!"%-?A-Z_a-z""", "Y": r"#\-/0-9A-Z", "Z": r"\-0-9A-Z_a-z="}
_MEANT = {"N": "digits", "X": "characters of set 82", "Y": "characters of set 39", "Z": "characters of base 64"}
_PART = re.compile(r"(\[)?([NXYZ])(\.\.)?([0-9]+)(?::(key|day|date|time))?\]?")

# Values behind these have a length that readers know: no separator need follow (GS1 General Specifications, section 7.8.5).
_PREDEFINED = frozenset(
    ["00", "01", "02", "03", "04", *map(str, range(11, 21)), "31", "32", "33", "34", "35", "36", "41"]
)


@dataclass(frozen=True)
class _Part:
    kind: str
    least: int
    most: int
    optional: bool
    check: str

    @property
    def pattern(self) -> str:
        pattern = f"([{_CHARACTERS[self.kind]}]{{{self.least},{self.most}}})"
        return f"{pattern}?" if self.optional else pattern

    def __str__(self) -> str:
        many = f"{self.most}" if self.least == self.most else f"{self.least} to {self.most}"
        words = f"{many} {_MEANT[self.kind]}"
        return f"perhaps {words}" if self.optional else words


@dataclass(frozen=True)
class Identifier:
    """One AI. ``title``: its meaning; ``form``: the parts of its value; ``unit``: of a measure; ``decimals``: how many
    digits of its number stand behind the decimal point, None where it is no such number."""

    ai: str
    title: str
    form: str
    unit: str | None = None
    decimals: int | None = None

    @property
    def is_predefined(self) -> bool:
        """Whether the value's length is known from the AI, so that nothing separates it from what follows."""
        return self.ai[:2] in _PREDEFINED

    @cached_property
    def length(self) -> int:
        """The greatest length of a value, in characters."""
        return sum(part.most for part in self._parts)

    def check(self, value: str, on: date) -> None:
        """Raise BarcodeError unless ``value`` has the right length, characters, check digits and dates.

        ``on``: the day of reading, which decides the century of dates.
        """
        matched = re.fullmatch("".join(part.pattern for part in self._parts), value)
        if matched is None:
            expected = ", then ".join(map(str, self._parts))
            raise BarcodeError(f"({self.ai}) {self.title} is {expected}; got {shortened(repr(value))}")
        for part, text in zip(self._parts, matched.groups(), strict=True):
            if text is not None:
                self._check_part(part.check, text, on)

    def _check_part(self, check: str, text: str, on: date) -> None:
        if check == "key" and not has_right_check_digit(text):
            right = check_digit(text[:-1])
            raise BarcodeError(f"({self.ai}) {self.title} {text} ends in {text[-1]}, its check digit is {right}")
        if check in ("day", "date"):
            try:
                gs1_date(text, on, whole_months=check == "day")
            except BarcodeError as error:
                raise BarcodeError(f"({self.ai}) {self.title}: {error}") from None
        if check == "time" and not re.fullmatch("([01][0-9]|2[0-3])[0-5][0-9]", text):
            raise BarcodeError(f"({self.ai}) {self.title}: {text} is no time of the form HHMM")

    @cached_property
    def _parts(self) -> tuple[_Part, ...]:
        parts = []
        for optional, kind, up_to, length, check in _PART.findall(self.form):
            least = 1 if up_to else int(length)
            parts.append(_Part(kind, least, int(length), bool(optional), check))
        return tuple(parts)


# What the measures 310n…369n mean, and their units. The last digit of the AI is the number of decimals.
_MEASURES = {
    "310": ("net weight", "kg"), "311": ("length", "m"), "312": ("width", "m"), "313": ("height", "m"),
    "314": ("area", "m²"), "315": ("net volume", "l"), "316": ("net volume", "m³"), "320": ("net weight", "lb"),
    "321": ("length", "in"), "322": ("length", "ft"), "323": ("length", "yd"), "324": ("width", "in"),
    "325": ("width", "ft"), "326": ("width", "yd"), "327": ("height", "in"), "328": ("height", "ft"),
    "329": ("height", "yd"), "330": ("gross weight", "kg"), "331": ("logistic length", "m"),
    "332": ("logistic width", "m"), "333": ("logistic height", "m"), "334": ("logistic area", "m²"),
    "335": ("logistic volume", "l"), "336": ("logistic volume", "m³"), "337": ("weight for each area", "kg/m²"),
    "340": ("gross weight", "lb"), "341": ("logistic length", "in"), "342": ("logistic length", "ft"),
    "343": ("logistic length", "yd"), "344": ("logistic width", "in"), "345": ("logistic width", "ft"),
    "346": ("logistic width", "yd"), "347": ("logistic height", "in"), "348": ("logistic height", "ft"),
    "349": ("logistic height", "yd"), "350": ("area", "in²"), "351": ("area", "ft²"), "352": ("area", "yd²"),
    "353": ("logistic area", "in²"), "354": ("logistic area", "ft²"), "355": ("logistic area", "yd²"),
    "356": ("net weight", "oz t"), "357": ("net volume", "fl oz"), "360": ("net volume", "qt"),
    "361": ("net volume", "gal"), "362": ("logistic volume", "qt"), "363": ("logistic volume", "gal"),
    "364": ("net volume", "in³"), "365": ("net volume", "ft³"), "366": ("net volume", "yd³"),
    "367": ("logistic volume", "in³"), "368": ("logistic volume", "ft³"), "369": ("logistic volume", "yd³"),
}  # fmt: skip

# Money: (first three digits of the AI, greatest last digit, meaning, form). The last digit is the number of decimals.
_MONEY = (
    ("390", 9, "amount to pay", "N..15"),
    ("391", 9, "amount to pay, with currency", "N3 N..15"),
    ("392", 9, "price", "N..15"),
    ("393", 9, "price, with currency", "N3 N..15"),
    ("394", 3, "percentage off", "N4"),
    ("395", 5, "price for each unit of measure", "N6"),
)

_OTHERS = (
    ("00", "SSCC of a logistic unit", "N18:key"),
    ("01", "GTIN", "N14:key"),
    ("02", "GTIN of what is inside", "N14:key"),
    ("03", "GTIN of a product made to order", "N14:key"),
    ("10", "batch", "X..20"),
    ("11", "production date", "N6:day"),
    ("12", "due date", "N6:day"),
    ("13", "packaging date", "N6:day"),
    ("15", "best before", "N6:day"),
    ("16", "sell by", "N6:day"),
    ("17", "expiry date", "N6:day"),
    ("20", "variant", "N2"),
    ("21", "serial number", "X..20"),
    ("22", "consumer product variant", "X..20"),
    ("235", "serial number of a third party", "X..28"),
    ("240", "additional product number", "X..30"),
    ("241", "customer's part number", "X..30"),
    ("242", "number of a variation made to order", "N..6"),
    ("243", "number of a packaging part", "X..20"),
    ("250", "secondary serial number", "X..30"),
    ("251", "reference to the source", "X..30"),
    ("253", "document type", "N13:key [X..17]"),
    ("254", "extension of the location", "X..20"),
    ("255", "coupon", "N13:key [N..12]"),
    ("30", "count, of variable measure", "N..8"),
    ("37", "count of what is inside", "N..8"),
    ("400", "customer's order number", "X..30"),
    ("401", "consignment", "X..30"),
    ("402", "shipment", "N17:key"),
    ("403", "routing code", "X..30"),
    ("410", "ship to", "N13:key"),
    ("411", "bill to", "N13:key"),
    ("412", "purchased from", "N13:key"),
    ("413", "ship for", "N13:key"),
    ("414", "physical location", "N13:key"),
    ("415", "invoicing party", "N13:key"),
    ("416", "location of production or service", "N13:key"),
    ("417", "party", "N13:key"),
    ("420", "ship to postal code", "X..20"),
    ("421", "ship to postal code, with country", "N3 X..9"),
    ("422", "country of origin", "N3"),
    ("423", "countries of first processing", "N3 [N3] [N3] [N3] [N3]"),
    ("424", "country of processing", "N3"),
    ("425", "countries of disassembly", "N3 [N3] [N3] [N3] [N3]"),
    ("426", "country of the whole process", "N3"),
    ("427", "subdivision of the origin", "X..3"),
    ("4300", "ship to company", "X..35"),
    ("4301", "ship to contact", "X..35"),
    ("4302", "ship to address, line 1", "X..70"),
    ("4303", "ship to address, line 2", "X..70"),
    ("4304", "ship to suburb", "X..70"),
    ("4305", "ship to locality", "X..70"),
    ("4306", "ship to region", "X..70"),
    ("4307", "ship to country", "X2"),
    ("4308", "ship to telephone", "X..30"),
    ("4309", "ship to latitude and longitude", "N20"),
    ("4310", "return to company", "X..35"),
    ("4311", "return to contact", "X..35"),
    ("4312", "return to address, line 1", "X..70"),
    ("4313", "return to address, line 2", "X..70"),
    ("4314", "return to suburb", "X..70"),
    ("4315", "return to locality", "X..70"),
    ("4316", "return to region", "X..70"),
    ("4317", "return to country", "X2"),
    ("4318", "return to postal code", "X..20"),
    ("4319", "return to telephone", "X..30"),
    ("4320", "service", "X..35"),
    ("4321", "dangerous goods", "N1"),
    ("4322", "may be left without signature", "N1"),
    ("4323", "signature required", "N1"),
    ("4324", "not before", "N6:day N4"),
    ("4325", "not after", "N6:day N4"),
    ("4326", "release date", "N6:date"),
    ("4330", "greatest temperature, °F", "N6 [X1]"),
    ("4331", "greatest temperature, °C", "N6 [X1]"),
    ("4332", "least temperature, °F", "N6 [X1]"),
    ("4333", "least temperature, °C", "N6 [X1]"),
    ("7001", "NATO stock number", "N13"),
    ("7002", "meat carcasses and cuts", "X..30"),
    ("7003", "expiry date and time", "N6:date N4:time"),
    ("7004", "active potency", "N..4"),
    ("7005", "catch area", "X..12"),
    ("7006", "first freeze date", "N6:date"),
    ("7007", "harvest date", "N6:date [N6:date]"),
    ("7008", "species of fish", "X..3"),
    ("7009", "fishing gear", "X..10"),
    ("7010", "production method", "X..2"),
    ("7011", "test by date", "N6:date [N4:time]"),
    ("7020", "refurbishment lot", "X..20"),
    ("7021", "functional status", "X..20"),
    ("7022", "revision status", "X..20"),
    ("7023", "asset of an assembly", "X..30"),
    *((f"703{n}", f"processor {n}", "N3 X..27") for n in range(10)),
    ("7040", "unique identification code", "N1 X3"),
    ("7041", "freight unit type", "X..4"),
    *((f"71{n}", "national healthcare number", "X..20") for n in range(8)),
    *((f"723{n}", f"certification {n}", "X2 X..28") for n in range(10)),
    ("7240", "protocol", "X..20"),
    ("7241", "media type", "N2"),
    ("7242", "version control number", "X..25"),
    ("7250", "date of birth", "N8"),
    ("7251", "date and time of birth", "N12"),
    ("7252", "biological sex", "N1"),
    ("7253", "family name", "X..40"),
    ("7254", "given name", "X..40"),
    ("7255", "suffix of a name", "X..10"),
    ("7256", "full name", "X..90"),
    ("7257", "address of a person", "X..70"),
    ("7258", "sequence of birth", "X3"),
    ("7259", "name of a baby", "X..40"),
    ("8001", "roll dimensions", "N14"),
    ("8002", "mobile telephone", "X..20"),
    ("8003", "returnable asset", "N14:key [X..16]"),
    ("8004", "asset", "X..30"),
    ("8005", "price for each unit", "N6"),
    ("8006", "piece of a product", "N14:key N4"),
    ("8007", "IBAN", "X..34"),
    ("8008", "production time", "N8 [N..4]"),
    ("8009", "sensor", "X..50"),
    ("8010", "component or part", "Y..30"),
    ("8011", "serial number of a component", "N..12"),
    ("8012", "software version", "X..20"),
    ("8013", "global model number", "X..25"),
    ("8014", "highly individualised device", "X..25"),
    ("8017", "service relation, provider", "N18:key"),
    ("8018", "service relation, recipient", "N18:key"),
    ("8019", "service relation, instance", "N..10"),
    ("8020", "payment slip", "X..25"),
    ("8026", "piece of a product inside", "N14:key N4"),
    ("8030", "digital signature", "Z..90"),
    ("8040", "IMEI", "N15"),
    ("8041", "second IMEI", "N15"),
    ("8042", "eSIM", "N32"),
    ("8043", "SIM card", "N18 [N..2]"),
    ("8110", "coupon of North America", "X..70"),
    ("8111", "loyalty points", "N4"),
    ("8112", "positive offer file coupon of North America", "X..70"),
    ("8200", "address of a page about the product", "X..70"),
    ("90", "agreed between partners", "X..30"),
    *((str(n), "internal", "X..90") for n in range(91, 100)),
)


def _all_identifiers() -> dict[str, Identifier]:
    rows = [Identifier(ai, title, form) for ai, title, form in _OTHERS]
    for first, (title, unit) in _MEASURES.items():
        rows += [Identifier(f"{first}{n}", title, "N6", unit, n) for n in range(6)]
    for first, last, title, form in _MONEY:
        rows += [Identifier(f"{first}{n}", title, form, None, n) for n in range(last + 1)]
    return {row.ai: row for row in rows}


IDENTIFIERS = _all_identifiers()


def identifier_at(text: str, start: int = 0) -> Identifier:
    """The AI that ``text`` has at ``start``. None is the beginning of another, so there is one at most.

    Raises BarcodeError where there is none.
    """
    for length in (2, 3, 4):
        found = IDENTIFIERS.get(text[start : start + length])
        if found is not None:
            return found
    raise BarcodeError(
        f"expected an application identifier of GS1 at character {start + 1}, got {text[start : start + 4]!r}"
    )
