"""Where the picture lands in the tensor, and which source pixels each of its pixels is made of.

Everything here is float64 and runs once per plan, so that every kernel, on any device, reads the same numbers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.preprocess.spec import Filter, Fit, PreprocessSpec


class Region(NamedTuple):
    """A rectangle of a frame, in its pixels. Preprocessing treats it as if it were the whole picture."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Placement:
    """The resized picture, and where its top left pixel lies in the tensor (negative where the tensor cuts it off)."""

    height: int
    width: int
    top: int
    left: int


@dataclass(frozen=True, eq=False)
class Taps:
    """Resampling of one axis: output ``i`` = sum over ``j`` of ``weights[i, j] * source[first[i] + j]``.

    ``first`` is int64 [n], ``weights`` float64 [n, k]. Each row sums to 1, and ``first + k`` stays inside the source:
    rows that need fewer than k pixels have zero weights.
    """

    first: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def check_region(region: Sequence[int] | None, height: int, width: int) -> Region:
    """Give ``region`` (x, y, width, height), or the whole frame for None.

    Raises InputError where it leaves the frame, or is not four whole numbers: whoever has floats knows how to round them.
    """
    if region is None:
        return Region(0, 0, width, height)
    try:
        x, y, w, h = (operator.index(side) for side in region)
    except (TypeError, ValueError):
        x, y, w, h = (-1,) * 4
    if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
        raise InputError(
            f"expected a region (x, y, width, height) in whole pixels, inside the frame of {width}×{height} pixels, "
            f"got {region!r}"
        )
    return Region(x, y, w, h)


def place(spec: PreprocessSpec, height: int, width: int) -> Placement:
    """Place a picture of ``height``×``width`` pixels into the tensor of ``spec``.

    ``stretch``: the picture fills the tensor. ``letterbox``: scaled by the smaller of the two ratios, each side rounded
    (half to even) and at least 1 px, offset ``floor((target - size) / 2)``. ``crop``: scaled by the larger ratio divided
    by ``crop_ratio``, each side rounded and at least the target's, offset ``-floor((size - target) / 2)``.
    """
    ratio_y, ratio_x = spec.height / height, spec.width / width
    if spec.fit is Fit.STRETCH:
        return Placement(spec.height, spec.width, 0, 0)
    if spec.fit is Fit.LETTERBOX:
        scale = min(ratio_y, ratio_x)
        resized_height = min(max(round(height * scale), 1), spec.height)
        resized_width = min(max(round(width * scale), 1), spec.width)
        top, left = (spec.height - resized_height) // 2, (spec.width - resized_width) // 2
        return Placement(resized_height, resized_width, top, left)
    scale = max(ratio_y, ratio_x) / spec.crop_ratio
    resized_height = max(round(height * scale), spec.height)
    resized_width = max(round(width * scale), spec.width)
    top, left = (resized_height - spec.height) // 2, (resized_width - spec.width) // 2
    return Placement(resized_height, resized_width, -top, -left)


def taps(source: int, resized: int, filter: Filter, start: int = 0, count: int | None = None) -> Taps:
    """Taps for outputs ``start`` … ``start + count - 1`` of an axis resampled from ``source`` to ``resized`` pixels.

    Pixel centres lie at half: output ``d`` is centred on ``c = (d + 0.5) * source / resized`` along the source, whose
    pixel ``i`` covers ``i … i + 1``.

    - ``bilinear``: the two pixels around ``c - 0.5``, clamped to 0 … source - 1 (OpenCV INTER_LINEAR, torch
      ``antialias=False``);
    - ``triangle``: weight ``max(0, 1 - |i + 0.5 - c| / s)`` with ``s = max(1, source / resized)``, made to sum to 1 over
      the pixels that exist (Pillow BILINEAR, torch ``antialias=True``). The same as bilinear where nothing shrinks.
    """
    count = resized - start if count is None else count
    scale = source / resized
    centre = (np.arange(start, start + count, dtype=np.float64) + 0.5) * scale
    if filter is Filter.BILINEAR:
        position = np.clip(centre - 0.5, 0.0, source - 1.0)
        first = np.minimum(np.floor(position).astype(np.int64), max(source - 2, 0))
        fraction = position - first
        weights = np.stack([1.0 - fraction, fraction], axis=1)[:, : min(source, 2)]
        return Taps(first, weights)
    support = max(scale, 1.0)
    low = np.maximum(np.floor(centre - support + 0.5).astype(np.int64), 0)
    high = np.minimum(np.floor(centre + support + 0.5).astype(np.int64), source)
    width = min(math.ceil(support) * 2 + 1, source)
    first = np.minimum(low, source - width)
    index = first[:, None] + np.arange(width)
    weights = np.maximum(0.0, 1.0 - np.abs(index + 0.5 - centre[:, None]) / support)
    weights[(index < low[:, None]) | (index >= high[:, None])] = 0.0
    return Taps(first, weights / weights.sum(axis=1, keepdims=True))
