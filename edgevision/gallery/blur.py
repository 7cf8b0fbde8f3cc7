"""How blurred a picture is, whatever it shows and however large it is."""

from __future__ import annotations

from edgevision.frames import ImageArray
from edgevision.tracking.sharpest import sharpness

LONG_SIDE = 320  # pixels: about what an embedder sees of it; blur that is finer is lost there anyway


def blur_of(image: ImageArray) -> float:
    """The share of a picture's detail that a slight blur leaves, 0…1: sharp edges lose much by it, and blurred ones little
    (the idea of Crete et al. 2007, "The blur effect", with the detail that ``tracking.sharpest`` measures).

    ``image``: brightness, [height, width] uint8. Edges that are spread over σ pixels give about σ / √(σ² + 1). A picture without
    any edge gives 1.

    >>> import numpy as np
    >>> stripes = np.repeat(np.tile(np.array([[0, 0, 0, 0, 255, 255, 255, 255]], np.uint8), (1, 8)), 64, axis=0)
    >>> blur_of(stripes) < 0.7
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
    return min(1.0, sharpness(cv2.GaussianBlur(image, (0, 0), 1.0)) / detail)
