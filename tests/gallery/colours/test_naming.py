"""Names of colours against other lists of them: the names that CSS has, and the best examples of each term."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.gallery.colours.basic_terms import SURVEY
from edgevision.gallery.colours.lab import lab_of
from edgevision.gallery.colours.naming import TERMS, name_colours

# Names of CSS Color Module Level 4 that end with a basic term, and hold no other.
CSS = {
    "red": "ff0000 8b0000 cd5c5c", "green": "008000 006400 556b2f 8fbc8f 228b22 7cfc00 90ee90 32cd32 3cb371 00fa9a 98fb98 2e8b57 00ff7f",
    "blue": "0000ff 5f9ea0 6495ed 00008b 483d8b 00bfff 1e90ff add8e6 87cefa b0c4de 0000cd 191970 b0e0e6 4169e1 87ceeb 6a5acd 4682b4",
    "yellow": "ffff00", "orange": "ffa500 ff8c00", "purple": "800080 9370db 663399", "pink": "ffc0cb ff1493 ff69b4 ffb6c1",
    "brown": "8b4513", "grey": "808080 a9a9a9 2f4f4f 696969 d3d3d3 778899 708090", "black": "000000",
    "white": "ffffff faebd7 fffaf0 f8f8ff f5f5f5",
}  # fmt: skip


def lab(digits: str) -> np.ndarray:
    return lab_of(np.array([tuple(bytes.fromhex(one))[::-1] for one in digits.split()], np.uint8))


@pytest.mark.parametrize("term", CSS)
def test_colours_that_css_calls_so(term):
    assert set(name_colours(lab(CSS[term]))) == {term}


def test_the_terms_are_the_eleven_of_berlin_and_kay():
    assert sorted(TERMS) == sorted(CSS)
    digits = [one for listed in SURVEY.values() for one in listed.split()]
    assert len(digits) == len(set(digits)) > 400  # no colour is of two terms


@pytest.mark.parametrize(
    "term", ["red", "green", "blue", "yellow", "orange", "purple", "brown", "grey", "black", "white"]
)
def test_the_survey_agrees_with_itself_where_chroma_is_enough(term):
    names = name_colours(lab(SURVEY[term]))
    assert names.count(term) / len(names) >= 0.85  # the rest look nearly black, grey or white


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((20.0, 0.0, 0.0), "black"),
        ((21.0, 0.0, 0.0), "grey"),
        ((15.0, 0.0, 9.0), "black"),
        ((87.0, 0.0, 0.0), "grey"),
        ((88.0, 0.0, 0.0), "white"),
        ((95.0, 1.0, 13.0), "white"),  # cream
    ],
)
def test_greys_are_named_by_their_lightness(colour, expected):
    assert name_colours([colour]) == [expected]


def test_one_colour_and_many():
    assert name_colours(np.zeros((0, 3))) == []
    assert name_colours([53.24, 80.09, 67.2]) == ["red"]
