"""Write what is said of a picture on it, an attribute on each line."""

from __future__ import annotations

import numpy as np

from edgevision.frames import ImageArray
from edgevision.tasks.attribute_results import Attribute, Attributes
from edgevision.tasks.draw.canvas import Color, canvas_of, printable, put_text, shorten, text_height

KNOWN: Color = (255, 255, 255)
UNKNOWN: Color = (40, 160, 250)  # BGR: amber
_OPACITY = 0.7


def draw_attributes(image: ImageArray, result: Attributes) -> ImageArray:
    """A copy of ``image`` (H×W×3 uint8 BGR) with a band along its foot that has a line for each attribute, as many as fit: name, value, score.

    What is not known is amber, and marked "?". Text grows with the picture; pictures narrower than 320 pixels come back enlarged.
    """
    canvas, _ = canvas_of(image)
    height, width = canvas.shape[:2]
    text_px = text_height(canvas, 0.045)
    line, margin = 2 * text_px, text_px // 2
    rows = list(result)[: max(1, (height - margin) // line)]
    band = min(height, len(rows) * line + margin)
    canvas[height - band :] = (canvas[height - band :] * (1 - _OPACITY)).astype(np.uint8)
    for place, row in enumerate(rows):
        baseline = height - band + (place + 1) * line - margin // 2
        text = shorten(printable(_text(row)), text_px, width - 2 * margin)
        put_text(canvas, text, margin, baseline, text_px, KNOWN if row.known else UNKNOWN)
    return canvas


def _text(row: Attribute) -> str:
    return f"{row.name}: {row.value if row.known else f'? {row.value}'} {100 * row.score:.0f}%"
