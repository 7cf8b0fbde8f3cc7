"""A shop's shelf: brands in blocks, several rows deep, with gaps, price rails and customers who take things."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgevision.demo.camera import Camera, Light
from edgevision.demo.hands import Hand
from edgevision.demo.lettering import Color, Typeface, draw_text
from edgevision.demo.motifs import WHITE, mix
from edgevision.demo.packages import package
from edgevision.demo.products import LISTED, Product
from edgevision.demo.scene import sample_light
from edgevision.demo.world.poses import room_of, upright
from edgevision.demo.world.surfaces import Surface
from edgevision.demo.world.textures import size_px, speckled
from edgevision.demo.world.world import Item, Layer, World
from edgevision.frames import ImageArray

DEPTH_CM = 26.0
_RAIL_CM, _BOARD_CM, _PLINTH_CM = 4.2, 1.6, 14.0
_TALL_CM, _LOW_CM = 31.0, 17.0
_LEVELS = ((_TALL_CM, _LOW_CM, _TALL_CM, _LOW_CM), (_LOW_CM, _TALL_CM, _TALL_CM), (_TALL_CM, _TALL_CM, _LOW_CM),
           (_LOW_CM, _LOW_CM, _TALL_CM, _LOW_CM, _LOW_CM))  # fmt: skip
_BRANDS: tuple[tuple[Product, ...], ...] = tuple(
    tuple(p for p in LISTED if p.brand == brand) for brand in dict.fromkeys(p.brand for p in LISTED)
)
_BOARDS: tuple[Color, ...] = ((226, 230, 232), (206, 210, 212), (150, 156, 160), (188, 200, 210))
_RAILS: tuple[Color, ...] = ((196, 198, 200), (70, 70, 176), (150, 104, 52), (84, 88, 92), (80, 132, 60))
_TAG = Typeface(0.16, 0.6, 0.0, 0.12)
_TAKEN = 12  # products that customers take, at most
_REACH_S = 0.6


@dataclass(frozen=True)
class _Level:
    """One board with what stands on it. ``tags``: where on the rail (cm from its left end) price tags are."""

    floor_cm: float
    items: tuple[Item, ...]
    tags: tuple[float, ...]


class Shelf(World):
    """Products stand in rows one behind the other, their fronts to the aisle. Some places are empty, some products stand
    askew. Every few seconds a hand takes one from the front.

    >>> shelf = Shelf(seed=2, height=240, width=320)
    >>> all(0 < one.visible <= 1 for one in shelf.at(0).seen)
    True
    """

    _KEY = 0x5E1F

    def __init__(self, seed: int, height: int = 480, width: int = 640) -> None:
        super().__init__(seed, height, width)
        rng = self.rng
        view_cm = self.camera.distance_cm / self.camera.zoom
        self._half_cm = 0.72 * view_cm * width / height + 20
        self._levels = self._stock()
        self._taken = self._take(0.3 * view_cm * width / height)
        board = _BOARDS[int(rng.integers(len(_BOARDS)))]
        rail = _RAILS[int(rng.integers(len(_RAILS)))]
        self._boards = [self._board(level, board, rail) for level in self._levels]
        self._behind = self._surroundings(board, rail)

    def _view(self) -> tuple[Camera, Light]:
        rng = self.rng
        self._heights = _LEVELS[int(rng.integers(len(_LEVELS)))]
        zoom = float(rng.uniform(1.2, 1.7))
        middle = sum(self._heights) * float(rng.uniform(0.42, 0.55))
        camera = Camera(
            (float(rng.normal(0, 4)), 0.0, middle), zoom * float(rng.uniform(74, 92)),
            float(np.clip(rng.normal(0, 14), -32, 32)), float(rng.uniform(-2, 17)), float(rng.normal(0, 1)), zoom,
        )  # fmt: skip
        light = sample_light(rng)
        return camera, replace(light, azimuth=0.6 * light.azimuth, ambient=light.ambient + 0.08)

    def layers(self, time_s: float) -> tuple[Layer, ...]:
        """The wall behind; then the levels, those farther above or below the camera first.

        A board lies between the products on it and those below: whatever is on the camera's side of it is painted later.
        """
        eye_cm = float(self.eye[2])
        there = [tuple(i for i in level.items if self._taken.get(i.id, np.inf) > time_s) for level in self._levels]
        below = [k for k, level in enumerate(self._levels) if level.floor_cm <= eye_cm]
        above = [k for k in range(len(self._levels)) if k not in below]
        own = below[-1:]
        layers = [Layer(self._behind)]
        layers += [Layer(self._boards[k], there[k]) for k in below if k not in own]
        for k in reversed(above):
            layers += [Layer(items=there[k]), Layer(self._boards[k])]
        layers += [Layer(self._boards[k], there[k]) for k in own]
        return tuple(layers)

    def hands(self, time_s: float) -> tuple[Hand, ...]:
        """The hand that takes a product: there a little before and after it is gone."""
        hands = []
        for level in self._levels:
            for item in level.items:
                away = abs(time_s - self._taken.get(item.id, np.inf)) / _REACH_S
                if away < 1:
                    point = (item.pose.x, item.pose.y - 3, item.pose.lift + package(item.product).size[2] / 2)
                    hands.append(self.reaching_hand(point, away))
        return tuple(hands)

    def _stock(self) -> list[_Level]:
        """Fill every board; the last one is the lid."""
        levels: list[_Level] = []
        floor_cm, count = 0.0, 0
        for height_cm in self._heights:
            items, tags = self._fill(floor_cm, height_cm, count)
            levels.append(_Level(floor_cm, tuple(items), tuple(tags)))
            floor_cm, count = floor_cm + height_cm, count + len(items)
        return [*levels, _Level(floor_cm, (), ())]

    def _fill(self, floor_cm: float, height_cm: float, first_id: int) -> tuple[list[Item], list[float]]:
        """Blocks of one brand each, its flavours side by side; ids count on from ``first_id``."""
        rng = self.rng
        fitting = [brand for brand in _BRANDS if package(brand[0]).size[2] < height_cm - _RAIL_CM + 1]
        items: list[Item] = []
        tags: list[float] = []
        x = -self._half_cm + float(rng.uniform(0, 5))
        order: list[int] = []
        while x < self._half_cm:
            order = order or [int(k) for k in rng.permutation(len(fitting))]
            brand = fitting[order.pop()]
            for product in [brand[int(k)] for k in rng.permutation(len(brand))]:
                tags.append(x + self._half_cm)
                for _ in range(int(rng.integers(1, 4))):
                    width, row = self._facing(product, floor_cm, x, first_id + len(items))
                    items += row
                    x += width + float(rng.uniform(0.2, 0.9))
            x += float(rng.uniform(0.5, 2.5))
        return items, tags

    def _facing(self, product: Product, floor_cm: float, x: float, first_id: int) -> tuple[float, list[Item]]:
        """Products one behind the other, from ``x`` (cm) on, and the width that they take. Some facings are sold out."""
        rng = self.rng
        width, depth, _ = package(product).size
        rows = max(1, int((DEPTH_CM - 2) / (depth + 1)))
        rows = min(rows, 2 if rng.uniform() < 0.75 else 3)
        sold = int(rng.choice(4, p=(0.8, 0.12, 0.05, 0.03)))  # from the front
        y, items = 1.0, []
        for row in range(rows):
            turned = rng.uniform() < 0.04
            pose = upright(rng, spread=50.0 if turned else 3.5)
            room = room_of(product, pose)
            if y + room[1] > DEPTH_CM:
                break
            width = max(width, room[0])
            if row >= sold:
                items.append((pose, y + room[1] / 2))
            y += room[1] + float(rng.uniform(0.2, 1.2))
        placed = [replace(pose, x=x + width / 2, y=at, lift=floor_cm) for pose, at in items]
        return width, [Item(first_id + k, product, pose) for k, pose in enumerate(placed)]

    def _take(self, reach_cm: float) -> dict[int, float]:
        """When which products go, by id: always the first of its facing, and never far from the middle of the view."""
        first: dict[tuple[float, float], Item] = {}
        for level in self._levels:
            for item in level.items:
                first.setdefault((item.pose.x, item.pose.lift), item)
        near = [item for item in first.values() if abs(item.pose.x) < reach_cm]
        chosen = self.rng.permutation(len(near))[:_TAKEN]
        times = np.cumsum(self.rng.uniform(2.0, 5.0, len(chosen)))
        return {near[int(k)].id: float(time) for k, time in zip(chosen, times, strict=True)}

    def _board(self, level: _Level, color: Color, rail: Color) -> tuple[Surface, ...]:
        """The side of the board that the camera sees, and its rail."""
        half, length, z = self._half_cm, 2 * self._half_cm, level.floor_cm
        from_above = z <= float(self.eye[2])
        tone = color if from_above else mix(color, (0, 0, 0), 0.45)
        board = speckled(tone, 60.0, DEPTH_CM, 1)
        board_cm = z if from_above else z - _BOARD_CM
        front = _rail_picture(length, rail, level.tags, self.rng)
        return (
            Surface(_darker_behind(board), (-half, DEPTH_CM, board_cm), (length, 0, 0), (0, -DEPTH_CM, 0)),
            Surface(front, (-half, -0.3, z + 0.3), (length, 0, 0), (0, 0, -_RAIL_CM)),
        )

    def _surroundings(self, board: Color, rail: Color) -> tuple[Surface, ...]:
        """The shop far behind, the floor, the plinth, the back of every level and a sign above."""
        half, length, top = self._half_cm, 2 * self._half_cm, self._levels[-1].floor_cm
        shop = np.full((8, 8, 3), mix(board, (120, 130, 140), 0.6), np.uint8)
        floor = speckled((150, 156, 160), 120.0, 60.0, 2)
        near_cm = -0.7 * self.camera.distance_cm
        plinth = speckled((58, 60, 64), 60.0, _PLINTH_CM, 3)
        panel = _panel(mix(board, (60, 64, 68), 0.22))
        surfaces = [
            Surface(shop, (-400, 160, 300), (800, 0, 0), (0, 0, -500)),
            Surface(floor, (-half, 0, -_PLINTH_CM), (length, 0, 0), (0, near_cm, 0)),
            Surface(plinth, (-half, 0, -_RAIL_CM), (length, 0, 0), (0, 0, _RAIL_CM - _PLINTH_CM)),
        ]
        for level, above in zip(self._levels, self._levels[1:], strict=False):
            height = above.floor_cm - level.floor_cm
            surfaces.append(Surface(panel, (-half, DEPTH_CM, above.floor_cm), (length, 0, 0), (0, 0, -height)))
        sign = _sign(length, rail)
        return (*surfaces, Surface(sign, (-half, 3, top + 14), (length, 0, 0), (0, 0, -14)))


def _darker_behind(board: ImageArray) -> ImageArray:
    """Light comes from the front: less of it reaches the back, which is the picture's upper edge."""
    share = np.linspace(0.5, 1.0, board.shape[0], dtype=np.float32)[:, None, None]
    return np.asarray(board * share, np.uint8)


