"""A pinhole camera, and drawing of textured surfaces through it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.packages import PAD_PX, Package, Patch, Points
from edgevision.frames import ImageArray

Matrix = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
SUPERSAMPLING = 2  # surfaces are drawn twice as large and shrunk: smooth edges


@dataclass(frozen=True)
class Camera:
    """Looks from ``distance_cm`` at ``target`` (cm). ``azimuth`` and ``elevation`` in degrees: 0, 0 is from the front,
    level; ``roll`` in degrees. ``zoom``: focal length as a multiple of the frame's height."""

    target: tuple[float, float, float]
    distance_cm: float
    azimuth: float
    elevation: float
    roll: float = 0.0
    zoom: float = 1.4

    def matrix(self, height_px: int, width_px: int | None = None) -> Matrix:
        """The 3×4 projection from homogeneous cm to homogeneous pixels of a frame, square without ``width_px``."""
        a, e, r = (math.radians(v) for v in (self.azimuth, self.elevation, self.roll))
        back = np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)])
        right = np.array([math.cos(a), math.sin(a), 0.0])
        up = np.cross(back, right)
        right, up = math.cos(r) * right + math.sin(r) * up, math.cos(r) * up - math.sin(r) * right
        rotation = np.stack([right, -up, -back])
        position = np.array(self.target) + self.distance_cm * back
        focal, width = self.zoom * height_px, height_px if width_px is None else width_px
        intrinsic = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height_px - 1) / 2], [0, 0, 1]])
        return np.asarray(intrinsic @ np.hstack([rotation, -(rotation @ position)[:, None]]), np.float64)

    @property
    def position(self) -> npt.NDArray[np.float64]:
        """Where it stands, in cm."""
        a, e = math.radians(self.azimuth), math.radians(self.elevation)
        back = np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)])
        return np.array(self.target) + self.distance_cm * back


@dataclass(frozen=True)
class Pose:
    """How a package lies: turned by ``yaw``, then ``pitch`` (90 = on its back, front up), then ``roll``, in degrees;
    then moved so that it touches the ground at height ``lift`` cm, around (x, y) cm."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    lift: float = 0.0

    def rotation(self) -> Matrix:
        """The 3×3 matrix: world = R · package."""
        yaw, pitch, roll = (math.radians(v) for v in (self.yaw, self.pitch, self.roll))
        cy, sy, cp, sp, cr, sr = (f(v) for v in (yaw, pitch, roll) for f in (math.cos, math.sin))
        turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        back = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        lean = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
        return np.asarray(turn @ lean @ back, np.float64)


@dataclass(frozen=True)
class Light:
    """One lamp far away, from ``azimuth`` and ``elevation`` (degrees), and light from everywhere (``ambient``, 0…1)."""

    azimuth: float = -30.0
    elevation: float = 55.0
    ambient: float = 0.55
    strength: float = 0.6

    @property
    def direction(self) -> npt.NDArray[np.float64]:
        """Unit vector towards the lamp."""
        a, e = math.radians(self.azimuth), math.radians(self.elevation)
        return np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)])


@dataclass(frozen=True, eq=False)
class Placed:
    """A package in its pose: the world points (cm) of each patch's grid and light samples, with their normals."""

    patches: tuple[Patch, ...]
    grids: tuple[Points, ...]
    samples: tuple[Points, ...]
    normals: tuple[Points, ...]

    @property
    def points(self) -> npt.NDArray[np.float64]:
        """All grid points, n×3."""
        return np.concatenate([g.reshape(-1, 3) for g in self.grids]).astype(np.float64)


def place(package: Package, pose: Pose) -> Placed:
    """Turn and move ``package``."""
    rotation = pose.rotation().T.astype(np.float32)
    grids = [p.points @ rotation for p in package.patches]
    everything = np.concatenate([g.reshape(-1, 3) for g in grids])
    low, high = everything.min(axis=0), everything.max(axis=0)
    shift = np.array([pose.x - (low[0] + high[0]) / 2, pose.y - (low[1] + high[1]) / 2, pose.lift - low[2]], np.float32)
    return Placed(
        package.patches,
        tuple(g + shift for g in grids),
        tuple(p.samples @ rotation + shift for p in package.patches),
        tuple(p.normals @ rotation for p in package.patches),
    )


