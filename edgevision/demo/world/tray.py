"""A checkout tray: 5 to 20 products put down one after the other, anyhow and on top of each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.camera import Camera, Light, Matrix, Pose
from edgevision.demo.hands import Hand
from edgevision.demo.lettering import Color
from edgevision.demo.motifs import WHITE, mix
from edgevision.demo.products import Product
from edgevision.demo.scene import sample_light
from edgevision.demo.world.poses import any_product, dropped, lying, room_of
from edgevision.demo.world.surfaces import Surface
from edgevision.demo.world.textures import size_px, speckled, wooden
from edgevision.demo.world.world import Item, Layer, World
from edgevision.frames import ImageArray

TRAY_CM = (60.0, 46.0)
_FLOOR_CM = (54.0, 40.0)  # inside the rim
MIN_ITEMS, MAX_ITEMS = 5, 20
_POSES, _PLACES = 8, 5  # tried for each product
_TRAYS: tuple[Color, ...] = ((92, 98, 102), (120, 84, 52), (66, 72, 146), (72, 110, 76), (176, 182, 186), (58, 58, 62))
_COUNTERS: tuple[Color, ...] = ((208, 212, 214), (160, 166, 172), (188, 198, 206), (98, 100, 104))
_WOODS: tuple[Color, ...] = ((98, 140, 178), (72, 106, 146), (130, 172, 204))


@dataclass(frozen=True)
class _Put:
    """A product and when it is put down."""

    item: Item
    time_s: float


@dataclass(frozen=True, eq=False)
class _Placed:
    """A product where it lies. ``corners``: of the turned rectangle that it takes, seen from above, 4×2 cm; ``top``: how
    high it reaches."""

    product: Product
    pose: Pose
    corners: npt.NDArray[np.float64]
    top: float

    @classmethod
    def of(cls, product: Product, pose: Pose) -> _Placed:
        """In the middle of the tray."""
        width, depth, height = room_of(product, replace(pose, yaw=0.0))
        a = math.radians(pose.yaw)
        turn = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
        half = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, depth / 2)
        return cls(product, pose, half @ turn, height)

    def moved(self, x: float, y: float) -> _Placed:
        """The same with its middle at (x, y)."""
        return replace(self, pose=replace(self.pose, x=x, y=y), corners=self.corners + np.array([x, y]))

    def lifted(self, lift: float) -> _Placed:
        """The same, ``lift`` cm above the tray."""
        return replace(self, pose=replace(self.pose, lift=lift), top=lift + self.top)

    def meets(self, others: list[_Placed]) -> npt.NDArray[np.bool_]:
        """Which rectangles of ``others`` overlap with this one: no side of either parts them."""
        if not others:
            return np.zeros(0, np.bool_)
        theirs = np.stack([one.corners for one in others])
        mine = np.broadcast_to(self.corners, theirs.shape)
        apart = np.zeros(len(others), np.bool_)
        for corners in (mine, theirs):
            sides = np.stack([corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]], axis=2)
            first, second = mine @ sides, theirs @ sides
            clear = (first.max(axis=1) <= second.min(axis=1)) | (second.max(axis=1) <= first.min(axis=1))
            apart |= clear.any(axis=1)
        return ~apart

    def is_under(self, x: float, y: float) -> bool:
        """Whether a point lies in the rectangle."""
        first = self.corners[0]
        edges = (self.corners[1] - first, self.corners[3] - first)
        return all(0 <= np.dot((x, y) - first, edge) <= np.dot(edge, edge) for edge in edges)


class Tray(World):
    """Products come onto a tray one by one, brought by a hand, and stay. The first ``MIN_ITEMS`` are there from the start.

    What finds no free place comes to lie on what is there.
    """

    _KEY = 0x72A1

    def __init__(self, seed: int, height: int = 480, width: int = 640) -> None:
        super().__init__(seed, height, width)
        rng = self.rng
        self._furniture = self._counter_and_tray()
        self._puts = self._put_down(int(rng.integers(MIN_ITEMS, MAX_ITEMS + 1)))

    def _view(self) -> tuple[Camera, Light]:
        rng = self.rng
        zoom = float(rng.uniform(1.2, 1.8))
        view_cm = float(rng.uniform(52, 62))
        camera = Camera(
            (float(rng.normal(0, 1.5)), float(rng.normal(0, 1.5)), 3), zoom * view_cm, float(rng.normal(0, 10)),
            float(rng.uniform(55, 86)), float(rng.normal(0, 2)), zoom,
        )  # fmt: skip
        return camera, sample_light(rng)

    @property
    def complete_s(self) -> float:
        """From when on all products are there."""
        return self._puts[-1].time_s

    def layers(self, time_s: float) -> tuple[Layer, ...]:
        """The counter with the tray; then the products that are there."""
        return Layer(self._furniture), Layer(items=tuple(put.item for put in self._puts if put.time_s <= time_s))

    def hands(self, time_s: float) -> tuple[Hand, ...]:
        """The hand that puts a product down: there half a second before and after."""
        hands = []
        for put in self._puts:
            away = abs(time_s - put.time_s)
            if away < 0.5 and put.time_s > 0:
                pose = put.item.pose
                hands.append(self.reaching_hand((pose.x, pose.y, pose.lift + 4.0), away / 0.5))
        return tuple(hands)

    def _put_down(self, count: int) -> tuple[_Put, ...]:
        rng = self.rng
        placed: list[_Placed] = []
        for _ in range(count):
            product = any_product(rng)
            placed.append(self._on_the_floor(product, placed) or self._on_others(product, placed))
        times = np.concatenate([np.zeros(MIN_ITEMS), np.cumsum(rng.uniform(0.8, 1.6, count - MIN_ITEMS)) + 0.5])
        return tuple(_Put(Item(id, one.product, one.pose), float(times[id])) for id, one in enumerate(placed))

    def _on_the_floor(self, product: Product, placed: list[_Placed]) -> _Placed | None:
        """A place beside all others; None if none is found."""
        for _ in range(_POSES):
            pose = dropped(self.rng, product)
            for _ in range(_PLACES):
                here = self._somewhere(product, pose)
                if not here.meets(placed).any():
                    return here
        return None

    def _on_others(self, product: Product, placed: list[_Placed]) -> _Placed:
        """Lying on top of others: the lowest of some places where what carries it is under its middle."""
        found = []
        for _ in range(_POSES):
            pose = lying(self.rng, product)
            for _ in range(_PLACES):
                here = self._somewhere(product, pose)
                under = [placed[k] for k in np.flatnonzero(here.meets(placed))]
                if not under:
                    return here
                carrier = max(under, key=lambda one: one.top)
                found.append((carrier.is_under(here.pose.x, here.pose.y), here.lifted(carrier.top)))
        return min(found, key=lambda place: (not place[0], place[1].pose.lift))[1]

    def _somewhere(self, product: Product, pose: Pose) -> _Placed:
        here = _Placed.of(product, pose)
        free = np.maximum(0.0, np.array(_FLOOR_CM) / 2 - here.corners.max(axis=0))
        return here.moved(*(float(v) for v in self.rng.uniform(-free, free)))

    def _counter_and_tray(self) -> tuple[Surface, ...]:
        rng = self.rng
        seed = int(rng.integers(4))
        if rng.uniform() < 0.5:
            counter = speckled(_COUNTERS[int(rng.integers(len(_COUNTERS)))], 120.0, 120.0, seed)
        else:
            counter = wooden(_WOODS[int(rng.integers(len(_WOODS)))], 120.0, 120.0, seed)
        tray, alpha = _tray_picture(_TRAYS[int(rng.integers(len(_TRAYS)))])
        width, depth = TRAY_CM
        turn = np.radians(rng.normal(0, 2))
        right, down = np.array([np.cos(turn), np.sin(turn), 0]), np.array([np.sin(turn), -np.cos(turn), 0])
        corner = -width / 2 * right - depth / 2 * down
        return (
            Surface(counter, (-150, 150, 0), (300, 0, 0), (0, -300, 0)),
            Surface(tray, _point(corner), _point(width * right), _point(depth * down), alpha),
        )


def _point(values: Matrix) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z


@cache
def _tray_picture(color: Color) -> tuple[ImageArray, npt.NDArray[np.uint8]]:
    """A tray from above, and its alpha: rim, inner slope and floor."""
    width, height = size_px(*TRAY_CM)
    picture = np.full((height, width, 3), color, np.uint8)
    rim = round((TRAY_CM[0] - _FLOOR_CM[0]) / 2 * width / TRAY_CM[0])
    floor = speckled(color, *TRAY_CM, 3)
    for inset, tone in ((0, mix(color, (0, 0, 0), 0.45)), (3, mix(color, WHITE, 0.32)), (9, color),
                        (round(0.62 * rim), mix(color, (0, 0, 0), 0.4)), (round(0.85 * rim), mix(color, (0, 0, 0), 0.18)),
                        (rim, None)):  # fmt: skip
        mask = _rounded(width, height, inset)
        inside = mask > 127
        picture[inside] = floor[inside] if tone is None else tone
    picture = cv2.GaussianBlur(picture, (0, 0), 1.2)
    return np.asarray(picture, np.uint8), _rounded(width, height, 1)


def _rounded(width: int, height: int, inset: int) -> npt.NDArray[np.uint8]:
    """A mask of a rectangle with round corners, ``inset`` pixels from the edge."""
    mask = np.zeros((height, width), np.uint8)
    radius = max(4, 44 - inset // 2)
    low, high = inset + radius, (width - 1 - inset - radius, height - 1 - inset - radius)
    cv2.rectangle(mask, (low, inset), (high[0], height - 1 - inset), 255, -1)
    cv2.rectangle(mask, (inset, low), (width - 1 - inset, high[1]), 255, -1)
    for x in (low, high[0]):
        for y in (low, high[1]):
            cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
    return mask
