"""Products on a conveyor belt, seen from above or aslant, counted as they pass a line."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from edgevision.demo.camera import Camera, Light, project
from edgevision.demo.lettering import Color
from edgevision.demo.motifs import WHITE, mix
from edgevision.demo.scene import sample_light
from edgevision.demo.world.poses import any_product, dropped, room_of
from edgevision.demo.world.surfaces import Surface
from edgevision.demo.world.textures import PX_PER_CM, brushed, speckled
from edgevision.demo.world.truth import Crossing
from edgevision.demo.world.world import Item, Layer, Smear, World
from edgevision.frames import ImageArray

BELT_CM = 44.0
_USED_CM = 40.0  # products keep off the edges
_RAIL_CM = 5.0
_BESIDE_CM = 25.0  # of the counting line on each side: half of the tallest product, seen from the lowest camera
_TILE_CM = 96.0  # the belt's picture repeats after this
_SHUTTER_S = 1 / 60
_BELTS: tuple[Color, ...] = ((52, 50, 48), (66, 72, 60), (86, 66, 48), (44, 46, 50), (92, 94, 90))


class Conveyor(World):
    """A belt that moves at ``speed`` cm/s, with gaps that vary, products that touch, and pairs side by side.

    A product is counted when its middle passes the line across the belt at the middle of the view. ``azimuth``: where the
    belt runs to in the frame: 0 = right, 180 = left, 90 = down, 270 = up, some degrees aslant.

    >>> belt = Conveyor(seed=3)
    >>> later, sooner = belt.at(4.0), belt.at(3.9)
    >>> len(later.crossings) >= len(sooner.crossings)
    True
    """

    _KEY = 0xBE17

    def __init__(self, seed: int, height: int = 480, width: int = 640) -> None:
        super().__init__(seed, height, width)
        self.speed = float(self.rng.uniform(14, 38))
        self._smear = self._moved_in_frame()
        self._belt = self._belt_picture()
        self._beside = self._surroundings()
        self._reach_cm = self._half_view_cm() + 30  # products beyond it cannot be seen
        self._feed_rng = np.random.default_rng((self._KEY, seed, 1))
        self._crowded = float(self._feed_rng.uniform(0.15, 0.6))  # share of gaps that are next to nothing
        # Products with the place along the belt where their middle is at 0 s; the last row's end is known.
        self._fed: list[Item] = []
        self._fed_to_cm = float(self._feed_rng.uniform(0, self._reach_cm))

    def _view(self) -> tuple[Camera, Light]:
        rng = self.rng
        above = rng.uniform() < 0.5
        elevation = float(rng.uniform(72, 86) if above else rng.uniform(38, 60))
        azimuth = float((0, 0, 180, 180, 90, 270)[int(rng.integers(6))] + rng.normal(0, 5 if above else 12))
        zoom = float(rng.uniform(1.3, 1.9))
        view_cm = float(rng.uniform(66, 80))
        camera = Camera((0, 0, 4), zoom * view_cm, azimuth, elevation, float(rng.normal(0, 1.5)), zoom)
        light = sample_light(rng)
        return camera, replace(light, azimuth=light.azimuth + azimuth)

    @property
    def line(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The two ends of the counting line, (x, y) in the frame's pixels, continuous: in the plane of the belt, and wider than it.

        Seen aslant, the middle of a tall product near the belt's edge is beside the belt.
        """
        reach = BELT_CM / 2 + _BESIDE_CM
        ends = project(self.matrix, np.array([(0.0, -reach, 0), (0.0, reach, 0)])) + 0.5
        return (float(ends[0, 0]), float(ends[0, 1])), (float(ends[1, 0]), float(ends[1, 1]))

    def crossings(self, until_s: float) -> tuple[Crossing, ...]:
        """What passed the line from the start up to ``until_s``. What was past it at 0 s does not count."""
        self._feed(until_s)
        times = [(-item.pose.x / self.speed, item) for item in self._fed]
        passed = [Crossing(item.id, item.label, time) for time, item in times if 0 < time <= until_s]
        return tuple(sorted(passed, key=lambda one: (one.time_s, one.id)))

    def passed(self, time_s: float) -> frozenset[int]:
        """The ids of what is past the line, also of what was before 0 s."""
        self._feed(time_s)
        return frozenset(item.id for item in self._fed if item.pose.x + self.speed * time_s > 0)

    def layers(self, time_s: float) -> tuple[Layer, ...]:
        """Floor and rails; then the belt and what is on it."""
        self._feed(time_s)
        moved = self.speed * time_s
        items = [
            replace(item, pose=replace(item.pose, x=item.pose.x + moved))
            for item in self._fed
            if abs(item.pose.x + moved) < self._reach_cm
        ]
        shift = moved % _TILE_CM
        length = self._belt.shape[1] / PX_PER_CM
        belt = Surface(self._belt, (shift - length / 2, BELT_CM / 2, 0), (length, 0, 0), (0, -BELT_CM, 0))
        return Layer(self._beside), Layer((belt,), tuple(items), self._smear)

    def _feed(self, time_s: float) -> None:
        """Put products onto the belt, row after row against its direction, until none that could be seen is missing."""
        while self._fed_to_cm + self.speed * time_s > -self._reach_cm:
            self._fed_to_cm -= self._gap_cm()
            row = self._row()
            length = max(room_of(item.product, item.pose)[0] for item in row)
            middle = self._fed_to_cm - length / 2
            self._fed += [replace(item, pose=replace(item.pose, x=item.pose.x + middle)) for item in row]
            self._fed_to_cm -= length

    def _gap_cm(self) -> float:
        rng = self._feed_rng
        if rng.uniform() < self._crowded:
            return float(rng.uniform(0.05, 0.6))
        return float(min(40, 2 + rng.exponential(5)))

    def _row(self) -> list[Item]:
        """One product, or two side by side; x is relative to the middle of the row."""
        rng = self._feed_rng
        found = [(product, dropped(rng, product)) for product in (any_product(rng), any_product(rng))]
        rooms = [room_of(product, pose) for product, pose in found]
        spare = _USED_CM - rooms[0][1] - rooms[1][1]
        if spare < 0.3 or rng.uniform() < 0.45:
            half = (_USED_CM - rooms[0][1]) / 2
            (product, pose) = found[0]
            return [Item(len(self._fed), product, replace(pose, y=float(rng.uniform(-half, half))))]
        between = float(min(spare, rng.exponential(4) + 0.1))
        edge = -_USED_CM / 2 + float(rng.uniform(0, spare - between))
        length = max(room[0] for room in rooms)
        row: list[Item] = []
        for (product, pose), room in zip(found, rooms, strict=True):
            free = (length - room[0]) / 2
            placed = replace(pose, x=float(rng.uniform(-free, free)), y=edge + room[1] / 2)
            row.append(Item(len(self._fed) + len(row), product, placed))
            edge += room[1] + between
        return row

    def _half_view_cm(self) -> float:
        """From the middle of the view along the belt to what is seen last, on the ground."""
        focal = self.camera.zoom * self.height
        reach = self.camera.distance_cm * math.hypot(self.width, self.height) / 2 / focal
        return min(150.0, 1.6 * reach / math.sin(math.radians(self.camera.elevation)))

    def _moved_in_frame(self) -> Smear:
        """How far and where the belt moves in the frame while the shutter is open."""
        ends = project(self.matrix, np.array([(0.0, 0, 0), (self.speed * _SHUTTER_S, 0, 0)]))
        x, y = (float(v) for v in ends[1] - ends[0])
        return Smear(math.hypot(x, y), math.degrees(math.atan2(y, x)))

    def _belt_picture(self) -> ImageArray:
        tile = _belt_tile(int(self.rng.integers(len(_BELTS))))
        repeats = 2 * math.ceil((self._half_view_cm() + _TILE_CM) / _TILE_CM)
        return np.tile(tile, (1, repeats, 1))

    def _surroundings(self) -> tuple[Surface, ...]:
        """The floor under the machine and its two rails."""
        rng = self.rng
        grey = int(rng.integers(96, 150))
        floor = speckled((grey, grey + 2, grey + 4), 240.0, 240.0, int(rng.integers(4)))
        length = 2 * self._half_view_cm() + 60
        rail = brushed((168, 168, 164), length, _RAIL_CM)
        at = BELT_CM / 2
        ground = Surface(floor, (-200, 200, -1), (400, 0, 0), (0, -400, 0))
        sides = [Surface(rail, (-length / 2, y, 0), (length, 0, 0), (0, -_RAIL_CM, 0)) for y in (at + _RAIL_CM, -at)]
        return (ground, *sides)


