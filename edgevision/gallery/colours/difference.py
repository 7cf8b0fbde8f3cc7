"""How different two colours look: CIEDE2000.

CIE 142-2001, in the form of G. Sharma, W. Wu, E. Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary
test data, and mathematical observations", Color Research & Application 30 (2005) 21-30, whose equations are numbered below.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_25_TO_7 = 25.0**7


def ciede2000(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """ΔE2000 of CIELAB colours [..., 3], which are broadcast against each other → [...]. About 1 can just be seen side by side.

    >>> ciede2000([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485]).round(4).item()  # the first of the published pairs
    2.0425
    """
    one, other = np.broadcast_arrays(np.asarray(first, np.float64), np.asarray(second, np.float64))
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    c_mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2  # (2), (3)
    g = 0.5 * (1 - np.sqrt(c_mean**7 / (c_mean**7 + _25_TO_7)))  # (4)
    c1, h1 = _polar((1 + g) * a1, b1)
    c2, h2 = _polar((1 + g) * a2, b2)
    grey = c1 * c2 == 0  # a grey has no hue

    dh = h2 - h1  # (10)
    dh = np.where(dh > 180, dh - 360, np.where(dh < -180, dh + 360, dh))
    dh = np.where(grey, 0.0, dh)
    delta_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh) / 2)  # (11)

    total = h1 + h2
    turned = np.where(total < 360, total + 360, total - 360)
    h_mean = np.where(np.abs(h1 - h2) <= 180, total, turned) / 2  # (14)
    h_mean = np.where(grey, total, h_mean)
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )  # (15)
    around = (l_mean - 50) ** 2
    s_l = 1 + 0.015 * around / np.sqrt(20 + around)  # (18)
    s_c = 1 + 0.045 * c_mean  # (19)
    s_h = 1 + 0.015 * c_mean * t  # (20)
    turn = np.radians(30 * np.exp(-(((h_mean - 275) / 25) ** 2)))  # (16)
    r_t = -np.sin(2 * turn) * 2 * np.sqrt(c_mean**7 / (c_mean**7 + _25_TO_7))  # (17), (21)
    lightness, chroma, hue = (l2 - l1) / s_l, (c2 - c1) / s_c, delta_h / s_h
    return np.asarray(np.sqrt(lightness**2 + chroma**2 + hue**2 + r_t * chroma * hue))  # (22)


def _polar(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Chroma, and hue in degrees 0…360 (5)-(7)."""
    return np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
