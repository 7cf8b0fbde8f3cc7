"""Photos of bottles and cans with boxes, and frames of 1920×1080 made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.common import SHARED

BEVERAGES = SHARED / "data" / "beverages"
FRAMES, HEIGHT, WIDTH = 8, 1080, 1920


def make_frames() -> npt.NDArray[np.uint8]:
    """uint8 [FRAMES, HEIGHT, WIDTH, 3], BGR: photos of the data set side by side."""
    import cv2

    photos = sorted((BEVERAGES / "valid" / "images").iterdir())[: 2 * FRAMES]
    pictures = [cv2.resize(cv2.imread(str(photo)), (WIDTH // 2, HEIGHT)) for photo in photos]
    pairs = [np.hstack(pictures[2 * place : 2 * place + 2]) for place in range(FRAMES)]
    return np.stack(pairs).astype(np.uint8)


def write_frames(folder: Path) -> Path:
    """The same frames as PNG files, for ``edgevision bench --data``."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for place, frame in enumerate(make_frames()):
        cv2.imwrite(str(folder / f"{place}.png"), frame)
    return folder