@cache
def _belt_tile(variant: int) -> ImageArray:
    """A piece of belt, 96 × 44 cm: weave, wear along it, and a seam."""
    color = _BELTS[variant]
    tile = speckled(color, _TILE_CM, BELT_CM, variant, along=7.0)
    seam = round(0.62 * tile.shape[1])
    cv2.line(tile, (seam, 0), (seam - 26, tile.shape[0]), mix(color, (0, 0, 0), 0.4), 3, cv2.LINE_AA)
    cv2.line(tile, (seam + 3, 0), (seam - 23, tile.shape[0]), mix(color, WHITE, 0.14), 2, cv2.LINE_AA)
    rng = np.random.default_rng((0xBE17, variant))
    for _ in range(26):  # scuffs
        x, y = int(rng.integers(40, tile.shape[1] - 40)), int(rng.integers(tile.shape[0]))
        cv2.line(tile, (x, y), (x + int(rng.integers(6, 34)), y + int(rng.integers(-3, 4))),
                 mix(color, WHITE, float(rng.uniform(0.05, 0.16))), 1, cv2.LINE_AA)  # fmt: skip
    edge = round(0.5 * PX_PER_CM)
    tile[:edge] = tile[-edge:] = mix(color, (0, 0, 0), 0.45)
    return tile
