"""What happens to light on its way into a file: exposure, colour, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.frames import ImageArray


@dataclass(frozen=True)
class Lens:
    """Lengths are in thousandths of the frame's side, so that frames of all sizes look alike.

    ``gains``: of blue, green, red; ``slope``: how much brighter (share) the frame gets along ``slope_angle`` (degrees);
    ``motion``: length of the smear along ``motion_angle``; ``noise``: grey levels, standard deviation; ``grain``: seed
    of the noise; ``jpeg``: quality, 0 = none.
    """

    exposure: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    slope: float = 0.0
    slope_angle: float = 0.0
    vignette: float = 0.15
    focus: float = 1.0
    motion: float = 0.0
    motion_angle: float = 0.0
    noise: float = 2.0
    grain: int = 0
    jpeg: int = 90


def through(frame: ImageArray, lens: Lens) -> ImageArray:
    """``frame`` (S×S×3 BGR) as the camera's file shows it."""
    side = frame.shape[0]
    light = cv2.resize(_light_map(lens), (side, side), interpolation=cv2.INTER_LINEAR)
    gains = lens.exposure * np.array(lens.gains, np.float32)
    seen = frame * (light[..., None] * gains)
    if lens.motion * side > 1000:
        seen = cv2.filter2D(seen, -1, _smear(lens.motion * side / 1000, lens.motion_angle))
    if lens.focus * side > 300:
        seen = cv2.GaussianBlur(seen, (0, 0), lens.focus * side / 1000)
    if lens.noise:
        rng = np.random.default_rng(lens.grain)
        y, x = (int(v) for v in rng.integers(0, _NOISE_PX - side, 2))
        seen += lens.noise * _noise()[y : y + side, x : x + side]
    seen = np.clip(seen, 0, 255).astype(np.uint8)
    if lens.jpeg:
        _, data = cv2.imencode(".jpg", seen, (cv2.IMWRITE_JPEG_QUALITY, lens.jpeg))
        seen = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(seen, np.uint8)


def _light_map(lens: Lens) -> npt.NDArray[np.float32]:
    """Vignette (falls with the square of the distance) and slope, on a coarse grid."""
    t = np.linspace(-1, 1, 17)
    x, y = np.meshgrid(t, t)
    a = np.radians(lens.slope_angle)
    vignette, slope = 1 - lens.vignette * (x**2 + y**2) / 2, 1 + lens.slope * (x * np.cos(a) + y * np.sin(a))
    return np.asarray(vignette * slope, np.float32)


def _smear(length_px: float, angle: float) -> npt.NDArray[np.float32]:
    n = 2 * int(np.ceil(length_px / 2)) + 1
    kernel = np.zeros((n, n), np.float32)
    a, middle = np.radians(angle), n // 2
    half = np.array([np.cos(a), np.sin(a)]) * length_px / 2
    ends = [tuple(int(v) for v in np.round((middle + sign * half) * 16)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, shift=4)
    return np.asarray(kernel / kernel.sum(), np.float32)


_NOISE_PX = 1024


@cache
def _noise() -> npt.NDArray[np.float32]:
    """Unit noise as sensors give it after demosaicing: mostly brightness, slightly smooth."""
    rng = np.random.default_rng(0xCA3E)
    grain = rng.standard_normal((_NOISE_PX, _NOISE_PX, 1), np.float32) + 0.6 * rng.standard_normal(
        (_NOISE_PX, _NOISE_PX, 3), np.float32)  # fmt: skip
    grain = cv2.GaussianBlur(grain, (0, 0), 0.6)
    return np.asarray(grain / grain.std(), np.float32)