def project(matrix: Matrix, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Pixels (…×2) of world points (…×3, cm)."""
    homogeneous = points @ matrix[:, :3].T + matrix[:, 3]
    return np.asarray(homogeneous[..., :2] / homogeneous[..., 2:], np.float64)


def depth(matrix: Matrix, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """How far before the camera (…) world points (…×3) lie, in cm along its view; what lies behind it is below 0."""
    return np.asarray((points @ matrix[2, :3] + matrix[2, 3]) / np.linalg.norm(matrix[2, :3]), np.float64)


def box_of(pixels: npt.NDArray[np.float64]) -> Box:
    """The smallest upright box around n×2 pixels."""
    (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def paint(frame: ImageArray, placed: Placed, camera: Camera, light: Light) -> npt.NDArray[np.uint8]:
    """Draw a package over ``frame`` (in place). Returns its coverage, H×W uint8, 255 = fully covered."""
    side = frame.shape[0]
    matrix = camera.matrix(side)
    coverage = np.zeros(frame.shape[:2], np.uint8)
    left, top, right, bottom = box_of(project(matrix, placed.points))
    x0, y0 = max(0, math.floor(left) - 1), max(0, math.floor(top) - 1)
    x1, y1 = min(side, math.ceil(right) + 2), min(side, math.ceil(bottom) + 2)
    if x0 >= x1 or y0 >= y1:
        return coverage
    s = SUPERSAMPLING
    # Pixel (i, j) of the frame is the s×s block from (s·i, s·j): its centre is at s·i + (s-1)/2.
    to_canvas = np.array([[s, 0, (s - 1) / 2 - s * x0], [0, s, (s - 1) / 2 - s * y0], [0, 0, 1]], np.float64)
    size = (s * (x1 - x0), s * (y1 - y0))
    canvas = cv2.resize(frame[y0:y1, x0:x1], size, interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    matrix = to_canvas @ matrix
    eye = camera.position
    order = sorted(range(len(placed.grids)), key=lambda k: -float(np.linalg.norm(placed.grids[k].mean((0, 1)) - eye)))
    for k in order:
        _paint_patch(canvas, mask, placed, k, matrix, eye, light)
    cover = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    object_px = cv2.resize(canvas, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    share = cv2.merge([cover] * 3).astype(np.float32) / 255
    room = frame[y0:y1, x0:x1]
    room[...] = np.rint(room + (object_px.astype(np.float32) - room) * share).astype(np.uint8)
    coverage[y0:y1, x0:x1] = cover
    return coverage


def _paint_patch(
    canvas: ImageArray, mask: ImageArray, placed: Placed, k: int, matrix: Matrix, eye: Matrix, light: Light
) -> None:
    patch, pixels = placed.patches[k], project(matrix, placed.grids[k])
    a, b, c, d = pixels[:-1, :-1], pixels[:-1, 1:], pixels[1:, 1:], pixels[1:, :-1]
    across, down = c - a, d - b  # diagonals: their cross product is twice the signed area
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    facing = area > 0.5
    if not facing.any():
        return
    columns = facing.shape[1]
    texture = _lit(patch, placed, k, eye, light, math.sqrt(float(area[facing].sum()) / 2))
    height, width = texture.shape[0] - 2 * PAD_PX, texture.shape[1] - 2 * PAD_PX
    at_y, at_x = patch.rows * height + PAD_PX - 0.5, np.linspace(0, width, columns + 1) + PAD_PX - 0.5
    depth = np.linalg.norm(placed.grids[k][:-1, :-1] - eye, axis=2)
    cells = sorted(zip(*np.nonzero(facing), strict=True), key=lambda cell: -float(depth[cell]))
    for row, column in cells:
        quad = np.stack([a[row, column], b[row, column], c[row, column], d[row, column]]).astype(np.float32)
        u0, u1, v0, v1 = at_x[column], at_x[column + 1], at_y[row], at_y[row + 1]
        left, top = max(0, math.floor(u0) - PAD_PX), max(0, math.floor(v0) - PAD_PX)
        source = texture[top : math.ceil(v1) + PAD_PX + 1, left : math.ceil(u1) + PAD_PX + 1]
        x0, y0 = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 1, 0)
        x1, y1 = np.ceil(quad.max(axis=0)).astype(int) + 2
        room = canvas[y0 : max(0, y1), x0 : max(0, x1)]
        if not room.size:
            continue
        corners = np.array([(u0, v0), (u1, v0), (u1, v1), (u0, v1)], np.float32) - np.array([left, top], np.float32)
        warp = cv2.getPerspectiveTransform(corners, quad - np.array([x0, y0], np.float32))
        cv2.warpPerspective(source, warp, (room.shape[1], room.shape[0]), dst=room, flags=cv2.INTER_LINEAR,
                            borderMode=cv2.BORDER_TRANSPARENT)  # fmt: skip
        cv2.fillConvexPoly(mask, np.round(quad * 16).astype(np.int32), 255, cv2.LINE_8, shift=4)


def _lit(patch: Patch, placed: Placed, k: int, eye: Matrix, light: Light, extent_px: float) -> ImageArray:
    """The texture at the size that ``extent_px`` (root of the visible area) asks for, with light and gloss on it."""
    wanted_px = extent_px * (1.6 if patch.points.shape[1] > 12 else 1.0)  # half of a cylinder's texture is behind
    texture = next(
        m for m in (*reversed(patch.mips), patch.mips[0]) if _root_area(m) >= wanted_px or m is patch.mips[0]
    )
    normals, towards = placed.normals[k], light.direction.astype(np.float32)
    facing = normals @ towards
    # Half-Lambert: packages are lit by rooms, not by one lamp in the dark.
    diffuse = light.ambient + light.strength * (0.5 * facing + 0.5) ** 1.5
    view = eye.astype(np.float32) - placed.samples[k]
    view /= np.linalg.norm(view, axis=2, keepdims=True)
    half = view + towards
    half /= np.linalg.norm(half, axis=2, keepdims=True)
    shine = np.clip((normals * half).sum(axis=2), 0, 1) ** (8 + 40 * patch.gloss) * patch.gloss * 0.8 * light.strength
    size = (texture.shape[1], texture.shape[0])
    diffuse, shine = (cv2.resize(m.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) for m in (diffuse, shine))
    lit = texture * diffuse[..., None] + (255 * shine)[..., None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _root_area(texture: ImageArray) -> float:
    return math.sqrt(texture.shape[0] * texture.shape[1])
