"""Where the product is in its picture: near the middle, and unlike what is at the border.

GrabCut (C. Rother et al., "GrabCut: interactive foreground extraction using iterated graph cuts", SIGGRAPH 2004) needs to be told where to
begin. It begins with how far each pixel is from the colours of the border, and how near the middle. Lightness counts less than
colour there, so that a product's shadow stays ground.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.frames import ImageArray
from edgevision.gallery.colours.lab import lab_of

SIDE_PX = 128  # colours need no more
BORDER = 0.04  # of the side: the frame that is taken for ground
LEAST, MOST = 0.04, 0.92  # a mask of another share of the picture is none
_LIGHTNESS = 0.5  # what a difference in lightness counts, against one in colour
_BORDER_COLOURS = 24  # pixels along the border, evenly, that each stand for a colour of the ground
_ROUNDS = 3  # of GrabCut
_NEAR, _CLEARLY = (
    6.0,
    10.0,
)  # as near to a colour of the border is surely ground; farther than the other it may always be product, CIELAB


def product_mask(image: ImageArray) -> npt.NDArray[np.bool_]:
    """Which pixels of ``image`` (H×W×3 uint8 BGR, at least 8×8) show the product: bool H×W, never empty.

    The product is one, whole or nearly so, in the middle, before a ground that the border shows. Where nothing stands out, as when it
    fills the picture, the mask is an ellipse in the middle.
    """
    import cv2

    height, width = image.shape[:2]
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] != 3 or min(height, width) < 8:
        raise InputError(f"expected a picture H×W×3 uint8 of 8×8 pixels or more, got {image.dtype} {image.shape}")
    scale = min(1.0, SIDE_PX / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    mask = _cut_out(small)
    share = mask.mean()
    if not LEAST <= share <= MOST:
        mask = _ellipse(small.shape[0], small.shape[1], 0.7)
    return np.asarray(cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0)


def border(height: int, width: int) -> npt.NDArray[np.bool_]:
    """The frame along the picture's sides: bool H×W."""
    edge = max(1, round(BORDER * min(height, width)))
    frame = np.ones((height, width), np.bool_)
    frame[edge : height - edge, edge : width - edge] = False
    return frame


def _cut_out(image: ImageArray) -> npt.NDArray[np.bool_]:
    import cv2

    distance = _from_border(image)
    frame = border(*image.shape[:2])
    height, width = image.shape[:2]
    central = _ellipse(height, width, 0.95)
    limit = max(_NEAR, min(_CLEARLY, _otsu(distance)))
    marks = np.full(image.shape[:2], cv2.GC_PR_BGD, np.uint8)
    marks[(distance > limit) & central] = cv2.GC_PR_FGD
    marks[(distance < _NEAR) & ~_ellipse(height, width, 0.5)] = cv2.GC_BGD
    marks[frame] = cv2.GC_BGD
    if not (marks == cv2.GC_PR_FGD).any():
        return np.zeros(marks.shape, np.bool_)
    cv2.setRNGSeed(0)  # GrabCut draws where its colours begin
    models = (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.grabCut(image, marks, (0, 0, 1, 1), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    return _one_piece((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD))


def _from_border(image: ImageArray) -> npt.NDArray[np.float64]:
    """How far each pixel is from the nearest colour of the border."""
    lab = lab_of(image) * np.array([_LIGHTNESS, 1.0, 1.0])
    ground = lab[border(*image.shape[:2])]
    order = ground[np.argsort(ground[:, 0], kind="stable")]
    colours = order[np.linspace(0, len(order) - 1, _BORDER_COLOURS).astype(int)]
    return np.asarray(np.min([np.linalg.norm(lab - colour, axis=2) for colour in colours], axis=0))


def _otsu(values: npt.NDArray[np.float64]) -> float:
    """The limit that parts the values best (N. Otsu, IEEE Trans. SMC 9 (1979) 62-66)."""
    import cv2

    most = float(values.max())
    if most == 0:
        return 0.0
    level, _ = cv2.threshold(
        np.round(values * (255 / most)).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU
    )
    return float(level) * most / 255


def _ellipse(height: int, width: int, share: float) -> npt.NDArray[np.bool_]:
    """An ellipse in the middle, with ``share`` of the picture's sides."""
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    return np.asarray(y[:, None] ** 2 + x[None] ** 2 <= share**2)


def _one_piece(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The piece that weighs most, where the middle weighs more; its holes are filled."""
    import cv2

    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    height, width = mask.shape
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    weight = np.exp(-2 * (y[:, None] ** 2 + x[None] ** 2))
    totals = np.bincount(pieces.ravel(), weights=weight.ravel(), minlength=count)
    best = (pieces == 1 + int(totals[1:].argmax())).astype(np.uint8)
    outlines, _ = cv2.findContours(best, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(best, outlines, -1, 1, cv2.FILLED)
    return np.asarray(best > 0)
