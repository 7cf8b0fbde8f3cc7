"""What every drawing needs: a copy that is large enough to read, and text that fits."""

from __future__ import annotations

import unicodedata

import numpy as np

from edgevision.errors import InputError
from edgevision.frames import ImageArray

MIN_WIDTH_PX = 320  # narrower pictures are enlarged: no text could be read on them
MIN_TEXT_PX = 14

Color = tuple[int, int, int]  # BGR


def canvas_of(image: ImageArray) -> tuple[ImageArray, int]:
    """A copy of ``image`` (H×W×3 uint8 BGR) to draw on, and how many times as large it is: pictures narrower than 320 pixels
    are enlarged by a whole number. Raises InputError for another array."""
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
    return canvas, factor


def text_height(canvas: ImageArray, share: float) -> int:
    """Pixels of a line of text: ``share`` of the canvas' shorter side, and never too small to read."""
    return max(MIN_TEXT_PX, round(min(len(canvas), len(canvas[0])) * share))


def put_text(canvas: ImageArray, text: str, x: int, y: int, text_px: int, color: Color) -> None:
    """Write ``text``; (``x``, ``y``) is the left end of its baseline."""
    import cv2

    scale, thickness = _scale(text_px)
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA)


def text_width(text: str, text_px: int) -> int:
    """Pixels that ``text`` takes."""
    import cv2

    scale, thickness = _scale(text_px)
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    return int(width)


def shorten(text: str, text_px: int, room: int) -> str:
    """The text, cut at the end with "..." where it is wider than ``room`` pixels."""
    if text_width(text, text_px) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        cut = text[:kept].rstrip() + "..."
        if text_width(cut, text_px) <= room:
            return cut
    return ""


def printable(text: str) -> str:
    """OpenCV 4 draws ASCII only: accents are dropped there. OpenCV 5 draws any script."""
    import cv2

    if int(cv2.__version__.split(".")[0]) >= 5:
        return text
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _scale(text_px: int) -> tuple[float, int]:
    return text_px / 22, max(1, round(text_px / 14))  # capitals of OpenCV's font are 22 pixels high at scale 1
