"""Samples as a decoder gives them → upright H×W×3 uint8 BGR, strip by strip, so that no second full copy is made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from edgevision.errors import ImageError
from edgevision.frames import ImageArray

BACKGROUND = 114  # grey level behind transparent pixels; also the usual letterbox pad

_STRIP_PIXELS = 1 << 16  # what a strip needs stays in the cache of a core

# EXIF orientation → transpose first?, then cv2.flip code or None. EXIF 2.32, tag 0x0112.
_UPRIGHT: dict[int, tuple[bool, int | None]] = {
    1: (False, None), 2: (False, 1), 3: (False, -1), 4: (False, 0),
    5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0),
}  # fmt: skip


def to_bgr(
    image: npt.NDArray[np.generic],
    *,
    premultiplied: bool = False,
    transparent_grey: int | None = None,
    white: int = 65535,
) -> ImageArray:
    """H×W, H×W×1, H×W×3 (BGR) or H×W×4 (BGRA) of uint8 or uint16 → H×W×3 uint8 BGR, transparency over grey 114.

    ``white``: the greatest 16-bit sample; samples become ``v · 255 / white``, rounded. ``premultiplied``: colours are
    multiplied by alpha already. ``transparent_grey``: the sample of an H×W picture that means "transparent".
    Raises ImageError for other types and shapes. Eight-bit H×W×3 comes back as it is.
    """
    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"expected 8 or 16 bits a sample, got {image.dtype}; convert it to PNG or JPEG")
    if channels not in (1, 3, 4):
        raise ImageError(f"expected 1, 3 or 4 channels, got {channels}; convert it to PNG or JPEG")
    if channels == 3 and image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    result = np.empty((*image.shape[:2], 3), np.uint8)
    for rows in _strips(image.shape[0], image.shape[1]):
        result[rows] = _strip_to_bgr(image[rows], channels, premultiplied, transparent_grey, white)
    return result


def upright(image: ImageArray, orientation: int) -> ImageArray:
    """Turn ``image`` (H×W×3, its own memory, overwritten) by its EXIF ``orientation``, 1…8. Contiguous."""
    import cv2

    transpose, flip = _UPRIGHT[orientation]
    if transpose:
        image = np.asarray(cv2.transpose(image), np.uint8)
    if flip is not None:
        cv2.flip(image, flip, image)
    return np.ascontiguousarray(image)


def _strips(height: int, width: int) -> Iterator[slice]:
    rows = max(1, _STRIP_PIXELS // max(1, width))
    for first in range(0, height, rows):
        yield slice(first, first + rows)


def _strip_to_bgr(
    strip: npt.NDArray[np.generic], channels: int, premultiplied: bool, transparent_grey: int | None, white: int
) -> ImageArray:
    import cv2

    hidden = (
        strip.reshape(strip.shape[:2]) == transparent_grey if transparent_grey is not None and channels == 1 else None
    )
    if strip.dtype == np.uint16:
        # In float32 and to the nearest: no 16-bit sample lies as close to a half as float32 errs.
        strip = np.asarray(cv2.convertScaleAbs(strip, alpha=255 / white)).reshape(strip.shape)
    if channels == 1:
        bgr = np.asarray(cv2.cvtColor(strip, cv2.COLOR_GRAY2BGR), np.uint8)
        if hidden is not None:
            bgr[hidden] = BACKGROUND
        return bgr
    if channels == 4:
        return _over_background(np.asarray(strip, np.uint8), premultiplied)
    return np.asarray(strip, np.uint8)


def _over_background(strip: ImageArray, premultiplied: bool) -> ImageArray:
    """H×W×4 with alpha → H×W×3 over grey: ``(c·a + 114·(255 - a)) / 255``, rounded."""
    alpha = strip[..., 3:].astype(np.uint16)
    color = strip[..., :3] * (np.uint16(255) if premultiplied else alpha)
    mixed = np.minimum(color, 255 * alpha) + (BACKGROUND * (255 - alpha) + 127)  # at most 255·255 + 127: fits
    return np.asarray(mixed // 255, np.uint8)
