"""Draws many packages quickly: which cell of which surface each pixel shows, then the print and the light that are there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.camera import SUPERSAMPLING, Light, Matrix, Pose, project
from edgevision.demo.packages import PAD_PX, Patch, package
from edgevision.demo.products import Product
from edgevision.frames import ImageArray

_NOTHING = -1
_Map = npt.NDArray[np.float32]
_Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Solid:
    """A package as one list of cells: ``corners`` float64 [n, 4, 3] in cm, clockwise from the top left as seen from outside;
    ``texels`` float32 [n, 4]: left, top, width and height of each within its texture, as shares; ``patch`` int [n]: whose
    cell it is. ``points`` float64 [k, 3]: all corners, each of them fewer times. ``samples`` and ``normals`` float64 [m, 3]:
    where light is computed, patch after patch."""

    patches: tuple[Patch, ...]
    corners: _Points
    texels: _Map
    patch: npt.NDArray[np.intp]
    points: _Points
    samples: _Points
    normals: _Points

    def posed(self, pose: Pose) -> Solid:
        """Turned and moved as ``pose`` says."""
        rotation = pose.rotation().T
        points = self.points @ rotation
        low, high = points.T.min(axis=1), points.T.max(axis=1)
        middle = (low + high) / 2
        shift = np.array([pose.x - middle[0], pose.y - middle[1], pose.lift - low[2]])
        return Solid(self.patches, self.corners @ rotation + shift, self.texels, self.patch, points + shift,
                     self.samples @ rotation + shift, self.normals @ rotation)  # fmt: skip


@lru_cache(maxsize=128)
def solid(product: Product) -> Solid:
    """The package of ``product``, standing at the origin."""
    patches = package(product).patches
    corners, texels, owner = [], [], []
    for k, patch in enumerate(patches):
        grid = patch.points.astype(np.float64)
        cells = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=2)
        rows, columns = cells.shape[:2]
        left, top = np.meshgrid(np.arange(columns) / columns, patch.rows[:-1])
        width, height = np.meshgrid(np.full(columns, 1 / columns), np.diff(patch.rows))
        corners.append(cells.reshape(-1, 4, 3))
        texels.append(np.stack([left, top, width, height], axis=2).reshape(-1, 4))
        owner.append(np.full(rows * columns, k))
    points, samples, normals = (
        np.concatenate([m.reshape(-1, 3) for m in maps]).astype(np.float64)
        for maps in ([p.points for p in patches], [p.samples for p in patches], [p.normals for p in patches])
    )
    return Solid(patches, np.concatenate(corners), np.concatenate(texels).astype(np.float32), np.concatenate(owner),
                 points, samples, normals)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outline:
    """How much of each pixel one product covers, were nothing before it.

    ``coverage``: H×W uint8, 255 = the whole pixel; its first pixel is pixel (``left``, ``top``) of the frame, which may
    lie outside of it.
    """

    left: int
    top: int
    coverage: npt.NDArray[np.uint8]

    def within(self, height: int, width: int) -> tuple[slice, slice, npt.NDArray[np.uint8]]:
        """The rows and columns of a frame of that size that it touches, and its coverage there."""
        h, w = self.coverage.shape
        y0, x0 = min(max(0, self.top), height), min(max(0, self.left), width)
        y1, x1 = max(y0, min(height, self.top + h)), max(x0, min(width, self.left + w))
        inside = self.coverage[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
        return slice(y0, y1), slice(x0, x1), inside


def paint_solid(frame: ImageArray, body: Solid, matrix: Matrix, eye: Matrix, light: Light) -> Outline:
    """Draw a posed package over an H×W×3 frame, in place, as the camera at ``eye`` (cm) with projection ``matrix`` sees it.

    All of it must be before the camera. The outline reaches beyond the frame, by at most the frame's own size.
    """
    height, width = frame.shape[:2]
    quads, cells = _facing(body, matrix, eye)
    if not len(cells):
        return Outline(0, 0, np.zeros((1, 1), np.uint8))
    low, high = _extent(quads, height, width)
    shown = _shown(quads, low, high)
    outline = Outline(int(low[0]), int(low[1]), _coverage(shown))
    rows, columns, inside = outline.within(height, width)
    if not inside.size:
        return outline
    top, left = rows.start - outline.top, columns.start - outline.left
    near = _nearest(shown)[top : top + inside.shape[0], left : left + inside.shape[1]]
    room = frame[rows, columns]
    pixels = np.flatnonzero(near.ravel() != _NOTHING)
    index = near.ravel()[pixels]
    y, x = np.divmod(pixels, near.shape[1])
    s, t = _places(quads, index, x + columns.start, y + rows.start)
    texels, patch = body.texels[cells][index], body.patch[cells][index]
    u, v = texels[:, 0] + s * texels[:, 2], texels[:, 1] + t * texels[:, 3]
    color = np.zeros((near.size, 3), np.float32)
    shades = _shades(body, eye, light)
    for k in range(len(body.patches)):
        mine = np.flatnonzero(patch == k)
        if len(mine):
            color[pixels[mine]] = _lit(body.patches[k], shades[k], u[mine], v[mine])
    share = inside.astype(np.float32)[..., None] * np.float32(1 / 255)
    room[...] = np.rint(room + (color.reshape(room.shape) - room) * share)
    return outline


def _facing(body: Solid, matrix: Matrix, eye: Matrix) -> tuple[_Points, npt.NDArray[np.intp]]:
    """Corners in pixels [n, 4, 2], and places in the solid, of the cells that face the camera; far ones first.

    Patches come in the order of their middles, and so do the cells of each: right for what is convex.
    """
    quads = project(matrix, body.corners)
    across, down = quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1]
    area = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]  # twice the signed area
    cells = np.flatnonzero(area > 0.5 / SUPERSAMPLING**2)
    away = ((body.corners.mean(axis=1) - eye) ** 2).sum(axis=1)
    count = np.bincount(body.patch)
    patch_away = np.bincount(body.patch, weights=away) / count
    order = np.lexsort((-away[cells], -patch_away[body.patch[cells]]))
    cells = cells[order]
    return quads[cells], cells


def _extent(quads: _Points, height: int, width: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First pixel (x, y) and the one after the last around all cells, cut to a frame's size beyond the frame."""
    bounds = np.array([width, height])
    low = np.clip(np.floor(quads.min(axis=(0, 1))) - 1, -bounds, 2 * bounds - 1)
    high = np.clip(np.ceil(quads.max(axis=(0, 1))) + 2, low + 1, 2 * bounds)
    return low.astype(np.int64), high.astype(np.int64)


