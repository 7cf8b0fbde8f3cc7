"""What happens to light on its way into a file: exposure, colour, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.frames import ImageArray


@dataclass(frozen=True)
class Lens:
    """Lengths are in thousandths of the frame's height, so that frames of all sizes look alike.

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
    """``frame`` (H×W×3 BGR) as the camera's file shows it."""
    height, width = frame.shape[:2]
    seen = frame * _gains(replace(lens, grain=0), height, width)
    if lens.motion * height > 1000:
        seen = cv2.filter2D(seen, -1, smear_kernel(lens.motion * height / 1000, lens.motion_angle))
    if lens.focus * height > 300:
        seen = cv2.GaussianBlur(seen, (0, 0), lens.focus * height / 1000)
    if lens.noise:
        seen += lens.noise * _grain(height, width, lens.grain)
    np.clip(seen, 0, 255, out=seen)
    if not lens.jpeg:
        return np.asarray(seen, np.uint8)
    _, data = cv2.imencode(".jpg", seen.astype(np.uint8), (cv2.IMWRITE_JPEG_QUALITY, lens.jpeg))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@lru_cache(maxsize=4)
def _gains(lens: Lens, height: int, width: int) -> npt.NDArray[np.float32]:
    """What every sample is multiplied with; streams have the same for each frame."""
    light = cv2.resize(_light_map(lens), (width, height), interpolation=cv2.INTER_LINEAR)
    gains: npt.NDArray[np.float32] = light[..., None] * (lens.exposure * np.array(lens.gains, np.float32))
    return gains


def _light_map(lens: Lens) -> npt.NDArray[np.float32]:
    """Vignette (falls with the square of the distance) and slope, on a coarse grid."""
    t = np.linspace(-1, 1, 17)
    x, y = np.meshgrid(t, t)
    a = np.radians(lens.slope_angle)
    vignette, slope = 1 - lens.vignette * (x**2 + y**2) / 2, 1 + lens.slope * (x * np.cos(a) + y * np.sin(a))
    return np.asarray(vignette * slope, np.float32)


def smear_kernel(length_px: float, angle: float) -> npt.NDArray[np.float32]:
    """The filter of a movement by ``length_px`` along ``angle`` (degrees, y down) while the shutter is open."""
    n = 2 * int(np.ceil(length_px / 2)) + 1
    kernel = np.zeros((n, n), np.float32)
    a, middle = np.radians(angle), n // 2
    half = np.array([np.cos(a), np.sin(a)]) * length_px / 2
    ends = [tuple(int(v) for v in np.round((middle + sign * half) * 16)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, shift=4)
    return np.asarray(kernel / kernel.sum(), np.float32)


_NOISE_PX = 1024


def _grain(height: int, width: int, seed: int) -> npt.NDArray[np.float32]:
    """A piece of the noise from a place that ``seed`` picks; larger frames repeat it."""
    free = [_NOISE_PX - side if side < _NOISE_PX else _NOISE_PX for side in (height, width)]
    y, x = (int(v) for v in np.random.default_rng(seed).integers(0, free, 2))
    if max(height, width) < _NOISE_PX:
        return _noise()[y : y + height, x : x + width]
    rows, columns = (y + np.arange(height)) % _NOISE_PX, (x + np.arange(width)) % _NOISE_PX
    return _noise().take(rows, axis=0).take(columns, axis=1)


@cache
def _noise() -> npt.NDArray[np.float32]:
    """Unit noise as sensors give it after demosaicing: mostly brightness, slightly smooth."""
    rng = np.random.default_rng(0xCA3E)
    grain = rng.standard_normal((_NOISE_PX, _NOISE_PX, 1), np.float32) + 0.6 * rng.standard_normal(
        (_NOISE_PX, _NOISE_PX, 3), np.float32)  # fmt: skip
    grain = cv2.GaussianBlur(grain, (0, 0), 0.6)
    return np.asarray(grain / grain.std(), np.float32)
