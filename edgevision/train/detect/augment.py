"""Augmentation for photos with boxes: what happens to the pixels happens to the boxes, exactly.

A training picture is put together of *tiles*: one that fills it, or four around a point (a mosaic, Bochkovskiy et al. 2020).
Each tile shows a photo at a random size and place; an affine map says where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.data.boxes import PhotoBoxes
from edgevision.frames import ImageArray
from edgevision.train.augment import Appearance, change_appearance, check_probabilities

IGNORED = -1  # in place of a class: there is something, but nobody learns from it
_MIDDLE = (0.3, 0.7)  # where in the picture four tiles meet
_MIN_SIDE_PX = 2.0  # what is thinner cannot be seen


@dataclass(frozen=True)
class BoxAugmentation(Appearance):
    """How much a photo with boxes may change.

    ``min_scale``, ``max_scale``: size beside that of the whole photo in the picture, drawn evenly in its logarithm;
    ``max_aspect``: most that it is stretched either way. ``flip`` and ``mosaic`` are probabilities; there is no mosaic after
    the share ``mosaic_until`` of the run, so that the network ends on whole photos. ``min_visible``: of a product that is cut
    off, the share that must be left for it to be learnt; what is left of others is ignored, neither product nor background.
    """

    erase: float = 0.0
    min_scale: float = 0.5
    max_scale: float = 1.5
    max_aspect: float = 1.2
    flip: float = 0.5
    mosaic: float = 0.5
    mosaic_until: float = 0.7
    min_visible: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_probabilities(self, ("flip", "mosaic", "mosaic_until", "min_visible"))
        if not 0.05 <= self.min_scale <= self.max_scale <= 20 or not 1 <= self.max_aspect <= 4:
            raise InputError(
                "min_scale and max_scale are within 0.05…20, the larger last, and max_aspect within 1…4, got "
                f"{self.min_scale}, {self.max_scale} and {self.max_aspect}"
            )


class Area(NamedTuple):
    """A rectangle of whole pixels in the training picture."""

    left: int
    top: int
    right: int
    bottom: int


class Tile(NamedTuple):
    """A photo in a part of the picture. ``photo``: its index; ``matrix`` float64 [2, 3] from the photo's pixels to the
    picture's, both continuous; ``area``: what it fills of the picture."""

    photo: int
    matrix: npt.NDArray[np.float64]
    area: Area


def draw_tiles(
    photos: Sequence[int], sizes: Sequence[tuple[int, int]], size: int, options: BoxAugmentation, random: np.random.Generator
) -> tuple[Tile, ...]:  # fmt: skip
    """Where the photos go in a picture of ``size``×``size`` pixels. ``photos``: the indices of one, or of four for a mosaic;
    ``sizes``: height and width of each in pixels."""
    if len(photos) == 1:
        areas = [Area(0, 0, size, size)]
    else:
        x, y = (int(random.uniform(*_MIDDLE) * size) for _ in range(2))
        areas = [Area(0, 0, x, y), Area(x, 0, size, y), Area(0, y, x, size), Area(x, y, size, size)]
    return tuple(
        Tile(photo, _placed(height, width, area, size, options, random), area)
        for photo, (height, width), area in zip(photos, sizes, areas, strict=True)
    )


def _placed(
    height: int, width: int, area: Area, size: int, options: BoxAugmentation, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A random map of the photo, which covers the area where it is large enough, and lies within it where it is not."""
    scale = size / max(height, width) * _log_uniform(options.min_scale, options.max_scale, random)
    stretch = math.sqrt(_log_uniform(1 / options.max_aspect, options.max_aspect, random))
    across, down = scale * stretch, scale / stretch
    left = area.left + random.random() * (area.right - area.left - across * width)
    top = area.top + random.random() * (area.bottom - area.top - down * height)
    if random.random() < options.flip:
        return np.array([[-across, 0.0, left + across * width], [0.0, down, top]])
    return np.array([[across, 0.0, left], [0.0, down, top]])


def _log_uniform(low: float, high: float, random: np.random.Generator) -> float:
    return math.exp(random.uniform(math.log(low), math.log(high)))


def tile_pixels(image: ImageArray, photo_size: tuple[int, int], tile: Tile, pad_value: float) -> ImageArray:
    """What the tile shows, [h, w, 3] uint8 as large as its area; ``pad_value`` where the photo does not reach.

    ``image``: the photo, H×W×3 uint8, perhaps smaller than ``photo_size`` (height, width), which its boxes are measured in.
    Bilinear, as at run time.
    """
    import cv2

    shrunk = np.diag([photo_size[1] / image.shape[1], photo_size[0] / image.shape[0]])
    matrix = np.hstack([tile.matrix[:, :2] @ shrunk, tile.matrix[:, 2:] - [[tile.area.left], [tile.area.top]]])
    # warpAffine maps pixel centres at whole numbers; the matrix above is for centres at halves.
    matrix[:, 2] += 0.5 * matrix[:, :2].sum(1) - 0.5
    shape = (tile.area.right - tile.area.left, tile.area.bottom - tile.area.top)
    pixels = cv2.warpAffine(
        image, matrix, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(pad_value,) * 3
    )
    return np.asarray(pixels, np.uint8)


def tile_boxes(
    truth: PhotoBoxes, tile: Tile, options: BoxAugmentation
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """What the tile shows of the photo's products: boxes float32 [n, 4] as x1 y1 x2 y2 in the picture's pixels, clipped to the
    tile's area, and classes int64 [n]. Heaps, and products of which too little is left, have the class ``IGNORED``."""
    if not truth.boxes:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    corners = np.array([[(box.x1, box.y1), (box.x2, box.y2)] for box in truth.boxes]) @ tile.matrix[:, :2].T
    corners = np.sort(corners + tile.matrix[:, 2], axis=1)  # a flip changes left and right
    area = np.array([tile.area[:2], tile.area[2:]])
    clipped = np.clip(corners, area[0], area[1])
    sides, before = clipped[:, 1] - clipped[:, 0], corners[:, 1] - corners[:, 0]
    visible = sides.prod(1) / before.prod(1).clip(1e-9)
    learnt = (visible >= options.min_visible) & (sides.min(1) >= _MIN_SIDE_PX)
    learnt &= ~np.array([box.crowd for box in truth.boxes])
    classes = np.where(learnt, [box.label for box in truth.boxes], IGNORED)
    there = sides.min(1) > 0
    return clipped[there].reshape(-1, 4).astype(np.float32), classes[there].astype(np.int64)


def augment_boxed(
    images: Sequence[ImageArray], truths: Sequence[PhotoBoxes], size: int, options: BoxAugmentation, pad_value: float,
    random: np.random.Generator,
) -> tuple[ImageArray, npt.NDArray[np.float32], npt.NDArray[np.int64]]:  # fmt: skip
    """A random training picture of one photo or, for a mosaic, four: ``size``×``size``×3 uint8, and its boxes and classes as
    ``tile_boxes`` has them. The same generator state gives the same picture."""
    sizes = [(truth.height, truth.width) for truth in truths]
    tiles = draw_tiles(range(len(images)), sizes, size, options, random)
    picture = np.empty((size, size, 3), np.uint8)
    for tile in tiles:
        left, top, right, bottom = tile.area
        picture[top:bottom, left:right] = tile_pixels(images[tile.photo], sizes[tile.photo], tile, pad_value)
    found = [tile_boxes(truths[tile.photo], tile, options) for tile in tiles]
    boxes, classes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return change_appearance(picture, options, random), boxes, classes
