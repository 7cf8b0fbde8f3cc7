"""From pixels to CIELAB, where distances are nearly what people see, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

# IEC 61966-2-1 (sRGB), D65: linear RGB → XYZ, with Y of white = 1.
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)  # of (1, 1, 1): grey then has a = b = 0 exactly
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27  # CIE 15:2004
_LEVELS = np.arange(256) / 255.0
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


def linear_rgb(bgr: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Pixels [..., 3] uint8 BGR as sRGB has them → linear red, green, blue, 0…1. Raises InputError for another array."""
    pixels = np.asarray(bgr)
    if pixels.dtype != np.uint8 or pixels.shape[-1:] != (3,):
        raise InputError(f"expected pixels [..., 3] as uint8 BGR, got {pixels.dtype} of shape {pixels.shape}")
    return np.asarray(_LINEAR[pixels[..., ::-1]])


def lab_of_linear(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Linear red, green, blue [..., 3], 1 = white → CIELAB [..., 3] under D65: L 0…100, a, b. Values above 1 are allowed."""
    xyz = np.asarray(rgb, np.float64) @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_of(bgr: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Pixels [..., 3] uint8 BGR → CIELAB [..., 3] float64.

    >>> lab_of(np.array([255, 255, 255], np.uint8)).round(6).tolist()
    [100.0, 0.0, 0.0]
    >>> lab_of(np.array([0, 0, 255], np.uint8)).round(2).tolist()  # red
    [53.24, 80.09, 67.2]
    """
    return lab_of_linear(linear_rgb(bgr))


def bgr_of(lab: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """CIELAB [..., 3] → the nearest uint8 BGR; what no screen can show is clipped.

    >>> bgr_of([53.24, 80.09, 67.2]).tolist()
    [0, 0, 255]
    """
    values = np.asarray(lab, np.float64)
    y = (values[..., 0] + 16) / 116
    f = np.stack([y + values[..., 1] / 500, y, y - values[..., 2] / 200], axis=-1)
    cubes = f**3
    xyz = np.where(cubes > _EPSILON, cubes, (116 * f - 16) / _KAPPA) * _WHITE
    rgb = np.clip(xyz @ np.linalg.inv(_TO_XYZ).T, 0.0, 1.0)
    coded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(255 * coded[..., ::-1]), np.uint8)


def chroma(lab: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """How far from grey, C*ab ≥ 0, of CIELAB [..., 3].

    >>> chroma(np.array([50.0, 3.0, 4.0])).item()
    5.0
    """
    return np.hypot(np.asarray(lab[..., 1], np.float64), np.asarray(lab[..., 2], np.float64))
