"""Where products stand: trays, belts, tables, counters and shelves, with what is behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.camera import Camera, Matrix, project
from edgevision.demo.lettering import Color, draw_text
from edgevision.demo.motifs import WHITE, mix
from edgevision.frames import ImageArray

GROUND_PX, GROUND_CM = 768, 96.0  # a ground texture, seen from straight above, and what it covers
WALL_PX, WALL_CM = (512, 256), (200.0, 100.0)
SHELF_EDGE_CM = -9.0


class Place(Enum):
    """Kinds of place."""

    TRAY = "tray"
    BELT = "belt"
    TABLE = "table"
    COUNTER = "counter"
    SHELF = "shelf"


@dataclass(frozen=True)
class Backdrop:
    """One place. ``variant`` picks its look; ``turn`` (degrees) and ``shift`` (cm) move the ground under the product;
    ``wall_cm``: how far behind the product the wall is."""

    place: Place
    variant: int = 0
    turn: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    wall_cm: float = 60.0


def paint_backdrop(side_px: int, camera: Camera, backdrop: Backdrop) -> ImageArray:
    """An S×S×3 frame of the empty place."""
    matrix = camera.matrix(side_px)
    flags = cv2.INTER_LINEAR
    ground = _ground(backdrop.place, backdrop.variant % VARIANTS)
    a, scale = math.radians(backdrop.turn), GROUND_CM / GROUND_PX
    texture_to_world = np.array([
        [scale * math.cos(a), scale * math.sin(a), 0], [scale * math.sin(a), -scale * math.cos(a), 0], [0, 0, 1],
    ])  # fmt: skip
    middle = np.array([[1, 0, -(GROUND_PX - 1) / 2], [0, 1, -(GROUND_PX - 1) / 2], [0, 0, 1]])
    shift = np.array([[1, 0, backdrop.shift[0]], [0, 1, backdrop.shift[1]], [0, 0, 1]])
    on_ground = matrix[:, [0, 1, 3]] @ shift @ texture_to_world @ middle
    frame = cv2.warpPerspective(ground, on_ground, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_REFLECT)
    _paint_wall(frame, matrix, camera, backdrop)
    if backdrop.place is Place.SHELF:
        _paint_rail(frame, matrix, backdrop.variant)
    return np.asarray(frame, np.uint8)


def _paint_wall(frame: ImageArray, matrix: Matrix, camera: Camera, backdrop: Backdrop) -> None:
    """A vertical plane across the view, ``wall_cm`` behind the origin."""
    side = frame.shape[0]
    a = math.radians(camera.azimuth)
    along, away = np.array([math.cos(a), math.sin(a), 0]), np.array([-math.sin(a), math.cos(a), 0])
    foot = project(matrix, np.stack([backdrop.wall_cm * away + t * 80 * along for t in (-1, 1)]))
    if foot[:, 1].max() < -0.1 * side:
        return
    wall = _wall(backdrop.place, backdrop.variant % VARIANTS)
    scale = WALL_CM[0] / WALL_PX[0]
    # Columns of the world point of texture pixel (i, j): along·scale·(i - centre) + up·scale·(bottom - j) + foot.
    to_world = np.zeros((4, 3))
    to_world[:3, 0], to_world[2, 1] = scale * along, -scale
    to_world[:3, 2] = backdrop.wall_cm * away - scale * WALL_PX[0] / 2 * along + np.array([0, 0, scale * WALL_PX[1]])
    to_world[3, 2] = 1
    seen = cv2.warpPerspective(wall, matrix @ to_world, (side, side), borderMode=cv2.BORDER_REFLECT)
    slope = (foot[1, 1] - foot[0, 1]) / (foot[1, 0] - foot[0, 0])
    line = foot[0, 1] + slope * (np.arange(side) - foot[0, 0])
    share = np.clip(line[None, :] - np.arange(side)[:, None], 0, 1).astype(np.float32)[..., None]
    frame[...] = np.rint(frame + share * (seen.astype(np.float32) - frame))


def _paint_rail(frame: ImageArray, matrix: Matrix, variant: int) -> None:
    """The front edge of a shelf with its price tags, and the dark under it."""
    corners = np.array(
        [(x, SHELF_EDGE_CM, z) for x, z in ((-48, 0), (48, 0), (48, -4), (-48, -4), (48, -60), (-48, -60))]
    )
    at = project(matrix, corners).astype(np.float32)
    under = np.stack([at[3], at[2], at[4], at[5]])
    cv2.fillConvexPoly(frame, np.round(under).astype(np.int32), (34, 36, 40), cv2.LINE_AA)
    rail = _rail(variant % VARIANTS)
    h, w = rail.shape[:2]
    warp = cv2.getPerspectiveTransform(np.array([(0, 0), (w - 1, 0), (w - 1, h - 1), (0, h - 1)], np.float32), at[:4])
    cv2.warpPerspective(rail, warp, frame.shape[1::-1], dst=frame, borderMode=cv2.BORDER_TRANSPARENT)


# ---- textures, drawn once ----

VARIANTS = 6
_Field = npt.NDArray[np.float32]


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng((0xBAC, *key))


def _speckle(rng: np.random.Generator, shape: tuple[int, int], blur_x: float, blur_y: float) -> _Field:
    """Smooth noise with unit spread."""
    field = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), blur_x, sigmaY=blur_y)
    return np.asarray(field / field.std(), np.float32)


def _tinted(color: Color, field: _Field) -> ImageArray:
    """``color`` made lighter and darker by ``field`` (in grey levels)."""
    return np.asarray(np.clip(np.array(color, np.float32) + field[..., None], 0, 255), np.uint8)


@cache
def _ground(place: Place, variant: int) -> ImageArray:
    return {
        Place.TRAY: _tray, Place.BELT: _belt, Place.TABLE: _table, Place.COUNTER: _counter, Place.SHELF: _shelf,
    }[place](variant)  # fmt: skip


def _table(variant: int) -> ImageArray:
    rng = _rng(1, variant)
    n = GROUND_PX
    woods: tuple[Color, ...] = (
        (92, 138, 178),
        (62, 96, 138),
        (120, 168, 205),
        (48, 70, 98),
        (140, 178, 200),
        (74, 110, 160),
    )
    texture = np.zeros((n, n, 3), np.uint8)
    y = 0
    while y < n:
        height = int(rng.integers(90, 130))
        shape = (min(height, n - y), n)
        grain = 7 * _speckle(rng, shape, 60, 1.2) + 6 * _speckle(rng, shape, 25, 0.6) + 4 * _speckle(rng, shape, 80, 6)
        plank = _tinted(woods[variant], grain + float(rng.normal(0, 9)))
        plank[:2] = mix(woods[variant], (10, 16, 24), 0.6)
        plank[2:4] = mix(woods[variant], WHITE, 0.15)
        texture[y : y + height] = plank
        y += height
    return texture


def _belt(variant: int) -> ImageArray:
    rng = _rng(2, variant)
    n = GROUND_PX
    tones: tuple[Color, ...] = ((46, 44, 42), (60, 58, 54), (38, 40, 40), (74, 70, 66), (52, 60, 54), (66, 56, 50))
    threads = np.sign(np.sin(np.arange(n, dtype=np.float32) / 1.9))
    weave = 3 * threads[:, None] * threads[None, :]
    texture = _tinted(tones[variant], weave + 4 * _speckle(rng, (n, n), 1, 1) + 4 * _speckle(rng, (n, n), 120, 8))
    edge = round(0.2 * n)
    for y, height, color in ((edge - 44, 44, (168, 166, 162)), (n - edge, 44, (168, 166, 162))):
        texture[y : y + height] = _tinted(color, 5 * _speckle(rng, (height, n), 90, 0.7))
        texture[y : y + 3] = texture[y + height - 3 : y + height] = (96, 94, 92)
    for rows in (slice(0, edge - 44), slice(n - edge + 44, n)):
        height = len(range(*rows.indices(n)))
        texture[rows] = _tinted((126, 130, 134), 3 * _speckle(rng, (height, n), 2, 2))
    return texture


def _counter(variant: int) -> ImageArray:
    rng = _rng(3, variant)
    n = GROUND_PX
    stones: tuple[Color, ...] = (
        (214, 216, 216), (168, 172, 178), (196, 206, 214), (88, 92, 96), (206, 196, 184), (226, 230, 232))  # fmt: skip
    field = 5 * _speckle(rng, (n, n), 30, 30) + 3 * _speckle(rng, (n, n), 2, 2)
    texture = _tinted(stones[variant], field)
    for _ in range(900):
        at = tuple(int(v) for v in rng.integers(0, n, 2))
        tone = float(rng.uniform(-50, 40))
        color = tuple(int(np.clip(c + tone, 0, 255)) for c in stones[variant])
        cv2.circle(texture, at, int(rng.integers(1, 3)), color, -1, cv2.LINE_AA)
    return texture


def _shelf(variant: int) -> ImageArray:
    rng = _rng(4, variant)
    n = GROUND_PX
    boards: tuple[Color, ...] = (
        (222, 226, 228), (206, 210, 212), (182, 196, 208), (150, 158, 164), (228, 228, 224), (110, 116, 122))  # fmt: skip
    texture = _tinted(boards[variant], 3 * _speckle(rng, (n, n), 50, 2))
    if variant % 2:  # punched metal
        for y in range(24, n, 48):
            for x in range(24, n, 48):
                cv2.circle(texture, (x, y), 7, mix(boards[variant], (30, 32, 34), 0.5), -1, cv2.LINE_AA)
    return texture


def _tray(variant: int) -> ImageArray:
    rng = _rng(5, variant)
    n = GROUND_PX
    texture = (_table if variant % 2 else _counter)(variant).copy()
    trays: tuple[Color, ...] = (
        (92, 96, 98),
        (64, 74, 170),
        (132, 104, 58),
        (72, 118, 74),
        (196, 200, 204),
        (44, 46, 50),
    )
    color, floor = trays[variant], 4 * _speckle(rng, (n, n), 1.2, 1.2)
    layers = (
        (118, mix(color, (8, 8, 8), 0.75), None), (126, mix(color, WHITE, 0.3), None), (134, color, None),
        (150, mix(color, (0, 0, 0), 0.35), None), (164, mix(color, (0, 0, 0), 0.12), floor),
    )  # fmt: skip
    for inset, tone, grain in layers:
        mask = np.zeros((n, n), np.uint8)
        _rounded(mask, inset, round(0.72 * inset), n, 60)
        paint = _tinted(tone, grain if grain is not None else np.zeros((n, n), np.float32))
        share = (mask.astype(np.float32) / 255)[..., None]
        texture = np.asarray(np.rint(texture + share * (paint.astype(np.float32) - texture)), np.uint8)
    return np.asarray(texture, np.uint8)


def _rounded(mask: npt.NDArray[np.uint8], x: int, y: int, n: int, radius: int) -> None:
    for inset_x, inset_y in ((x + radius, y), (x, y + radius)):
        cv2.rectangle(mask, (inset_x, inset_y), (n - inset_x, n - inset_y), 255, -1)
    for cx in (x + radius, n - x - radius):
        for cy in (y + radius, n - y - radius):
            cv2.circle(mask, (cx, cy), radius, 255, -1, cv2.LINE_AA)


@cache
def _wall(place: Place, variant: int) -> ImageArray:
    """What is behind: a shelf's back panel, or a shop out of focus."""
    rng = _rng(6, variant)
    width, height = WALL_PX
    if place is Place.SHELF:
        tone = int(rng.integers(120, 215))
        panel = _tinted((tone, tone, tone - 4), 3 * _speckle(rng, (height, width), 3, 3))
        for x in range(0, width, 40):
            for y in range(0, height, 12):
                cv2.circle(panel, (x, y), 2, (tone - 60,) * 3, -1, cv2.LINE_AA)
        return panel
    shop = np.full((height, width, 3), tuple(int(v) for v in rng.integers(120, 205, 3)), np.uint8)
    for top in range(10, height, 52):  # rows of goods
        x = int(rng.integers(-20, 0))
        while x < width:
            w, h = int(rng.integers(12, 34)), int(rng.integers(22, 42))
            hue = np.array([[[rng.integers(0, 180), rng.integers(30, 190), rng.integers(70, 230)]]], np.uint8)
            color = tuple(int(v) for v in cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0])
            cv2.rectangle(shop, (x, top + 44 - h), (x + w - 2, top + 44), color, -1)
            x += w
        cv2.rectangle(shop, (0, top + 44), (width, top + 51), (190, 194, 196), -1)
    return np.asarray(cv2.GaussianBlur(shop, (0, 0), 7), np.uint8)


@cache
def _rail(variant: int) -> ImageArray:
    rng = _rng(7, variant)
    colors: tuple[Color, ...] = (
        (200, 202, 204),
        (60, 60, 190),
        (150, 110, 50),
        (90, 92, 94),
        (214, 216, 216),
        (60, 130, 70),
    )
    rail = np.full((40, 960, 3), colors[variant], np.uint8)
    rail[:4] = mix(colors[variant], WHITE, 0.5)
    for x in range(40, 960, 150):
        left = x + int(rng.integers(-20, 20))
        cv2.rectangle(rail, (left, 7), (left + 62, 36), (240, 244, 246), -1)
        draw_text(rail, f"{rng.integers(0, 9)}.{rng.integers(10, 99)}", (left + 31, 20), 15, (30, 30, 30))
    return rail
