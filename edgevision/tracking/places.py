"""Zones and lines in a camera's picture, and where a point is to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

Point = tuple[float, float]
Floats = npt.NDArray[np.float64]


class Anchor(Enum):
    """The point of a box that says where the product is. ``BOTTOM`` is the middle of the lower edge: where things stand."""

    CENTER = (0.5, 0.5)
    TOP = (0.5, 0.0)
    BOTTOM = (0.5, 1.0)
    LEFT = (0.0, 0.5)
    RIGHT = (1.0, 0.5)

    def of(self, box: Sequence[float] | npt.NDArray[np.floating]) -> Point:
        """The point, x and y in pixels, of a box given as x1 y1 x2 y2.

        >>> Anchor.BOTTOM.of((10, 20, 30, 60))
        (20.0, 60.0)
        """
        x1, y1, x2, y2 = map(float, box)
        across, down = self.value
        return x1 + across * (x2 - x1), y1 + down * (y2 - y1)


@dataclass(frozen=True)
class Line:
    """A line that products cross, from ``start`` to ``end``, in pixels. To the right of somebody who looks from start to end, as the
    picture shows it, a crossing is +1; to the left it is −1. So a line drawn upwards counts what goes right as +1.

    ``anchor``: the point of the box that has to cross. ``margin_px``: it counts when that point is this far beyond the line, and is
    not counted again before it was as far on the other side: what trembles on the line counts once. ``settle_s``: and when it
    stayed there for that many seconds of camera time, so that a track which jumps over the line for one frame counts nothing.

    >>> door = Line("door", start=(320, 480), end=(320, 0))
    >>> door.offset((330, 100)), door.offset((310, 100))
    (10.0, -10.0)
    """

    name: str
    start: Point
    end: Point
    anchor: Anchor = Anchor.CENTER
    margin_px: float = 8.0
    settle_s: float = 0.1

    def __post_init__(self) -> None:
        _check_points(self.name, (self.start, self.end))
        if math.dist(self.start, self.end) == 0:
            raise InputError(f"line {self.name!r} starts and ends at {self.start}; give two different points")
        _check_hysteresis(self.name, self.margin_px, self.settle_s)

    def offset(self, point: Point) -> float:
        """How far the point is to the right of the endless line, in pixels; negative to the left."""
        (x1, y1), (x2, y2) = self.start, self.end
        return ((x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)) / math.dist(self.start, self.end)

    def passed_within(self, before: Point, after: Point) -> bool:
        """Whether the way from ``before`` to ``after``, on different sides of the endless line, goes through the line itself."""
        a, b = self.offset(before), self.offset(after)
        share = a / (a - b)
        x, y = (one + share * (other - one) for one, other in zip(before, after, strict=True))
        (x1, y1), (x2, y2) = self.start, self.end
        along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / math.dist(self.start, self.end) ** 2
        return 0 <= along <= 1


@dataclass(frozen=True)
class Zone:
    """An area that products are in or not: a polygon of ``corners`` in pixels, whose sides do not cross.

    ``anchor``: the point of the box that has to be inside. ``margin_px``: a product comes in when that point is this far inside, and
    leaves when it is this far outside. ``settle_s``: and when it stayed there for that many seconds of camera time.

    >>> shelf = Zone("shelf", [(0, 0), (100, 0), (100, 50), (0, 50)])
    >>> shelf.depth((50, 40)), shelf.depth((50, 80))
    (10.0, -30.0)
    """

    name: str
    corners: Sequence[Point]
    anchor: Anchor = Anchor.CENTER
    margin_px: float = 8.0
    settle_s: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "corners", tuple((float(x), float(y)) for x, y in self.corners))
        if len(self.corners) < 3:
            raise InputError(f"zone {self.name!r} has {len(self.corners)} corners; a polygon has 3 or more")
        _check_points(self.name, self.corners)
        _check_hysteresis(self.name, self.margin_px, self.settle_s)
        crossing = _crossing_sides(self.corners)
        if crossing is not None:
            raise InputError(
                f"zone {self.name!r}: its sides {crossing[0]} and {crossing[1]} cross or touch; give the corners in their order "
                "around the zone, each once"
            )

    def depth(self, point: Point) -> float:
        """How far inside the zone the point is, in pixels: the distance to the nearest side; negative outside."""
        corners = np.array(self.corners)
        following = np.roll(corners, -1, axis=0)
        sides, to_point = following - corners, np.array(point) - corners
        along = np.clip((to_point * sides).sum(axis=1) / (sides**2).sum(axis=1), 0, 1)
        distance = float(np.hypot(*(to_point - along[:, None] * sides).T).min())
        # Even-odd rule: a ray to the right meets the border an odd number of times.
        spans = (corners[:, 1] > point[1]) != (following[:, 1] > point[1])
        rise = np.where(spans, sides[:, 1], 1.0)
        meets = corners[:, 0] + to_point[:, 1] * sides[:, 0] / rise
        inside = int((spans & (meets > point[0])).sum()) % 2 == 1
        return distance if inside else -distance


def _check_points(name: str, points: Sequence[Point]) -> None:
    if not all(len(point) == 2 and all(map(math.isfinite, point)) for point in points):
        raise InputError(f"{name!r}: points are (x, y) in pixels, finite numbers, got {list(points)}")


def _check_hysteresis(name: str, margin_px: float, settle_s: float) -> None:
    for word, value in (("margin_px", margin_px), ("settle_s", settle_s)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name!r}: {word} is a finite number, 0 or more, got {value}")


def _crossing_sides(corners: Sequence[Point]) -> tuple[int, int] | None:
    """Two sides of the polygon (side i leaves corner i) that have a point in common where they should not; None if there are none."""
    count = len(corners)
    sides = [(corners[place], corners[(place + 1) % count]) for place in range(count)]
    for one in range(count):
        for other in range(one + 1, count):
            if _turn(*sides[one], sides[other][0]) == 0 == _turn(*sides[one], sides[other][1]):
                apart = not _overlap_on_a_line(sides[one], sides[other])
            else:
                neighbours = other - one in (1, count - 1)
                apart = neighbours or not _meet(sides[one], sides[other])
            if not apart:
                return one, other
    return None


def _turn(a: Point, b: Point, c: Point) -> int:
    """1 or −1 for the side of a→b on which c lies, 0 on the line."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return int(np.sign(area))


def _meet(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Whether two segments that are not on one line have a point in common, their ends included."""
    return _turn(*one, other[0]) * _turn(*one, other[1]) <= 0 and _turn(*other, one[0]) * _turn(*other, one[1]) <= 0


def _overlap_on_a_line(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Whether two segments on one line have more than an end in common; also where one of them is a single point."""
    if one[0] == one[1] or other[0] == other[1]:
        return True
    axis = int(abs(one[0][0] - one[1][0]) < abs(one[0][1] - one[1][1]))
    (a, b), (c, d) = (sorted(point[axis] for point in side) for side in (one, other))
    return min(b, d) > max(a, c)
