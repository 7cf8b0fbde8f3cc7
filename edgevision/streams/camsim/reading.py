"""Reads the bar code of a simulated camera back from a picture."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edgevision.frames import ImageArray
from edgevision.streams.camsim.stamps import BLACK, CELLS, LEAST_WIDTH, WHITE, Stamp, band_height


def read_stamp(luma: ImageArray, near_ns: int) -> Stamp | None:
    """The stamp in a picture's luma, H×W uint8, or None where there is none. ``near_ns``: UTC now, to a year.

    >>> from edgevision.streams.camsim.stamps import band
    >>> stamp = Stamp(7, 1_800_000_000_000_000_000)
    >>> luma = np.zeros((96, 320), np.uint8)
    >>> luma[:band_height(96)] = np.frombuffer(band(stamp, 320, 96), np.uint8).reshape(-1, 320)
    >>> read_stamp(luma, near_ns=stamp.time_ns + 10**12) == stamp
    True
    """
    height, width = luma.shape
    if width < LEAST_WIDTH or height < 2 * band_height(height):
        return None
    rows = band_height(height)
    edges = np.arange(CELLS + 1) * width // CELLS
    margin = int(edges[1]) // 4  # cells bleed into each other
    inner = luma[rows // 4 : rows - rows // 4]
    means = [float(inner[:, left + margin : right - margin].mean()) for left, right in pairwise(edges)]
    return Stamp.from_bits([mean > (BLACK + WHITE) / 2 for mean in means], near_ns)
