"""Flat surfaces of a shop: boards, walls, belts, trays. And the shadows on them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.camera import Light, Matrix, project
from edgevision.demo.raster import Solid
from edgevision.frames import ImageArray

Point = tuple[float, float, float]
_SOFT_CM = 1.2  # how far a shadow's edge is smeared


@dataclass(frozen=True, eq=False)
class Surface:
    """A picture on a parallelogram in space. ``corner``: where its top left corner is; ``right`` and ``down``: from there to
    the other corners, all in cm. ``alpha``: H×W uint8, how much of it covers what is behind; None = all.

    All of it must lie before the camera.
    """

    texture: ImageArray
    corner: Point
    right: Point
    down: Point
    alpha: npt.NDArray[np.uint8] | None = None


def paint_surface(frame: ImageArray, surface: Surface, matrix: Matrix) -> npt.NDArray[np.uint8]:
    """Draw ``surface`` over an H×W×3 frame, in place. Returns its coverage, H×W uint8, 255 = fully covered."""
    height, width = surface.texture.shape[:2]
    right, down = np.array(surface.right) / width, np.array(surface.down) / height
    # Texture pixel (i, j) has its middle at corner + (i + ½)·right + (j + ½)·down.
    to_world = np.zeros((4, 3))
    to_world[:3, 0], to_world[:3, 1] = right, down
    to_world[:3, 2] = np.array(surface.corner) + (right + down) / 2
    to_world[3, 2] = 1
    size = (frame.shape[1], frame.shape[0])
    alpha = np.full((height, width), 255, np.uint8) if surface.alpha is None else surface.alpha
    coverage = cv2.warpPerspective(alpha, matrix @ to_world, size, flags=cv2.INTER_LINEAR)
    if surface.alpha is None:
        # Whole pixels: where the border of the picture passes, what is behind would shine through a seam otherwise.
        cv2.warpPerspective(surface.texture, matrix @ to_world, size, dst=frame, flags=cv2.INTER_LINEAR,
                            borderMode=cv2.BORDER_TRANSPARENT)  # fmt: skip
        return np.asarray(coverage, np.uint8)
    seen = cv2.warpPerspective(surface.texture, matrix @ to_world, size, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    share = coverage.astype(np.float32)[..., None] / 255
    frame[...] = np.rint(frame + (seen.astype(np.float32) - frame) * share)
    return np.asarray(coverage, np.uint8)


def cast_shadow(frame: ImageArray, body: Solid, ground_cm: float, matrix: Matrix, light: Light) -> None:
    """Darken what lies around the foot of ``body``, on the plane at height ``ground_cm``, before it is painted itself."""
    towards, points = light.direction, body.points
    above = points[:, 2:] - ground_cm
    # Rooms have many lamps: shadows stay short however low the main one is.
    thrown = points - towards * (above / max(0.8, towards[2]))
    thrown[:, 2] = ground_cm
    touching = points[points[:, 2] < points[:, 2].min() + 1.2].copy()
    touching[:, 2] = ground_cm
    for foot, strength in ((thrown, 0.35 * light.strength), (touching, 0.4)):
        _darken(frame, project(matrix, foot), strength, _SOFT_CM * _px_per_cm(matrix, foot.mean(axis=0)))


def _px_per_cm(matrix: Matrix, at: npt.NDArray[np.float64]) -> float:
    """How many pixels 1 cm takes there, at the most."""
    ends = project(matrix, np.concatenate([at[None], at + np.eye(3)]))
    return float(np.linalg.norm(ends[1:] - ends[0], axis=1).max())


def _darken(frame: ImageArray, outline: npt.NDArray[np.float64], strength: float, soft_px: float) -> None:
    """Darken the convex hull of ``outline`` (n×2 pixels), with soft edges."""
    height, width = frame.shape[:2]
    margin = int(3 * soft_px) + 2
    x0, y0 = (int(v) for v in np.clip(np.floor(outline.min(axis=0)) - margin, 0, (width, height)))
    x1, y1 = (int(v) for v in np.clip(np.ceil(outline.max(axis=0)) + margin, 0, (width, height)))
    if x0 >= x1 or y0 >= y1:
        return
    hull = cv2.convexHull((outline - (x0, y0)).astype(np.float32))
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull * 16).astype(np.int32), 255, cv2.LINE_AA, shift=4)
    size = 2 * int(soft_px) + 1
    for _ in range(2):  # two boxes are nearly a Gaussian, and quicker
        mask = cv2.blur(mask, (size, size))
    room = frame[y0:y1, x0:x1]
    kept = np.float32(1) - mask * np.float32(strength / 255)
    room[...] = cv2.multiply(room, cv2.merge([kept] * 3), dtype=cv2.CV_8U)