def _panel(color: Color) -> ImageArray:
    """Punched metal, dark under the board above."""
    width, height = size_px(100.0, 30.0)
    panel = np.full((height, width, 3), color, np.uint8)
    for x in range(10, width, 20):
        for y in range(10, height, 20):
            cv2.circle(panel, (x, y), 3, mix(color, (0, 0, 0), 0.45), -1, cv2.LINE_AA)
    share = (0.45 + 0.45 * np.linspace(0, 1, height, dtype=np.float32) ** 0.6)[:, None, None]
    return np.asarray(panel * share, np.uint8)


def _rail_picture(length_cm: float, color: Color, tags: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    """A price rail with a tag at each of ``tags`` (cm from its left end)."""
    scale = 2  # twice as fine as other pictures: prices can be read
    width, height = (scale * v for v in size_px(length_cm, _RAIL_CM))
    rail = np.full((height, width, 3), color, np.uint8)
    rail[:5] = mix(color, WHITE, 0.5)
    rail[-5:] = mix(color, (0, 0, 0), 0.35)
    px = width / length_cm
    for place, tag_cm in enumerate(tags):
        left, right = round((tag_cm + 0.3) * px), round((tag_cm + 6.3) * px)
        offer = (place * 7 + len(tags)) % 5 == 0
        ground, ink = ((70, 214, 250), (40, 36, 190)) if offer else ((246, 248, 248), (34, 32, 30))
        cv2.rectangle(rail, (left, 8), (right, height - 9), ground, -1)
        price = f"{rng.integers(0, 9)}.{rng.integers(0, 10)}9"
        draw_text(rail, price, ((left + right) / 2, 0.42 * height), 0.34 * height, ink, _TAG)
        for row, share in ((0.68, 0.8), (0.76, 0.5)):
            y = round(row * height)
            cv2.line(rail, (left + 8, y), (left + 8 + round(share * (right - left - 16)), y), mix(ground, ink, 0.6), 2)
    small = cv2.resize(rail, (width // scale, height // scale), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _sign(length_cm: float, color: Color) -> ImageArray:
    """The board with the shop's words above the shelf."""
    width, height = size_px(length_cm, 14.0)
    sign = np.full((height, width, 3), mix(color, (30, 30, 30), 0.3), np.uint8)
    for x in range(width // 8, width, width // 4):
        draw_text(sign, "EVERYDAY GOODS", (x, height / 2), 0.3 * height, WHITE, _TAG, fit=0.2 * width)
    return sign
