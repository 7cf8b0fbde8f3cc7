"""What people call a colour, in one of 11 basic terms: see ``basic_terms`` for why these, and where their borders come from."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edgevision.gallery.colours.basic_terms import SURVEY
from edgevision.gallery.colours.difference import ciede2000
from edgevision.gallery.colours.lab import chroma, lab_of

TERMS: tuple[str, ...] = tuple(SURVEY)

# People name greys by lightness alone, and the survey has few of them. Limits in CIELAB.
NEUTRAL_CHROMA = 7.0  # less looks grey, white or black
BLACK_LIGHTNESS = 20.0  # black up to here
DARK_CHROMA = 10.0  # of what is that dark, less looks black
WHITE_LIGHTNESS = 88.0  # white from here on
LIGHT_CHROMA, LIGHTEST = 14.0, 93.0  # of what is that light, less looks white: cream, ivory; in between, in proportion


def name_colours(lab: npt.ArrayLike) -> list[str]:
    """The basic term of each colour of CIELAB [n, 3]: black, grey or white for what has hardly any chroma, else the term of the
    nearest colour of the survey by CIEDE2000.

    >>> name_colours(lab_of(np.array([[40, 30, 200], [250, 250, 250], [20, 60, 90]], np.uint8)))  # BGR
    ['red', 'white', 'brown']
    """
    colours = np.asarray(lab, np.float64).reshape(-1, 3)
    prototypes, terms = _survey()
    nearest = ciede2000(colours[:, None], prototypes[None]).argmin(axis=1)
    return [
        _neutral(float(colour[0]), spread) or terms[place]
        for colour, spread, place in zip(colours, chroma(colours).tolist(), nearest.tolist(), strict=True)
    ]


def _neutral(lightness: float, spread: float) -> str | None:
    if lightness <= BLACK_LIGHTNESS:
        return "black" if spread < DARK_CHROMA else None
    if spread < np.interp(lightness, (WHITE_LIGHTNESS, LIGHTEST), (NEUTRAL_CHROMA, LIGHT_CHROMA)):
        return "white" if lightness >= WHITE_LIGHTNESS else "grey"
    return None


@lru_cache(maxsize=1)
def _survey() -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """CIELAB [n, 3] of every colour of the survey, and its term."""
    terms = [(term, digits) for term, listed in SURVEY.items() for digits in listed.split()]
    bgr = np.array([tuple(bytes.fromhex(digits))[::-1] for _, digits in terms], np.uint8)
    return lab_of(bgr), tuple(term for term, _ in terms)