def _shown(quads: _Points, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Which cell each part of a pixel shows: int32, ``SUPERSAMPLING`` times as large as the extent both ways."""
    s = SUPERSAMPLING
    width, height = (int(v) for v in s * (high - low))
    shown = np.full((height, width), _NOTHING, np.int32)
    # Pixel (i, j) is the s×s block from (s·i, s·j): its centre is at s·i + (s-1)/2. OpenCV takes sixteenths of a pixel.
    fixed = np.rint((s * (quads - low) + (s - 1) / 2) * 16).astype(np.int32)
    for index, quad in enumerate(fixed):
        cv2.fillConvexPoly(shown, quad, index, cv2.LINE_8, 4)
    return shown


def _coverage(shown: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    covered = (shown != _NOTHING).view(np.uint8) * np.uint8(255)
    size = (shown.shape[1] // SUPERSAMPLING, shown.shape[0] // SUPERSAMPLING)
    return np.asarray(cv2.resize(covered, size, interpolation=cv2.INTER_AREA), np.uint8)


def _nearest(shown: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """One cell for each pixel: the one drawn last of those that its parts show."""
    rows = np.maximum(shown[::2], shown[1::2])
    return np.asarray(np.maximum(rows[:, ::2], rows[:, 1::2]), np.int32)


_EDGE_ON = np.float32(1e-20)  # in place of 0, which a cell that is seen from its edge can give: any place in it will do


def _places(
    quads: _Points, index: npt.NDArray[np.int32], x: npt.NDArray[np.intp], y: npt.NDArray[np.intp]
) -> tuple[_Map, _Map]:
    """Where in its cell each pixel lies, 0…1 to the right and down."""
    inverse = _quad_to_square(quads).astype(np.float32).take(index, axis=1)
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    s, t, w = (inverse[3 * k] * x32 + inverse[3 * k + 1] * y32 + inverse[3 * k + 2] for k in range(3))
    w = np.where(w == 0, _EDGE_ON, w)
    return np.clip(s / w, 0, 1), np.clip(t / w, 0, 1)


def _quad_to_square(quads: _Points) -> _Points:
    """The projective maps that take each quad [n, 4, 2] to the unit square, [9, n].

    P. Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989, section 2.2.3: the square to the quad, then the
    adjugate, which is the inverse but for a factor that cancels.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (quads[:, k].T for k in range(4))
    dx1, dx2, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    spread = dx1 * dy2 - dx2 * dy1
    spread = np.where(np.abs(spread) < 1e-9, 1e-9, spread)  # a quad with two corners in one place is a triangle
    g, h = (sx * dy2 - dx2 * sy) / spread, (dx1 * sy - sx * dy1) / spread
    a, b, c = x1 - x0 + g * x1, x3 - x0 + h * x3, x0
    d, e, f = y1 - y0 + g * y1, y3 - y0 + h * y3, y0
    rows = (e - f * h, c * h - b, b * f - c * e, f * g - d, a - c * g, c * d - a * f, d * h - e * g, b * g - a * h,
            a * e - b * d)  # fmt: skip
    return np.stack(rows)


def _shades(body: Solid, eye: Matrix, light: Light) -> list[_Map]:
    """What light does at the samples of each patch, m×n×2: a factor of the print's colour, and white on top (0…1)."""
    towards = light.direction
    # Half-Lambert: packages are lit by rooms, not by one lamp in the dark.
    diffuse = light.ambient + light.strength * (0.5 * (body.normals @ towards) + 0.5) ** 1.5
    view = eye - body.samples
    half = view / np.sqrt((view * view).sum(axis=1, keepdims=True)) + towards
    half /= np.sqrt((half * half).sum(axis=1, keepdims=True))
    mirrored = np.clip((body.normals * half).sum(axis=1), 0, 1)
    shades, start = [], 0
    for patch in body.patches:
        rows, columns = patch.samples.shape[:2]
        here = slice(start, start + rows * columns)
        shine = mirrored[here] ** (8 + 40 * patch.gloss) * (patch.gloss * 0.8 * light.strength)
        shades.append(np.stack([diffuse[here], shine], axis=1).astype(np.float32).reshape(rows, columns, 2))
        start = here.stop
    return shades


def _lit(patch: Patch, shade: _Map, u: _Map, v: _Map) -> _Map:
    """Colours (float32, n×3) of the visible pixels of a patch, at shares ``u``, ``v`` of its texture, with light on them."""
    texture = _mip(patch, math.sqrt(len(u)))
    height, width = texture.shape[0] - 2 * PAD_PX, texture.shape[1] - 2 * PAD_PX
    color = _sampled(texture, u * width + np.float32(PAD_PX - 0.5), v * height + np.float32(PAD_PX - 0.5))
    at = _sampled(shade, u * np.float32(shade.shape[1] - 1), v * np.float32(shade.shape[0] - 1))
    return np.asarray(np.clip(color * at[:, :1] + 255 * at[:, 1:], 0, 255), np.float32)


def _mip(patch: Patch, wanted_px: float) -> ImageArray:
    """The smallest texture with about one pixel for each visible one; of cylinders, half is behind."""
    wanted = wanted_px * (1.6 if patch.points.shape[1] > 12 else 1.0)
    for texture in reversed(patch.mips):
        if math.sqrt(texture.shape[0] * texture.shape[1]) >= wanted:
            return texture
    return patch.mips[0]


def _sampled(image: ImageArray | _Map, x: _Map, y: _Map) -> _Map:
    """Values (n×channels) of ``image`` at places between its pixels, bilinear."""
    # OpenCV takes at most 32767 columns: fold the list into rows.
    columns = min(len(x), 4096)
    rows = -(-len(x) // columns)
    at_x, at_y = (np.resize(m, (rows, columns)) for m in (x, y))
    values = cv2.remap(image, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values.reshape(rows * columns, -1)[: len(x)], np.float32)
