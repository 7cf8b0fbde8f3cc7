"""How blurred a picture is, whatever it shows and however large it is."""

from __future__ import annotations

import numpy as np

from edgevision.frames import ImageArray
from edgevision.tracking.sharpest import sharpness

LONG_SIDE = 320  # pixels: about what an embedder sees of it; blur that is finer is lost there anyway

# Short smears, across, down and along both diagonals.
_SMEARS = tuple(
    kernel / np.float32(5)
    for kernel in (np.ones((1, 5), np.float32), np.ones((5, 1), np.float32), np.eye(5, dtype=np.float32),
                   np.eye(5, dtype=np.float32)[::-1].copy())
)  # fmt: skip


def blur_of(image: ImageArray) -> float:
    """The share of a picture's detail that a slight blur leaves, 0…1: sharp edges lose much by it, and blurred ones little
    (the idea of Crete et al. 2007, "The blur effect", with the detail that ``tracking.sharpest`` measures). It is smeared in four
    directions, and the one in which it loses least counts: that is how it was smeared already, by a movement.

    ``image``: brightness, [height, width] uint8. Of 60 sharp photos of groceries 95 % gave less than 0.79, and all less
    than 0.84; blurred with σ = 2.5 pixels all gave more than 0.85. A picture without any edge gives 1.

    >>> stripes = np.repeat(np.tile(np.array([[0, 0, 0, 0, 255, 255, 255, 255]], np.uint8), (8, 8)), 8, axis=0)
    >>> blur_of(stripes) < blur_of(np.zeros((64, 64), np.uint8))
    True
    """
    if min(image.shape) < 4:
        return 1.0
    import cv2

    height, width = image.shape
    scale = LONG_SIDE / max(height, width)
    if scale < 1:
        size = max(4, round(width * scale)), max(4, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    detail = sharpness(image)
    if detail <= 0:
        return 1.0
    return min(1.0, max(sharpness(cv2.filter2D(image, -1, smear)) for smear in _SMEARS) / detail)
