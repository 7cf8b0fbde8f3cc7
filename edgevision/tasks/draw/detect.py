"""Draw a detector's boxes on their picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from edgevision.frames import ImageArray
from edgevision.tasks.detections import Detections
from edgevision.tasks.draw.canvas import Color, canvas_of, printable, put_text, shorten, text_height, text_width

_GOLDEN = 0.618034  # this share of the colour circle from class to class: no two near ones are alike
_BRIGHT = 140  # grey levels from which on black text is easier to read than white


def draw_detections(image: ImageArray, result: Detections) -> ImageArray:
    """A copy of ``image`` (H×W×3 uint8 BGR) with a box around each product, and its name and score at the box's head.

    Each class has its own colour. Lines and text grow with the picture; pictures narrower than 320 pixels come back enlarged.
    Better boxes are drawn over others.
    """
    canvas, factor = canvas_of(image)
    for place, row in reversed(list(zip(result.classes.tolist(), result, strict=True))):
        draw_box(canvas, row.box, f"{row.name} {100 * row.score:.0f}%", factor, color_of(place))
    return canvas


def color_of(place: int) -> Color:
    """The colour of a class, by its place in the labels, as BGR: strong, and far from those of the classes around it."""
    lightness = 1.0 - 0.3 * (place % 2)
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN % 1.0, 0.9, lightness)
    return round(255 * blue), round(255 * green), round(255 * red)


def draw_box(canvas: ImageArray, box: Sequence[float], text: str, factor: int, color: Color) -> None:
    """Draw ``box`` (x1 y1 x2 y2 in pixels of the picture, which ``factor`` enlarged) with ``text`` at its head."""
    import cv2

    height, width = canvas.shape[:2]
    text_px = text_height(canvas, 0.025)
    line = max(2, text_px // 6)
    x1, y1, x2, y2 = (round(side * factor) for side in box)
    cv2.rectangle(canvas, (x1, y1), (max(x2 - 1, x1), max(y2 - 1, y1)), color, line)

    pad = text_px // 4
    text = shorten(printable(text), text_px, width - 2 * pad)
    label_width, label_height = text_width(text, text_px) + 2 * pad, text_px + 2 * pad
    left = min(max(x1, 0), max(width - label_width, 0))
    top = (
        y1 - label_height if y1 >= label_height else max(min(y1, height - label_height), 0)
    )  # above, where there is room
    cv2.rectangle(canvas, (left, top), (left + label_width - 1, top + label_height - 1), color, cv2.FILLED)
    put_text(canvas, text, left + pad, top + pad + text_px, text_px, _ink_on(color))


def _ink_on(color: Color) -> Color:
    """Black or white, whichever is easier to read on ``color``: by its luma (BT.601)."""
    blue, green, red = color
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    return (0, 0, 0) if luma >= _BRIGHT else (255, 255, 255)
