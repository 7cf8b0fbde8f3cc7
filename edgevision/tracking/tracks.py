"""What a tracker gives back for each frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Track(NamedTuple):
    """One product in one frame. ``id``: its number, the same in every frame, or None until the track is confirmed. ``box``: x1 y1
    x2 y2 in pixels of the frame; ``score``: the detection's; ``class_index``: a place in the model's labels; ``age_s``: seconds of
    camera time since it was first seen."""

    id: int | None
    box: tuple[float, float, float, float]
    score: float
    class_index: int
    age_s: float


@dataclass(frozen=True, eq=False)
class Tracks:
    """The tracks that were seen in one frame: columns of n rows. Iterating gives a ``Track`` for each row.

    ``ids``: int, or None for tracks that are not confirmed. No number stands for "none", so that nothing counts it by mistake.
    ``boxes`` float32 [n, 4] as x1 y1 x2 y2 in pixels, as they were detected; ``scores`` float32 [n]; ``classes`` int64 [n]: the class
    that has most of the votes (scores times weights) in the track so far; ``ages_s`` float64 [n]: seconds since it was first seen; ``first_boxes``
    float32 [n, 4]: where that was; ``detections`` int64 [n]: the row of the detections that each was seen in; ``came_from`` float32 [n, 4]: where it was
    before, for a track that moves and was first seen right after a time without frames: as far back as it moved in that time; of others
    ``first_boxes``. None: the same for all.
    ``ended``: ids that were given up in this frame. ``time_s``: camera time in seconds. ``camera``: its name, if known.
    """

    ids: tuple[int | None, ...]
    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    ages_s: npt.NDArray[np.float64]
    first_boxes: npt.NDArray[np.float32]
    detections: npt.NDArray[np.int64]
    ended: tuple[int, ...]
    time_s: float
    camera: str | None = None
    came_from: npt.NDArray[np.float32] | None = None

    @property
    def confirmed(self) -> npt.NDArray[np.bool_]:
        """Which rows have an id: bool [n]."""
        return np.array([one is not None for one in self.ids], bool)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Track]:
        for row, identity in enumerate(self.ids):
            x1, y1, x2, y2 = self.boxes[row].tolist()
            yield Track(
                identity, (x1, y1, x2, y2), float(self.scores[row]), int(self.classes[row]), float(self.ages_s[row])
            )
