from __future__ import annotations

import re
from datetime import date

import pytest

from edgevision.errors import BarcodeError
from edgevision.tracking.gs1_identifiers import IDENTIFIERS, identifier_at

TODAY = date(2026, 11, 27)
SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


def accepts(ai: str, value: str) -> bool:
    try:
        IDENTIFIERS[ai].check(value, TODAY)
    except BarcodeError:
        return False
    return True


def test_no_identifier_begins_another():
    """So that a string can be read in one way only."""
    assert not [(a, b) for a in IDENTIFIERS for b in IDENTIFIERS if a != b and b.startswith(a)]


def test_the_identifiers_that_retail_uses_are_there():
    measures = [
        f"{n}{d}" for n in (*range(310, 317), *range(320, 338), *range(340, 358), *range(360, 370)) for d in range(6)
    ]
    money = [f"{n}{d}" for n in (390, 391, 392, 393) for d in range(10)]
    numbers_and_dates = [f"{n:02}" for n in (0, 1, 2, 10, 11, 12, 13, 15, 16, 17, 20, 21, 22, 30, 37, 90, 91, 99)]
    orders = [str(n) for n in (400, 401, 402, 403, 410, 414, 420, 421, 422)]
    assert {*measures, *money, *numbers_and_dates, *orders, "8005", "8200"} <= set(IDENTIFIERS)


@pytest.mark.parametrize("character", [chr(code) for code in range(32, 127)])
def test_set_82_is_what_texts_are_made_of(character):
    assert len(SET_82) == 82
    assert accepts("10", f"A{character}") is (character in SET_82)


# (AI, values that are right, values that are wrong)
CASES = [
    ("01", ["09521234543213"], ["09521234543214", "9521234543213", "0952123454321A", ""]),
    ("00", ["106141411234567897"], ["106141411234567898", "1061414112345678971"]),
    ("10", ["A", "x" * 20], ["", "x" * 21, "A B", "Ä", "A\x1d"]),
    ("17", ["261231", "261200"], ["261301", "260230", "26123", "2612311"]),
    ("7003", ["2612312359", "2612310000"], ["2612312400", "2612310060", "2612000000", "261231"]),
    ("7006", ["261231"], ["261200"]),
    ("7007", ["261231", "261201261231"], ["261201261232", "2612012612"]),
    ("20", ["01"], ["1", "001", "A1"]),
    ("21", ["1" * 20], ["1" * 21]),
    ("30", ["1", "12345678"], ["", "123456789", "1.5"]),
    ("3103", ["001250"], ["1250", "00125A"]),
    ("3922", ["199", "1" * 15], ["", "1" * 16, "1,99"]),
    ("3932", ["978199"], ["978", "97", "978" + "1" * 16]),
    ("410", ["9524000000002"], ["9524000000005"]),
    ("402", ["06141411234567890"], ["06141411234567891", "0614141123456789"]),
    ("253", ["9524000000002", "9524000000002" + "x" * 17], ["9524000000002" + "x" * 18, "9524000000005"]),
    ("421", ["84010115"], ["840", "840" + "1" * 10]),
    ("4307", ["DE"], ["DEU"]),
    ("8005", ["000199"], ["199"]),
    ("8010", ["0614141ABC#-/12"], ["0614141abc", "A_B"]),
    ("8200", ["http://example.com"], ["http://example.com/" + "x" * 70]),
]


@pytest.mark.parametrize(("ai", "right", "wrong"), CASES, ids=[ai for ai, _, _ in CASES])
def test_values(ai, right, wrong):
    assert [value for value in right if not accepts(ai, value)] == []
    assert [value for value in wrong if accepts(ai, value)] == []


def test_errors_say_what_was_expected_and_what_came():
    with pytest.raises(BarcodeError, match=re.escape("(10) batch is 1 to 20 characters of set 82; got 'A B'")):
        IDENTIFIERS["10"].check("A B", TODAY)
    with pytest.raises(BarcodeError, match=re.escape("(01) GTIN 09521234543214 ends in 4, its check digit is 3")):
        IDENTIFIERS["01"].check("09521234543214", TODAY)
    with pytest.raises(BarcodeError, match=re.escape("(17) expiry date: 261301 is no date")):
        IDENTIFIERS["17"].check("261301", TODAY)
    with pytest.raises(
        BarcodeError, match=re.escape("(253) document type is 13 digits, then perhaps 1 to 17 characters")
    ):
        IDENTIFIERS["253"].check("1", TODAY)


@pytest.mark.parametrize("text", ["", "0", "05123", "9", "3106", "318000", "AB"])
def test_unknown_identifiers_are_refused(text):
    with pytest.raises(BarcodeError, match="application identifier"):
        identifier_at(text)


# ---- against another's table ----


@pytest.mark.requires("biip")
class TestAgainstBiip:
    """biip holds GS1's table as its own regular expressions."""

    def theirs(self):
        from biip import gs1_application_identifiers

        return gs1_application_identifiers._GS1_APPLICATION_IDENTIFIERS

    def test_the_same_identifiers_are_known(self):
        assert set(self.theirs()) == set(IDENTIFIERS)

    def test_the_same_values_need_a_separator(self):
        theirs = {ai: one.separator_required for ai, one in self.theirs().items()}
        assert {ai: not one.is_predefined for ai, one in IDENTIFIERS.items()} == theirs

    @pytest.mark.parametrize("filling", ["1", "A", "a", "0", "=", "#"])
    def test_the_same_lengths_and_characters_are_taken(self, filling):
        different = []
        for ai in set(IDENTIFIERS) - set(OTHERWISE):
            form = "".join(
                part.pattern for part in IDENTIFIERS[ai]._parts
            )  # without check digits, which biip leaves out
            for length in range(95):
                theirs = re.fullmatch(self.theirs()[ai].pattern, ai + filling * length)
                if (theirs is None) != (re.fullmatch(form, filling * length) is None) and "1[0-2]" not in self.theirs()[
                    ai
                ].pattern:
                    different.append((ai, filling * length))
        assert different == []


# Where the two differ, and why.
OTHERWISE = {
    **dict.fromkeys(["30", "7004"], "biip takes a value without a character"),
    **dict.fromkeys(["4307", "4317"], "the two letters of a country: biip has them large"),
    **dict.fromkeys(["4330", "4331", "4332", "4333"], "the sign behind a temperature: biip has minus alone"),
    "7258": "biip wants a stroke between the digits",
    "8003": "biip wants the first digit to be 0",
    "8010": "biip wants five characters",
    "8030": "biip has no = at the end of base 64",
}
