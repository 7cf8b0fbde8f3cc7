from __future__ import annotations

import unicodedata

import pytest

from edgevision.evaluate.data.names import alike, case_notes, composed, differs_in_case, spellings

COMPOSED, DECOMPOSED = "Gruy\u00e8re", "Gruye\u0300re"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (COMPOSED, DECOMPOSED, True),
        ("\uac00", "\u1100\u1161", True),  # Hangul: a syllable, and its letters
        ("Gruyere", COMPOSED, False),
        ("tea", "Tea", False),
        ("\ufb01g", "fig", False),  # a ligature is another text: NFKC would hide that
    ],
)
def test_names_are_compared_in_nfc(one, other, same):
    assert (composed(one) == composed(other)) is same
    assert composed(composed(one)) == composed(one)


def test_a_name_has_the_spellings_of_each_system():
    assert spellings("tea") == ("tea",)
    assert spellings(DECOMPOSED) == (DECOMPOSED, COMPOSED)
    assert spellings(COMPOSED) == (COMPOSED, DECOMPOSED)
    mixed = "e\u0300\u00e8"
    assert set(spellings(mixed)) == {mixed, *(unicodedata.normalize(form, mixed) for form in ("NFC", "NFD"))}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["tea", "Tea", "salt"], []),
        ([COMPOSED, COMPOSED], []),
        ([COMPOSED, "tea", DECOMPOSED], [r"'Gruye\u0300re' and 'Gruy\xe8re'"]),
    ],
)
def test_names_that_are_alike_are_told_apart_in_the_message(names, expected):
    assert alike(names) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["tea", "salt"], None),
        ([COMPOSED, DECOMPOSED], None),
        (["tea", "salt", "TEA"], "'TEA' and 'tea'; rename"),
        (["a", "A", "b", "B", "c", "C", "d", "D"], "'A' and 'a', 'B' and 'b', 'C' and 'c' and 1 more"),
        (["GRUY\u00c8RE", DECOMPOSED], "'GRUY\u00c8RE' and 'Gruy\u00e8re'"),
        (["Stra\u00dfe", "STRASSE"], "'STRASSE' and 'Stra\u00dfe'"),
    ],
)
def test_names_that_differ_in_case_are_noted(names, expected):
    notes = case_notes(names)
    assert len(notes) == (expected is not None)
    assert expected is None or expected in notes[0]


@pytest.mark.parametrize(
    ("name", "found"), [("TEA", "tea"), ("tea", "tea"), ("salt", None), ("GRUY\u00c8RE", DECOMPOSED)]
)
def test_the_name_that_was_meant(name, found):
    assert differs_in_case(name, ["rice", "tea", DECOMPOSED]) == found
