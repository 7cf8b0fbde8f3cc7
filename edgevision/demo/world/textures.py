"""Materials of a shop's furniture, drawn once: stone, painted steel, brushed metal, wood."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.lettering import Color
from edgevision.frames import ImageArray

PX_PER_CM = 8
_KEPT = 16  # pictures of each kind: some have megabytes, and of some there are hundreds


def size_px(width_cm: float, height_cm: float) -> tuple[int, int]:
    """Width and height of a picture of that size, at ``PX_PER_CM``."""
    return max(2, round(width_cm * PX_PER_CM)), max(2, round(height_cm * PX_PER_CM))


def _noise(seed: int, width: int, height: int, blur_x: float, blur_y: float) -> npt.NDArray[np.float32]:
    """Smooth noise with unit spread, H×W, whose right edge fits its left one; blurs in pixels."""
    # What is blurred widely is drawn small and made larger: as smooth, and far quicker.
    step_x, step_y = max(1, int(blur_x / 4)), max(1, int(blur_y / 4))
    columns, rows = max(2, width // step_x), max(2, height // step_y)
    field = np.random.default_rng((0x7E07, seed)).standard_normal((rows, columns), np.float32)
    margin = min(columns, int(4 * blur_x / step_x) + 1)
    field = np.pad(field, ((0, 0), (margin, margin)), mode="wrap")
    field = cv2.GaussianBlur(field, (0, 0), blur_x / step_x, sigmaY=blur_y / step_y)
    scale = width / columns
    large = cv2.resize(field, (round(scale * field.shape[1]), height), interpolation=cv2.INTER_LINEAR)
    left = round(scale * margin)
    large = large[:, left : left + width]
    return np.asarray(large / large.std(), np.float32)


def _tinted(color: Color, field: npt.NDArray[np.float32]) -> ImageArray:
    return np.asarray(np.clip(np.array(color, np.float32) + field[..., None], 0, 255), np.uint8)


@lru_cache(maxsize=_KEPT)
def speckled(color: Color, width_cm: float, height_cm: float, seed: int, along: float = 1.0) -> ImageArray:
    """Concrete, stone, rubber: fine and coarse grain; ``along``: how much longer the coarse grain is to the right."""
    width, height = size_px(width_cm, height_cm)
    fine = 3 * _noise(seed, width, height, 0.8, 0.8)
    coarse = 2.5 * _noise(seed + 100, width, height, 12 * along, 12)
    return _tinted(color, fine + coarse)


@lru_cache(maxsize=_KEPT)
def brushed(color: Color, width_cm: float, height_cm: float) -> ImageArray:
    """Metal, brushed to the right, with dark edges."""
    width, height = size_px(width_cm, height_cm)
    metal = _tinted(color, 6 * _noise(7, width, height, 60, 0.7))
    dark = max(1, height // 12)
    metal[:dark] = metal[-dark:] = tuple(int(0.55 * c) for c in color)
    return metal


@lru_cache(maxsize=_KEPT)
def wooden(color: Color, width_cm: float, height_cm: float, seed: int) -> ImageArray:
    """Wood, its grain to the right."""
    width, height = size_px(width_cm, height_cm)
    grain = 6 * _noise(seed, width, height, 70, 1.4) + 4 * _noise(seed + 50, width, height, 30, 0.7)
    return _tinted(color, grain + 4 * _noise(seed + 90, width, height, 90, 10))
