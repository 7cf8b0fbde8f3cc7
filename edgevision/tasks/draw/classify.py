"""Write a classifier's answer on its picture."""

from __future__ import annotations

import numpy as np

from edgevision.frames import ImageArray
from edgevision.tasks.draw.canvas import canvas_of, printable, put_text, shorten, text_height, text_width
from edgevision.tasks.results import Classification

_INK = (255, 255, 255)
_KNOWN = (96, 200, 64)  # BGR: green
_UNKNOWN = (40, 160, 250)  # amber
_TRACK = (90, 90, 90)
_BAND_OPACITY = 0.7


def draw_classification(image: ImageArray, result: Classification) -> ImageArray:
    """A copy of ``image`` (H×W×3 uint8 BGR) with a band along its foot: best name, score, and the score as a bar.

    The band is green-barred for a known product, amber for one that is not recognised, whose name is then a guess and
    marked "?". Text grows with the picture; pictures narrower than 320 pixels come back enlarged.
    """
    import cv2

    canvas, _ = canvas_of(image)
    height, width = canvas.shape[:2]

    text_px = text_height(canvas, 0.05)
    margin = text_px // 2
    bar_px = max(3, text_px // 4)
    band = min(height, text_px + bar_px + 3 * margin)
    canvas[height - band :] = (canvas[height - band :] * (1 - _BAND_OPACITY)).astype(np.uint8)

    name, number = _said(result)
    score = "" if number is None else f"{100 * number:.0f}%"
    score_width = text_width(score, text_px)
    baseline = height - 2 * margin - bar_px
    room = width - score_width - 3 * margin
    put_text(canvas, shorten(printable(name), text_px, room), margin, baseline, text_px, _INK)
    put_text(canvas, score, width - margin - score_width, baseline, text_px, _INK)

    top, bottom = height - margin - bar_px, height - margin - 1
    right = width - margin - 1
    cv2.rectangle(canvas, (margin, top), (right, bottom), _TRACK, cv2.FILLED)
    filled = round((right - margin) * min(max(number or 0.0, 0.0), 1.0))
    cv2.rectangle(canvas, (margin, top), (margin + filled, bottom), _KNOWN if result.known else _UNKNOWN, cv2.FILLED)
    return canvas


def _said(result: Classification) -> tuple[str, float | None]:
    """Name and score; of a model that knows no class, no score."""
    if not result.top:
        return "? unknown", None
    best = result.best
    return best.name if result.known else f"? {best.name}", best.score
