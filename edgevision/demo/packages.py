"""Packages in three dimensions: printed panels on boxes, cylinders and bags.

Centimetres; x to the right, y away from the viewer, z up. A package stands on z = 0 around the z axis, its front
faces -y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.labels import INK, blank, front, ink_on, side
from edgevision.demo.lettering import Color, draw_text
from edgevision.demo.motifs import WHITE, disc, mix
from edgevision.demo.products import Product, Shape
from edgevision.frames import ImageArray

Points = npt.NDArray[np.float32]
PAD_PX = 2  # each texture carries this border of repeated pixels, so that neighbouring quads overlap, not gap
PX_PER_CM = 26
SILVER: Color = (196, 192, 188)


@dataclass(frozen=True, eq=False)
class Patch:
    """A printed surface: ``points`` (r+1)×(c+1)×3 is a grid over the texture, row 0 at its top, column 0 at its left;
    ``rows``: where in the texture its rows lie, 0…1; its columns are evenly spaced.

    ``mips``: the texture and its halvings, each with ``PAD_PX`` around it. ``samples`` and ``normals`` (m×n×3): where
    light is computed, evenly spread over the texture. ``gloss``: 0 = matt card, 1 = polished metal.
    """

    points: Points
    rows: npt.NDArray[np.float64]
    samples: Points
    normals: Points
    mips: tuple[ImageArray, ...]
    gloss: float


@dataclass(frozen=True, eq=False)
class Package:
    """The surfaces of one product. ``size``: of its bounding box, in cm."""

    patches: tuple[Patch, ...]
    size: tuple[float, float, float]


@lru_cache(maxsize=128)
def package(product: Product) -> Package:
    """Build ``product``; its panels are drawn once and kept."""
    patches = tuple(_BUILDERS[product.shape](product))
    points = np.concatenate([p.points.reshape(-1, 3) for p in patches])
    size = points.max(axis=0) - points.min(axis=0)
    return Package(patches, (float(size[0]), float(size[1]), float(size[2])))


def _patch(
    points: npt.ArrayLike, texture: ImageArray, gloss: float, rows: npt.NDArray[np.float64] | None = None
) -> Patch:
    grid = np.asarray(points, np.float32)
    if rows is None:
        rows = np.linspace(0, 1, len(grid))
    samples = _subdivided(grid, 6) if grid.shape[:2] == (2, 2) else _evened(grid, rows)
    # Outward = down the rows × along the columns: both are seen from outside.
    normals = np.cross(np.gradient(samples, axis=0), np.gradient(samples, axis=1))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-9
    mips = [texture]
    while min(mips[-1].shape[:2]) >= 24 and len(mips) < 6:
        half = (mips[-1].shape[1] // 2, mips[-1].shape[0] // 2)
        mips.append(cv2.resize(mips[-1], half, interpolation=cv2.INTER_AREA))
    padded = tuple(cv2.copyMakeBorder(m, *(PAD_PX,) * 4, cv2.BORDER_REPLICATE) for m in mips)
    return Patch(grid, rows, samples, normals.astype(np.float32), padded, gloss)


def _subdivided(corners: Points, n: int) -> Points:
    t = np.linspace(0, 1, n, dtype=np.float32)
    top = corners[0, 0] + t[:, None] * (corners[0, 1] - corners[0, 0])
    bottom = corners[1, 0] + t[:, None] * (corners[1, 1] - corners[1, 0])
    return np.asarray(top + t[:, None, None] * (bottom - top)[None], np.float32)


def _evened(grid: Points, rows: npt.NDArray[np.float64]) -> Points:
    """The same surface with rows evenly spread over the texture, a few more of them."""
    at = np.linspace(0, 1, max(16, len(grid)))
    flat = grid.reshape(len(grid), -1)
    even = [np.interp(at, rows, flat[:, k]) for k in range(flat.shape[1])]
    return np.stack(even, axis=1).reshape(len(at), *grid.shape[1:]).astype(np.float32)


def _flat(corners: Sequence[Sequence[float]], texture: ImageArray, gloss: float) -> Patch:
    """``corners``: top left, top right, bottom left, bottom right, as seen from outside."""
    return _patch(np.array(corners, np.float32).reshape(2, 2, 3), texture, gloss)


def _px(cm: float) -> int:
    return max(4, round(cm * PX_PER_CM))


def _cuboid(w: float, d: float, h: float, faces: dict[str, ImageArray], gloss: float) -> list[Patch]:
    """A box; ``faces`` may leave out any of front, right, back, left, top, bottom."""
    x, y = w / 2, d / 2
    corners = {
        "front": ((-x, -y, h), (x, -y, h), (-x, -y, 0), (x, -y, 0)),
        "right": ((x, -y, h), (x, y, h), (x, -y, 0), (x, y, 0)),
        "back": ((x, y, h), (-x, y, h), (x, y, 0), (-x, y, 0)),
        "left": ((-x, y, h), (-x, -y, h), (-x, y, 0), (-x, -y, 0)),
        "top": ((-x, y, h), (x, y, h), (-x, -y, h), (x, -y, h)),
        "bottom": ((-x, -y, 0), (x, -y, 0), (-x, y, 0), (x, y, 0)),
    }
    return [_flat(corners[name], texture, gloss) for name, texture in faces.items()]


def _worn(panel: ImageArray) -> ImageArray:
    """Edges of folded card: a thin light line, then a soft dark one."""
    h, w = panel.shape[:2]
    shade = np.ones((h, w), np.float32)
    x, y = np.minimum(np.arange(w), np.arange(w)[::-1]), np.minimum(np.arange(h), np.arange(h)[::-1])
    edge = np.minimum(x[None, :], y[:, None]).astype(np.float32)
    shade -= 0.18 * np.exp(-edge / 7.0)
    worn = np.asarray(cv2.multiply(panel, cv2.merge([shade] * 3), dtype=cv2.CV_8U), np.uint8)
    blue, green, red = (int(v) for v in panel[h // 2, 0])
    cv2.rectangle(worn, (0, 0), (w - 1, h - 1), mix((blue, green, red), WHITE, 0.45), 2)
    return worn


def _top(product: Product, w: float, d: float) -> ImageArray:
    panel = blank(_px(w), _px(d), product.accent)
    draw_text(panel, product.brand, (panel.shape[1] / 2, panel.shape[0] / 2), 0.34 * panel.shape[0],
              ink_on(product.accent), product.face, fit=0.8 * panel.shape[1])  # fmt: skip
    return panel


def _box(product: Product, w: float, d: float, h: float) -> list[Patch]:
    face, info, lid = front(product, _px(w), _px(h)), side(product, _px(d), _px(h)), _top(product, w, d)
    if d > 0.6 * h:  # a low chest shows its name on the narrow sides too
        info = front(product, _px(d), _px(h))
    faces = {"front": face, "right": info, "back": face, "left": info, "top": lid,
             "bottom": blank(_px(w), _px(d), product.base)}  # fmt: skip
    return _cuboid(w, d, h, {name: _worn(panel) for name, panel in faces.items()}, 0.25)


def _carton(product: Product) -> list[Patch]:
    w = d = 7.2
    h, ridge, fin = 18.5, 22.0, 23.4
    x, y, ledge = w / 2, d / 2, 0.25
    face, info = front(product, _px(w), _px(h)), side(product, _px(d), _px(h))
    patches = _cuboid(w, d, h, {"front": _worn(face), "right": _worn(info), "back": _worn(face), "left": _worn(info),
                                "bottom": blank(_px(w), _px(d), WHITE)}, 0.35)  # fmt: skip
    slope = blank(_px(w), _px(5), mix(product.base, product.accent, 0.1))
    draw_text(slope, product.flavour, (slope.shape[1] / 2, 0.82 * slope.shape[0]), 0.13 * slope.shape[0],
              mix(product.accent, INK, 0.3), product.face, fit=0.8 * slope.shape[1])  # fmt: skip
    plain, capped = _worn(slope), slope.copy()
    for r, color in (
        (1.25, mix(product.accent, INK, 0.45)),
        (1.1, product.accent),
        (0.8, mix(product.accent, WHITE, 0.25)),
    ):
        disc(capped, slope.shape[1] / 2, 0.42 * slope.shape[0], _px(r), _px(r), color)
    gable = _worn(blank(_px(d), _px(4), mix(product.base, INK, 0.12)))
    strip = _worn(blank(_px(w), _px(1.4), product.accent))
    patches += [
        _flat(((-x, -ledge, ridge), (x, -ledge, ridge), (-x, -y, h), (x, -y, h)), _worn(capped), 0.35),
        _flat(((x, ledge, ridge), (-x, ledge, ridge), (x, y, h), (-x, y, h)), plain, 0.35),
        _flat(((x - 0.8, -ledge, ridge), (x - 0.8, ledge, ridge), (x, -y, h), (x, y, h)), gable, 0.35),
        _flat(((-x + 0.8, ledge, ridge), (-x + 0.8, -ledge, ridge), (-x, y, h), (-x, -y, h)), gable, 0.35),
        _flat(((-x, -ledge, fin), (x, -ledge, fin), (-x, -ledge, ridge), (x, -ledge, ridge)), strip, 0.35),
        _flat(((x, ledge, fin), (-x, ledge, fin), (x, ledge, ridge), (-x, ledge, ridge)), strip, 0.35),
    ]
    return patches


def _revolved(profile: Sequence[tuple[float, float]], texture: ImageArray, gloss: float, columns: int = 30) -> Patch:
    """A surface of revolution. ``profile``: (radius, z) from the top down; texture rows follow its length."""
    angles = 2 * math.pi * (np.arange(columns + 1) / columns - _FRONT_AT)
    around = np.stack([np.sin(angles), -np.cos(angles), np.zeros_like(angles)], axis=1)
    line = np.array(profile)
    grid = line[:, :1, None] * around[None] + line[:, 1][:, None, None] * np.array([0.0, 0.0, 1.0])
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    return _patch(grid, texture, gloss, length / length[-1])


def _lid(radius: float, z: float, color: Color, *, pull: bool = False, below: bool = False) -> Patch:
    """A round lid or foot: a square panel whose grid is drawn in to a disc. ``below``: it faces down."""
    texture = blank(260, 260, color)
    for inset, tone in ((5, WHITE), (17, INK), (26, WHITE)):  # squares here become rings
        cv2.rectangle(texture, (inset, inset), (259 - inset, 259 - inset), mix(color, tone, 0.3), 5)
    if pull:
        disc(texture, 130, 170, 34, 20, mix(color, INK, 0.35))
        disc(texture, 130, 120, 26, 44, mix(color, WHITE, 0.35))
        disc(texture, 130, 104, 14, 16, mix(color, INK, 0.3))
    # Map the square's grid onto the disc, so that the outline is round.
    t = np.linspace(-1, 1, 6)
    v, u = np.meshgrid(t if below else -t, t, indexing="ij")
    x, y = u * np.sqrt(1 - v**2 / 2), v * np.sqrt(1 - u**2 / 2)
    return _patch(np.stack([radius * x, radius * y, np.full_like(x, z)], axis=2), texture, 0.8)


_FRONT_AT = 0.18  # where round the texture the middle of the first front lies


def _wrap(product: Product, circumference: float, height: float) -> ImageArray:
    """A label all round: front, information, front, information."""
    face = front(product, _px(0.36 * circumference), _px(height), reach=0.72)
    info = side(product, _px(0.14 * circumference), _px(height))
    return np.concatenate([face, info, face, info], axis=1)


def _rows(texture_width: int, *bands: tuple[float, Color]) -> list[ImageArray]:
    return [blank(texture_width, _px(cm), color) for cm, color in bands]


def _can(product: Product) -> list[Patch]:
    label = _wrap(product, 2 * math.pi * 3.3, 10.2)
    foot, neck = _rows(label.shape[1], (1.0, SILVER), (1.25, mix(product.base, SILVER, 0.4)))
    body = _revolved(((2.75, 12.0), (3.3, 10.9), (3.3, 0.8), (2.6, 0.0)), np.concatenate([neck, label, foot]), 0.75)
    return [body, _lid(2.75, 11.9, SILVER, pull=True), _lid(2.6, 0.0, SILVER, below=True)]


def _tin(product: Product) -> list[Patch]:
    label = _wrap(product, 2 * math.pi * 3.7, 9.8)
    rim, foot = _rows(label.shape[1], (0.6, SILVER), (0.6, SILVER))
    body = _revolved(((3.7, 11.0), (3.7, 10.4), (3.7, 0.6), (3.7, 0.0)), np.concatenate([rim, label, foot]), 0.4)
    return [body, _lid(3.7, 10.9, SILVER), _lid(3.7, 0.0, SILVER, below=True)]


def _bottle(product: Product) -> list[Patch]:
    glass = mix(product.accent, (238, 232, 222), 0.72)
    label = _wrap(product, 2 * math.pi * 3.2, 7.5)
    w = label.shape[1]
    cap, neck, shoulder, body = _rows(
        w, (1.7, product.accent), (1.2, glass), (7.0, glass), (6.9, mix(glass, INK, 0.08))
    )
    for y in range(cap.shape[0]):  # ribs of the screw cap
        cap[y, ::14] = mix(product.accent, INK, 0.3)
    for y in range(8, body.shape[0] - 12, 34):  # grooves of the bottle
        body[y : y + 5] = mix(glass, INK, 0.22)
        body[y + 5 : y + 10] = mix(glass, WHITE, 0.6)
    t = np.linspace(0, 1, 5)
    slope = [(1.35 + 1.85 * math.sin(s * math.pi / 2), 21.0 - 6.2 * s) for s in t]
    profile = [(1.6, 23.6), (1.6, 22.0), (1.35, 21.9), *slope, (3.2, 14.3), (3.2, 6.8), (3.2, 0.6), (2.7, 0.0)]
    textures = np.concatenate([cap, neck, shoulder, label, body])
    return [_revolved(profile, textures, 0.9), _lid(1.6, 23.6, product.accent), _lid(2.7, 0.0, glass, below=True)]


def _jar(product: Product) -> list[Patch]:
    filling = mix(product.motif_color, INK, 0.25)
    label = _wrap(product, 2 * math.pi * 3.9, 5.6)
    w = label.shape[1]
    lid, shoulder, above, below = _rows(
        w, (1.6, product.accent), (1.5, mix(filling, WHITE, 0.2)), (0.8, filling), (1.9, filling)
    )
    lid[:, ::18] = mix(product.accent, INK, 0.25)
    profile = [(3.75, 10.6), (3.75, 9.1), (3.4, 9.05), (3.9, 8.0), (3.9, 7.2), (3.9, 1.6), (3.9, 0.5), (3.4, 0.0)]
    cover, foot = _lid(3.75, 10.6, product.accent), _lid(3.4, 0.0, filling, below=True)
    return [_revolved(profile, np.concatenate([lid, shoulder, above, label, below]), 0.85), cover, foot]


def _bulged(product: Product, w: float, h: float, depth: float, *, pillow: bool) -> list[Patch]:
    """Two printed foils sealed at the edges. A pillow is thick in the middle, a standing pouch at its foot."""
    rng = np.random.default_rng(int(product.number[:12]))
    face = front(product, _px(w), _px(h), reach=0.74)
    back = side(product, _px(w), _px(h))
    for panel in (face, back):
        for y in (0, h - 1.0) if pillow else (0,):
            seam = panel[_px(y + 0.01) - 4 : _px(y + 1.0)]
            seam[...] = mix(product.accent, SILVER, 0.5)
            seam[:, ::8] = mix(product.accent, INK, 0.3)
    rows, columns = 10, 10
    s, v = np.meshgrid(np.linspace(-1, 1, columns + 1), np.linspace(0, 1, rows + 1))
    belly = np.sin(math.pi * v) ** 0.6 if pillow else np.sin(0.5 * math.pi * v) ** 0.8 * (1 - 0.25 * v**6)
    patches = []
    for sign, panel in ((-1, face), (1, back)):
        creases = cv2.GaussianBlur(rng.normal(0, 1, s.shape).astype(np.float32), (0, 0), 0.7)
        thick = depth / 2 * belly * (1 - 0.98 * np.abs(s) ** 2.2) ** 0.7
        thick = thick * (1 + 0.16 * creases)
        x = -sign * s * w / 2 * (1 - 0.07 * belly)
        patches.append(_patch(np.stack([x, sign * thick, (1 - v) * h], axis=2), panel, 0.65))
    if not pillow:  # the foot it stands on
        foot = np.stack([patches[0].points[-1], patches[1].points[-1][::-1]])
        patches.append(_patch(foot, blank(_px(w), _px(depth), mix(product.base, INK, 0.3)), 0.4))
    return patches


_BUILDERS = {
    Shape.CARTON: _carton,
    Shape.BOX: lambda p: _box(p, 18.0, 6.0, 26.0),
    Shape.CHEST: lambda p: _box(p, 14.0, 7.0, 8.5),
    Shape.CAN: _can,
    Shape.TIN: _tin,
    Shape.POUCH: lambda p: _bulged(p, 13.0, 21.0, 7.5, pillow=False),
    Shape.BAG: lambda p: _bulged(p, 18.0, 25.0, 8.0, pillow=True),
    Shape.BOTTLE: _bottle,
    Shape.JAR: _jar,
}
