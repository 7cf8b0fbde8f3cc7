"""Where the picture lands in the tensor, and which source pixels each of its pixels is made of.

Everything here is float64 and runs once per plan, so that every kernel, on any device, reads the same numbers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.preprocess.spec import Filter, Fit, PreprocessSpec, Rounding


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
    """Place a picture of ``height``×``width`` pixels into the tensor of ``spec``, rounded as its ``rounding`` says.

    ``stretch``: the picture fills the tensor. ``letterbox``: it lies inside, and fills one side. ``crop``: it covers the
    tensor, scaled so that the tighter side is the tensor's divided by ``crop_ratio``.
    """
    if spec.fit is Fit.STRETCH:
        return Placement(spec.height, spec.width, 0, 0)
    return _RULES[spec.rounding, spec.fit](spec, height, width)


def _edgevision_letterbox(spec: PreprocessSpec, height: int, width: int) -> Placement:
    """Scaled by the smaller of the two ratios, each side rounded (half to even) and at least 1 px, offset
    ``floor((target - size) / 2)``.

    The same as ``LetterBox`` of Ultralytics 8.4.190 (ultralytics/data/augment.py, with its defaults ``auto=False``,
    ``scaleup=True``, ``center=True``): sides ``max(round(side * r), 1)``, offsets ``round((target - size) / 2 - 0.1)``,
    which rounds every half down.
    """
    scale = min(spec.height / height, spec.width / width)
    resized_height = min(max(round(height * scale), 1), spec.height)
    resized_width = min(max(round(width * scale), 1), spec.width)
    top, left = (spec.height - resized_height) // 2, (spec.width - resized_width) // 2
    return Placement(resized_height, resized_width, top, left)


def _edgevision_crop(spec: PreprocessSpec, height: int, width: int) -> Placement:
    """Scaled by the larger ratio divided by ``crop_ratio``, each side rounded (half to even) and at least the target's,
    offset ``-floor((size - target) / 2)``."""
    scale = max(spec.height / height, spec.width / width) / spec.crop_ratio
    resized_height = max(round(height * scale), spec.height)
    resized_width = max(round(width * scale), spec.width)
    top, left = (resized_height - spec.height) // 2, (resized_width - spec.width) // 2
    return Placement(resized_height, resized_width, -top, -left)


def _torchvision_crop(spec: PreprocessSpec, height: int, width: int) -> Placement:
    """``Resize(int)``: the shorter side is ``size``, the longer ``int(size * long / short)``; then ``CenterCrop``.

    torchvision 0.29, transforms/functional.py ``_compute_resized_output_size``. ``size`` is ``target / crop_ratio``,
    rounded to undo the division that made ``crop_ratio``. For a tensor that is not square torchvision has no such
    transform; here the side that is tighter takes the part of the shorter one.
    """
    if spec.height * width >= spec.width * height:
        resized_height = round(spec.height / spec.crop_ratio)
        resized_width = int(resized_height * width / height)
    else:
        resized_width = round(spec.width / spec.crop_ratio)
        resized_height = int(resized_width * height / width)
    return _torchvision_center_crop(spec, resized_height, resized_width)


def _timm_crop(spec: PreprocessSpec, height: int, width: int) -> Placement:
    """timm's ``crop_mode="center"``; ``crop_ratio`` is its ``crop_pct``.

    timm 1.0.31, data/transforms_factory.py ``transforms_imagenet_eval``: both sides to scale to are
    ``floor(target / crop_pct)``. Where they are equal, it resizes as torchvision does; else ``ResizeKeepRatio``
    (data/transforms.py) rounds both sides (half to even). Then torchvision's ``CenterCrop``.
    """
    scale_height = math.floor(spec.height / spec.crop_ratio)
    scale_width = math.floor(spec.width / spec.crop_ratio)
    if scale_height != scale_width:
        ratio = min(height / scale_height, width / scale_width)
        return _torchvision_center_crop(spec, round(height / ratio), round(width / ratio))
    short = min(height, width)
    return _torchvision_center_crop(spec, int(scale_height * height / short), int(scale_width * width / short))


def _torchvision_center_crop(spec: PreprocessSpec, resized_height: int, resized_width: int) -> Placement:
    """torchvision 0.29, transforms/functional.py ``center_crop``: offset ``round((size - target) / 2)``, half to even."""
    top = round((resized_height - spec.height) / 2)
    left = round((resized_width - spec.width) / 2)
    return Placement(resized_height, resized_width, -top, -left)


def _pillow_letterbox(spec: PreprocessSpec, height: int, width: int) -> Placement:
    """Pillow 13.0, ImageOps.py ``contain`` and ``pad``: the other side is ``round(side / other * target)``, the offset
    ``round((target - size) * 0.5)``, both half to even. At least 1 px, where Pillow would give an empty picture."""
    resized_height, resized_width = spec.height, spec.width
    if width / height > spec.width / spec.height:
        resized_height = max(round(height / width * spec.width), 1)
    elif width / height < spec.width / spec.height:
        resized_width = max(round(width / height * spec.height), 1)
    top = round((spec.height - resized_height) * 0.5)
    left = round((spec.width - resized_width) * 0.5)
    return Placement(resized_height, resized_width, top, left)


_RULES: dict[tuple[Rounding, Fit], Callable[[PreprocessSpec, int, int], Placement]] = {
    (Rounding.EDGEVISION, Fit.LETTERBOX): _edgevision_letterbox,
    (Rounding.EDGEVISION, Fit.CROP): _edgevision_crop,
    (Rounding.TORCHVISION, Fit.CROP): _torchvision_crop,
    (Rounding.TIMM, Fit.CROP): _timm_crop,
    (Rounding.PILLOW, Fit.LETTERBOX): _pillow_letterbox,
    (Rounding.ULTRALYTICS, Fit.LETTERBOX): _edgevision_letterbox,
}


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
