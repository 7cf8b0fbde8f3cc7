"""A place, products and hands as plain pictures, and models that answer as they are told: for tests of the Station."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.frames import Frame, ImageArray
from edgevision.tasks.detections import Detections
from edgevision.tasks.results import Classification, Label, Prediction, Timing

HEIGHT, WIDTH = 120, 160
FPS = 15.0
TIMING = Timing(0, 0, 0)
LABELS = tuple(Label(number, name) for number, name in enumerate(("apple", "pear", "milk", "tea", "soap")))


def place(seed: int = 0, *, light: float = 1.0, noise: float = 2.0) -> npt.NDArray[np.float32]:
    """An empty counter with a pattern: float32, H×W×3. ``seed``: of the noise alone."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    base = 110 + 30 * np.sin(x / 9.0) * np.cos(y / 7.0) + 0.2 * x
    grain = np.random.default_rng(seed).normal(0, noise, (HEIGHT, WIDTH, 3))
    return np.asarray(light * base[..., None] + grain, np.float32)


def picture(values: npt.NDArray[np.float32]) -> ImageArray:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def with_product(values: npt.NDArray[np.float32], x: int = 60, y: int = 40, size: int = 36) -> npt.NDArray[np.float32]:
    """A product with stripes, its left upper corner at (x, y)."""
    values = values.copy()
    stripes = np.where(np.arange(size)[:, None] // 6 % 2, 230.0, 30.0)
    values[y : y + size, x : x + size] = stripes[..., None]
    return values


def with_hand(values: npt.NDArray[np.float32], reach: int) -> npt.NDArray[np.float32]:
    """An arm that comes ``reach`` pixels into the picture from below."""
    values = values.copy()
    values[HEIGHT - reach :, 66:94] = (120.0, 150.0, 200.0)
    return values


def frame(values: npt.NDArray[np.float32]) -> Frame:
    return Frame.from_array(picture(values))


Script = Sequence[tuple[float, Callable[[int], npt.NDArray[np.float32]]]]


def play(script: Script, start_s: float = 0.0) -> Iterator[tuple[float, Frame]]:
    """(seconds, frame) of each part of the script in turn: how long it takes, and what is drawn from the frame's number."""
    index, begins_s = 0, 0.0
    for seconds, draw in script:
        while index / FPS < begins_s + seconds - 1e-9:
            yield start_s + index / FPS, frame(draw(index))
            index += 1
        begins_s += seconds


def classification(*shares: float, known: bool = True) -> Classification:
    """Of the first labels, in the order of ``shares``, sorted as a classifier gives them."""
    told = [Prediction(label.id, label.name, share) for label, share in zip(LABELS, shares, strict=False)]
    return Classification(tuple(sorted(told, key=lambda one: -one.score)), known, TIMING)


def detections(*rows: tuple[tuple[float, float, float, float], int, float]) -> Detections:
    """Of (box, place in the labels, score)."""
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    return Detections(
        boxes,
        np.array([row[2] for row in rows], np.float32),
        np.array([row[1] for row in rows], np.int64),
        LABELS,
        TIMING,
    )


class ScriptedModel:
    """Answers each picture by ``answer``, which a test may replace. ``shown``: (height, width) of each picture."""

    def __init__(self, answer: Callable[[Frame], Any], *, finds_boxes: bool = False) -> None:
        self.answer = answer
        self.finds_boxes = finds_boxes
        self.classes = len(LABELS)
        self.shown: list[tuple[int, int]] = []

    def predict_frames(self, frames: Sequence[Frame]) -> list[Any]:
        self.shown += [(one.height, one.width) for one in frames]
        return [self.answer(one) for one in frames]
