"""Catalogue pictures pasted into photos of shops: more looks of a product than its own photos have.

    .venv/bin/python -m benchmarks.pasted --picture pasted.jpg

A catalogue's picture shows the product whole, its front first, on white: it is cut out, turned, lit otherwise, scaled, and put before a crop of a
photo of another product.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.gallery_split import read_photos
from edgevision.decode import read_image

Picture = npt.NDArray[np.uint8]

SIDE_PX = 348
WHITE = 12  # levels that a catalogue's white may be away from white
HEIGHT = (0.55, 1.15)  # of the product, as a share of the picture's side
DEGREES = 35.0


def cut_out(picture: Picture) -> npt.NDArray[np.float32]:
    """How much of each pixel is product, 0…1 [h, w]: all that white does not reach from the border."""
    import cv2

    framed = cv2.copyMakeBorder(picture, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    mask = np.zeros((framed.shape[0] + 2, framed.shape[1] + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (255 << 8)
    cv2.floodFill(framed, mask, (0, 0), (0, 0, 0), (WHITE,) * 3, (WHITE,) * 3, flags)
    product = (mask[2:-2, 2:-2] == 0).astype(np.float32)
    product = cv2.erode(product, np.ones((3, 3), np.uint8))  # the edge is half white
    return np.asarray(cv2.GaussianBlur(product, (0, 0), 1.0), np.float32)


def paste(product: Picture, background: Picture, random: np.random.Generator) -> Picture:
    """``product`` (a catalogue's picture, on white) somewhere in a crop of ``background``: SIDE_PX × SIDE_PX × 3 BGR."""
    import cv2

    behind = _crop(background, random)
    alpha = cut_out(product)
    rows, columns = np.flatnonzero((alpha > 0.5).any(1)), np.flatnonzero((alpha > 0.5).any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    share = random.uniform(*HEIGHT) * SIDE_PX / max(bottom - top, right - left)
    turn = cv2.getRotationMatrix2D(
        (float(left + right) / 2, float(top + bottom) / 2), random.uniform(-DEGREES, DEGREES), share
    )
    middle = SIDE_PX * random.uniform(0.35, 0.65, 2)
    turn[:, 2] += middle - [(left + right) / 2, (top + bottom) / 2]
    size = (SIDE_PX, SIDE_PX)
    front = cv2.warpAffine(product, turn, size, flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255)).astype(np.float32)
    weight = cv2.warpAffine(alpha, turn, size, flags=cv2.INTER_LINEAR)[..., None]
    one_side, other_side = random.uniform(0.6, 1.1, 2)
    slope = np.linspace(one_side, other_side, SIDE_PX)[None, :, None]
    mixed = weight * front * slope * random.uniform(0.9, 1.05, 3) + (1 - weight) * behind
    return np.asarray(np.clip(mixed + random.normal(0, 3, mixed.shape), 0, 255), np.uint8)


def _crop(picture: Picture, random: np.random.Generator) -> npt.NDArray[np.float32]:
    import cv2

    side = round(min(picture.shape[:2]) * random.uniform(0.5, 1.0))
    top, left = (int(random.integers(n - side + 1)) for n in picture.shape[:2])
    crop = cv2.resize(picture[top : top + side, left : left + side], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), random.uniform(0.3, 3.0)), np.float32)


def write_pasted(
    folder: Path, catalogue: Sequence[Path], backgrounds: Sequence[Path], truth: npt.NDArray[np.int64], each: int
) -> list[list[Path]]:
    """``each`` pictures of each class as JPEGs in ``folder``, before photos whose class (``truth``) is another; the same ones each time."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    written: list[list[Path]] = []
    for label, source in enumerate(catalogue):
        others, product, paths = np.flatnonzero(truth != label), read_image(source), []
        for place in range(each):
            random = np.random.default_rng((label, place))
            path = folder / f"{label}-{place}.jpg"
            if not path.is_file():
                background = read_image(backgrounds[int(random.choice(others))])
                cv2.imwrite(str(path), paste(product, background, random), [cv2.IMWRITE_JPEG_QUALITY, 92])
            paths.append(path)
        written.append(paths)
    return written


def main() -> None:
    import cv2

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--picture", type=Path, required=True)
    arguments = p.parse_args()
    photos, random = read_photos(), np.random.default_rng(0)
    rows = []
    for source in photos.iconic[::8]:
        product = read_image(source)
        behind = random.choice(len(photos.train), 8, replace=False)
        made = [paste(product, read_image(photos.train.paths[place]), random) for place in behind]
        rows.append(np.hstack([cv2.resize(one, (128, 128), interpolation=cv2.INTER_AREA) for one in made]))
    cv2.imwrite(str(arguments.picture), np.vstack(rows))


if __name__ == "__main__":
    main()
