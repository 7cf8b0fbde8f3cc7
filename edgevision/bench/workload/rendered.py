"""A workload of rendered pictures: the same bytes on every machine for a seed, so that records of many can be compared.

Each has a smooth gradient, coloured shapes and fine noise: so resizing, JPEG and a detector's candidates get work like that of a
photo. What they show is nothing: accuracy is not to be seen with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bench.workload.workload import BGR, JPEG, MAX_FRAMES, Workload
from edgevision.errors import InputError

WIDTH, HEIGHT, COUNT = 1920, 1080, 16
QUALITY = 90  # of JPEG, as cameras have it
MAX_SIDE = 16384
_SHAPES = 40
_NOISE = 6  # grey levels each way
_NOISE_TILE = 509  # a prime: the tile's edges fall on other columns and rows of each period of JPEG's blocks


def render(
    width: int = WIDTH, height: int = HEIGHT, count: int = COUNT, seed: int = 0, encoded: bool = False
) -> Workload:
    """``count`` pictures of ``width``×``height`` pixels. ``encoded``: as JPEG files of quality 90, made by OpenCV: their bytes depend on
    its version, as the hash of the workload shows.

    Raises InputError for a size or count outside the limits.

    >>> render(64, 48, count=2).frames[1].shape
    (48, 64, 3)
    """
    if not (8 <= width <= MAX_SIDE and 8 <= height <= MAX_SIDE):
        raise InputError(f"a rendered picture has sides of 8 to {MAX_SIDE} pixels, got {width}×{height}")
    if not 1 <= count <= MAX_FRAMES:
        raise InputError(f"a workload has 1 to {MAX_FRAMES} frames, got {count}")
    pictures = [picture(width, height, (seed, number)) for number in range(count)]
    name = f"rendered {width}×{height}"
    sizes = ((width, height),) * count
    if not encoded:
        return Workload(name, pictures, sizes, BGR, seed)
    return Workload(f"{name}, JPEG", [encode_jpeg(one) for one in pictures], sizes, JPEG, seed)


def picture(width: int, height: int, seed: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """One picture, BGR uint8 [height, width, 3]."""
    random = np.random.default_rng(seed)
    image = _gradient(width, height, random)
    for _ in range(_SHAPES):
        _draw_shape(image, random)
    noise = random.integers(-_NOISE, _NOISE + 1, (_NOISE_TILE, _NOISE_TILE, 3), np.int16)
    rows, columns = np.arange(height) % _NOISE_TILE, np.arange(width) % _NOISE_TILE
    for first in range(0, height, 256):  # in strips: memory stays small
        strip = image[first : first + 256].astype(np.int16) + noise[rows[first : first + 256][:, None], columns[None]]
        image[first : first + 256] = np.clip(strip, 0, 255)
    return image


def encode_jpeg(image: npt.NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """A JPEG file of BGR uint8 [H, W, 3]."""
    import cv2

    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InputError(f"OpenCV cannot write a JPEG of {image.shape[1]}×{image.shape[0]} pixels")
    return bytes(data)


def _gradient(width: int, height: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Each channel goes evenly from one corner's level to the others'. In whole numbers, which are the same on every machine."""
    corners = random.integers(40, 216, (3, 3)).astype(np.int64)  # at the origin, at the right, at the bottom
    x, y = np.arange(width, dtype=np.int64), np.arange(height, dtype=np.int64)
    across = (corners[1] - corners[0]) * x[:, None] // width
    down = (corners[2] - corners[0]) * y[:, None] // height
    levels = np.clip(corners[0] + across[None] + down[:, None], 0, 255)
    return np.asarray(levels, np.uint8)


def _draw_shape(image: npt.NDArray[np.uint8], random: np.random.Generator) -> None:
    """A rectangle or an ellipse, of one colour or striped, anywhere."""
    height, width = image.shape[:2]
    w = int(random.integers(max(2, width // 40), max(3, width // 5)))
    h = int(random.integers(max(2, height // 40), max(3, height // 4)))
    x, y = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
    color = random.integers(0, 256, 3).astype(np.uint8)
    part: Any = image[y : y + h, x : x + w]
    kind = int(random.integers(0, 3))
    if kind == 0:
        part[:] = color
    elif kind == 1:
        part[:, :: max(2, w // 12)] = color
        part[:: max(2, h // 12)] = color
    else:
        rows, columns = np.ogrid[:h, :w]
        inside = ((2 * rows + 1 - h) * w) ** 2 + ((2 * columns + 1 - w) * h) ** 2 <= (w * h) ** 2
        part[inside] = color
