"""Write an answer on its picture."""

from __future__ import annotations

import unicodedata

import numpy as np

from edgevision.errors import InputError
from edgevision.frames import ImageArray
from edgevision.tasks.results import Classification

MIN_WIDTH_PX = 320  # narrower pictures are enlarged: no text could be read on them
MIN_TEXT_PX = 14

_INK = (255, 255, 255)
_KNOWN = (96, 200, 64)  # BGR: green
_UNKNOWN = (40, 160, 250)  # amber
_TRACK = (90, 90, 90)
_BAND_OPACITY = 0.7


def draw(image: ImageArray, result: Classification) -> ImageArray:
    """A copy of ``image`` (H×W×3 uint8 BGR) with a band along its foot: best name, score, and the score as a bar.

    The band is green-barred for a known product, amber for one that is not recognised, whose name is then a guess and
    marked "?". Text grows with the picture; pictures narrower than 320 pixels come back enlarged.
    """
    import cv2

    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError("draw expects an H×W×3 uint8 BGR array, as read_image gives it")
    height, width = image.shape[:2]
    factor = max(1, -(-MIN_WIDTH_PX // width))
    canvas: ImageArray
    if factor > 1:
        canvas = cv2.resize(image, (width * factor, height * factor), interpolation=cv2.INTER_NEAREST)
    else:
        canvas = image.copy()
    height, width = canvas.shape[:2]

    text_px = max(MIN_TEXT_PX, round(min(height, width) * 0.05))
    margin = text_px // 2
    bar_px = max(3, text_px // 4)
    band = min(height, text_px + bar_px + 3 * margin)
    canvas[height - band :] = (canvas[height - band :] * (1 - _BAND_OPACITY)).astype(np.uint8)

    best = result.best
    score = f"{100 * best.score:.0f}%"
    score_width = _text_width(score, text_px)
    baseline = height - 2 * margin - bar_px
    room = width - score_width - 3 * margin
    name = _printable(best.name if result.known else f"? {best.name}")
    _put(canvas, _shorten(name, text_px, room), margin, baseline, text_px)
    _put(canvas, score, width - margin - score_width, baseline, text_px)

    top, bottom = height - margin - bar_px, height - margin - 1
    right = width - margin - 1
    cv2.rectangle(canvas, (margin, top), (right, bottom), _TRACK, cv2.FILLED)
    filled = round((right - margin) * min(max(best.score, 0.0), 1.0))
    cv2.rectangle(canvas, (margin, top), (margin + filled, bottom), _KNOWN if result.known else _UNKNOWN, cv2.FILLED)
    return canvas


def _put(canvas: ImageArray, text: str, x: int, y: int, text_px: int) -> None:
    import cv2

    scale, thickness = _scale(text_px)
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, thickness, cv2.LINE_AA)


def _text_width(text: str, text_px: int) -> int:
    import cv2

    scale, thickness = _scale(text_px)
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    return int(width)


def _scale(text_px: int) -> tuple[float, int]:
    return text_px / 22, max(1, round(text_px / 14))  # capitals of OpenCV's font are 22 pixels high at scale 1


def _shorten(text: str, text_px: int, room: int) -> str:
    """The text, cut at the end with "..." where it is wider than ``room`` pixels."""
    if _text_width(text, text_px) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        cut = text[:kept].rstrip() + "..."
        if _text_width(cut, text_px) <= room:
            return cut
    return ""


def _printable(text: str) -> str:
    """OpenCV 4 draws ASCII only: accents are dropped there. OpenCV 5 draws any script."""
    import cv2

    if int(cv2.__version__.split(".")[0]) >= 5:
        return text
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
