"""A photo with boxes drawn on it, as one ``<svg>`` element for a page: the photo is inside it, as JPEG."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple

from edgevision.decode import resize_to_fit
from edgevision.errors import ImageError
from edgevision.evaluate.page.drawing import shorten
from edgevision.frames import ImageArray

LONGER_SIDE = 420  # pixels of the photo in the page
_QUALITY = 80  # of its JPEG
# kind → (CSS variable, fallback, dashes): told apart by dashes, too.
_LOOKS = {
    "right": ("--series-3", "#009e73", "none"),
    "wrong": ("--series-2", "#d55e00", "none"),
    "missed": ("--series-1", "#0072b2", "6 4"),
}


class DrawnBox(NamedTuple):
    """A box: its ``corners`` x1 y1 x2 y2 in the photo's pixels, what to write at it, and what it is: found and right, found and
    wrong, or missed."""

    corners: tuple[float, float, float, float]
    text: str
    kind: Literal["right", "wrong", "missed"]


def photo_with_boxes(image: ImageArray, boxes: Sequence[DrawnBox]) -> str:
    """``image``: H×W×3 uint8 BGR. The same input gives the same text. Raises ImageError where it cannot be stored."""
    import cv2

    small = resize_to_fit(image, LONGER_SIDE)
    scale = small.shape[1] / image.shape[1]
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ImageError(f"OpenCV could not encode a picture of shape {small.shape} as JPEG")
    text = base64.b64encode(data.tobytes()).decode()
    drawn = "".join(_box(box, scale) for box in boxes)
    return (
        f'<svg role="img" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {small.shape[1]} {small.shape[0]}">'
        f'<image width="{small.shape[1]}" height="{small.shape[0]}" href="data:image/jpeg;base64,{text}"/>{drawn}</svg>'
    )


def _box(box: DrawnBox, scale: float) -> str:
    variable, fallback, dashes = _LOOKS[box.kind]
    colour = f"var({variable}, {fallback})"
    x1, y1, x2, y2 = box.corners
    x, y, w, h = (round(scale * value, 1) for value in (x1, y1, x2 - x1, y2 - y1))
    label = escape(shorten(box.text, 24))
    return (
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" style="fill: none; stroke: {colour}; stroke-width: 2; '
        f'stroke-dasharray: {dashes}"><title>{escape(box.kind)}: {escape(box.text)}</title></rect>'
        f'<text x="{x + 2}" y="{max(10.0, round(y - 3, 1))}" style="font: 11px var(--sans, sans-serif); fill: {colour}; '
        f'stroke: #fff; stroke-width: 3; paint-order: stroke">{label}</text>'
    )
