"""A small stroke font, so that printed text looks the same whatever OpenCV's version (its own font changed in 5.0).

Capitals, digits and a few signs, drawn as round-ended pen strokes: weight, width and slant are free, which gives each
brand a typeface of its own.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.frames import ImageArray

Color = tuple[int, int, int]  # BGR, 0…255


class Typeface(NamedTuple):
    """``weight``: pen width, ``width``: of a glyph, ``spacing``: clear between glyphs; all for cap height 1. ``slant``: tan."""

    weight: float = 0.13
    width: float = 0.62
    slant: float = 0.0
    spacing: float = 0.13


PLAIN = Typeface()


# Each glyph: its width, then strokes as points "xy" on a grid of 6×8 (y down). A stroke that starts with "~" is the
# control polygon of a smooth open curve, with "o" of a smooth closed one.
_GLYPHS = {
    "A": "6|08 30 68|15 55",
    "B": "6|08 00|~00 30 50 54 34 04|~04 34 64 68 38 08",
    "C": "6|~62 60 30 00 04 08 38 68 66",
    "D": "6|08 00|~00 30 60 64 68 38 08",
    "E": "5|50 00 08 58|04 44",
    "F": "5|50 00 08|04 44",
    "G": "6|~62 60 30 00 04 08 38 68 66|66 64 34",
    "H": "6|00 08|60 68|04 64",
    "I": "0|00 08",
    "J": "4|~40 45 48 28 08 06",
    "K": "6|00 08|60 05|23 68",
    "L": "5|00 08 58",
    "M": "7|08 00 35 70 78",
    "N": "6|08 00 68 60",
    "O": "6|o00 30 60 64 68 38 08 04",
    "P": "6|08 00|~00 30 60 64 34 04",
    "Q": "6|o00 30 60 64 68 38 08 04|45 68",
    "R": "6|08 00|~00 30 60 64 34 04|34 68",
    "S": "6|~62 60 30 00 04 34 64 68 38 08 06",
    "T": "6|00 60|30 38",
    "U": "6|~00 04 08 38 68 64 60",
    "V": "6|00 38 60",
    "W": "8|00 28 42 68 80",
    "X": "6|00 68|60 08",
    "Y": "6|00 34 60|34 38",
    "Z": "6|00 60 08 68",
    "0": "5|o00 30 50 54 58 28 08 04",
    "1": "2|02 20 28",
    "2": "6|~02 00 30 60 63 08|08 68",
    "3": "6|~01 00 30 60 64 34|~34 64 68 38 08 07",
    "4": "6|48 40 06 66",
    "5": "6|60 10 04|~04 03 63 68 38 08 07",
    "6": "6|o04 34 64 66 68 38 08 06|~50 20 00 04 06",
    "7": "6|00 60 28",
    "8": "6|o10 30 50 52 54 34 14 12|o04 34 64 66 68 38 08 06",
    "9": "6|o00 30 60 62 64 34 04 02|~62 64 68 48 18",
    " ": "3",
    ".": "0|08 07",
    ",": "1|17 09",
    ":": "0|02 03|07 08",
    "-": "4|04 44",
    "+": "4|04 44|22 26",
    "/": "5|50 08",
    "'": "0|00 02",
    "%": "7|60 18|o00 20 22 02|o56 76 78 58",
    "&": "7|~77 34 10 30 40 42 05 08 38 68 75",
}


@cache
def _glyph(character: str) -> tuple[float, tuple[npt.NDArray[np.float64], ...]]:
    """Width and strokes (n×2 points) on the 6×8 grid."""
    width, *strokes = _GLYPHS[character].split("|")
    curves = []
    for stroke in strokes:
        closed, smooth = stroke.startswith("o"), stroke[0] in "~o"
        points = np.array([(int(p[0]), int(p[1])) for p in stroke.lstrip("~o").split()], np.float64)
        curves.append(_smoothed(points, closed) if smooth else points)
    return float(width), tuple(curves)


def _smoothed(points: npt.NDArray[np.float64], closed: bool) -> npt.NDArray[np.float64]:
    """Chaikin's corner cutting, three rounds: it tends to the quadratic B-spline of the polygon."""
    for _ in range(3):
        after = np.roll(points, -1, axis=0) if closed else points[1:]
        before = points if closed else points[:-1]
        cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
        points = cut if closed else np.concatenate([points[:1], cut, points[-1:]])
    return np.concatenate([points, points[:1]]) if closed else points


def text_width(text: str, height: float, face: Typeface = PLAIN) -> float:
    """Width in pixels of ``text`` at cap height ``height``. Lower case counts as capitals."""
    if not text:
        return 0.0
    glyphs = sum(_glyph(c)[0] * face.width / 6 for c in text.upper())
    return height * (glyphs + (face.spacing + face.weight) * (len(text) - 1) + face.weight)


def draw_text(
    image: ImageArray,
    text: str,
    at: tuple[float, float],
    height: float,
    color: Color,
    face: Typeface = PLAIN,
    *,
    align: str = "center",
    fit: float | None = None,
) -> None:
    """Write ``text`` in place on an H×W×3 image.

    ``at``: (x, y) of the middle of the line, or of its left end with ``align="left"``; ``height``: of capitals, in
    pixels; ``fit``: shrink the text to this width in pixels where it would be wider.
    """
    width = text_width(text, height, face)
    if fit is not None and width > fit:
        height, width = height * fit / width, fit
    x = at[0] - (width / 2 if align == "center" else 0) + face.weight * height / 2
    top = at[1] - height / 2
    thickness = max(1, round(face.weight * height))
    for character in text.upper():
        advance, strokes = _glyph(character)
        for stroke in strokes:
            xs = x + height * (stroke[:, 0] * face.width / 6 + (4 - stroke[:, 1]) / 8 * face.slant)
            ys = top + stroke[:, 1] * height / 8
            points = np.round(np.stack([xs, ys], axis=1) * 16).astype(np.int32)
            cv2.polylines(image, [points], False, color, thickness, cv2.LINE_AA, shift=4)
        x += height * (advance * face.width / 6 + face.spacing + face.weight)
