"""What tests of targets share: plain frames, and answers as plain values."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevision.bench.targets.base import Target

DATA = Path(__file__).parents[1] / "data"
BLUE, GREEN, RED = ((255, 0, 0), (0, 255, 0), (0, 0, 255))  # BGR


def plain(color: tuple[int, int, int], height: int = 24, width: int = 32) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def read_all(target: Target, frames: list[object]) -> list[tuple[list[int], list[list[float]] | None]]:
    """(classes, boxes or None) of each frame."""
    answers = [target.read(result) for result in target.answer(frames, None)]
    return [(a.classes.tolist(), None if a.boxes is None else a.boxes.round(3).tolist()) for a in answers]
