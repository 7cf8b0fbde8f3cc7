"""What a rendered frame really shows: which product each pixel belongs to, and the boxes that follow from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevision.demo.raster import Outline
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.frames import ImageArray

COVERED = 128  # of 255: a pixel belongs to what covers half of it or more, the last painted first
CROWD_BELOW = 0.25
"""Products of which a smaller share can be seen are marked ``crowd``: they may be found, or not."""
_NOBODY = 0


class Corners(NamedTuple):
    """Left, top, right, bottom in pixels, continuous: pixel ``i`` covers ``i … i + 1``."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Seen:
    """One product in a frame.

    ``id``: the same for the same product, in all frames of a world; ``label``: its class, a place in the catalogue;
    ``box``: around the pixels that can be seen; ``full``: around all of the product, as if nothing were before it, so that it
    may reach out of the frame; ``pixels``: how many can be seen; ``visible``: their share of the whole product's, 0…1.
    """

    id: int
    label: int
    box: Corners
    full: Corners
    pixels: int
    visible: float

    @property
    def crowd(self) -> bool:
        """Whether so little can be seen that it need not be found."""
        return self.visible < CROWD_BELOW


class Crossing(NamedTuple):
    """A product's middle passed the counting line at ``time_s``."""

    id: int
    label: int
    time_s: float


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A frame (H×W×3 BGR uint8) with its truth. ``seen``: in the order of ids, without what is wholly hidden;
    ``crossings``: all up to this moment."""

    frame: ImageArray
    time_s: float
    seen: tuple[Seen, ...]
    crossings: tuple[Crossing, ...] = ()

    @property
    def truth(self) -> PhotoBoxes:
        """The visible boxes, as evaluation takes them; one for each of ``seen``."""
        height, width = self.frame.shape[:2]
        boxes = tuple(Box(one.label, *one.box, crowd=one.crowd, area=float(one.pixels)) for one in self.seen)
        return PhotoBoxes(height, width, boxes)


class Owners:
    """Which product each pixel belongs to, kept while a frame is painted from far to near."""

    def __init__(self, height: int, width: int) -> None:
        self.places = np.full((height, width), _NOBODY, np.int32)
        self.outlines: dict[int, tuple[int, Outline]] = {}

    def copy(self) -> Owners:
        """Another one that knows the same."""
        other = Owners(*self.places.shape)
        other.places[...] = self.places
        other.outlines = dict(self.outlines)
        return other

    def add(self, id: int, label: int, outline: Outline) -> None:
        """A product was painted over everything before it."""
        self.outlines[id] = (label, outline)
        rows, columns, inside = outline.within(*self.places.shape)
        self.places[rows, columns][inside >= COVERED] = id + 1

    def hide(self, coverage: npt.NDArray[np.uint8]) -> None:
        """Something that is no product was painted; ``coverage`` is H×W uint8."""
        self.places[coverage >= COVERED] = _NOBODY

    def seen(self) -> Iterable[Seen]:
        """The products of which at least one pixel can be seen, by id."""
        for id, (label, outline) in sorted(self.outlines.items()):
            rows, columns, _ = outline.within(*self.places.shape)
            mine = self.places[rows, columns] == id + 1
            pixels, whole = int(np.count_nonzero(mine)), outline.coverage >= COVERED
            if pixels:
                full = _corners(whole, outline.left, outline.top)
                box = _corners(mine, columns.start, rows.start)
                yield Seen(id, label, box, full, pixels, pixels / int(np.count_nonzero(whole)))


def _corners(mask: npt.NDArray[np.bool_], left: int, top: int) -> Corners:
    """Around the true pixels of ``mask``, whose first pixel is (``left``, ``top``)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Corners(
        float(left + columns[0]), float(top + rows[0]), float(left + columns[-1] + 1), float(top + rows[-1] + 1)
    )
