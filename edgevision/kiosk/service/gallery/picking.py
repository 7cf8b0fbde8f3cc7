"""Which views of a product are worth keeping: sharp ones that are unlike those that are kept already."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgevision.frames import ImageArray

_SIDE_PX = 160
_BLURRED = (
    0.5  # of the sharper half of what was seen lately: less is blur by movement, or the camera looks for its focus
)
_LATELY = 12
_FIRST = 3  # pictures that are seen before one is taken: of fewer, nobody can tell what is sharp here
_ALIKE = 0.97  # cosine: more adds nothing


class ViewPicker:
    """Takes the first sharp view, and each later one that is unlike all that were taken."""

    def __init__(self) -> None:
        self._vectors: list[npt.NDArray[np.float32]] = []
        self._sharpness: deque[float] = deque(maxlen=_LATELY)

    def offer(self, picture: ImageArray, vector: npt.NDArray[np.float32]) -> Literal["taken", "alike", "blurred"]:
        """See ``lesson.Picker``."""
        sharpness = sharpness_of(picture)
        self._sharpness.append(sharpness)
        if len(self._sharpness) < _FIRST or sharpness < _BLURRED * float(np.quantile(self._sharpness, 0.75)):
            return "blurred"
        if any(float(vector @ other) > _ALIKE for other in self._vectors):
            return "alike"
        self._vectors.append(vector)
        return "taken"

    def drop(self, place: int) -> None:
        """See ``lesson.Picker``."""
        del self._vectors[place]


def sharpness_of(picture: ImageArray) -> float:
    """How much fine detail a picture has, whatever its size: the mean square of its Laplacian at 160 pixels a side."""
    import cv2

    small = cv2.resize(picture, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return float(np.square(cv2.Laplacian(grey, cv2.CV_32F)).mean())
