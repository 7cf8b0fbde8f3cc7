"""The tables that the native plan builder makes, against the float64 geometry in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevision import _native
from edgevision.errors import InputError
from edgevision.frames import ColorEncoding, PixelFormat
from edgevision.preprocess import Filter, Fit, PreprocessSpec, make_plan
from edgevision.preprocess.geometry import Taps, place, taps


def dense(axis: Taps | _native.AxisTables, length: int, offset: int = 0) -> np.ndarray:
    """Weights of an axis as a matrix [outputs, source pixels]."""
    if isinstance(axis, Taps):
        first, weights = axis.first, axis.weights
    elif axis["pieces"]:
        return from_pieces(axis, length, offset)
    else:
        first = np.frombuffer(axis["first"], np.int32) - offset
        # The share of the right one of two pixels.
        share = np.frombuffer(axis["weight"], np.float32).astype(np.float64)
        weights = np.stack([1 - share, share], axis=1)[:, : axis["taps"]]
    matrix = np.zeros((len(first), length))
    for row, (start, values) in enumerate(zip(first, weights, strict=True)):
        assert start >= 0
        assert start + len(values) <= length  # never outside the region
        matrix[row, start : start + len(values)] = values
    return matrix


def from_pieces(axis: _native.AxisTables, length: int, offset: int) -> np.ndarray:
    """The same of weights that are linear between knots; pieces may begin or end outside the region."""
    assert (axis["low"], axis["high"]) == (offset, offset + length)
    first = np.frombuffer(axis["first"], np.int32)
    knot = np.frombuffer(axis["knot"], np.int32) - offset
    weights = np.frombuffer(axis["weight"], np.float32).reshape(len(first), axis["taps"], 2).astype(np.float64)
    pixel = np.arange(length)
    matrix = np.zeros((len(first), length))
    for row in range(len(first)):
        for k, (value, slope) in enumerate(weights[row]):
            begin, end = knot[first[row] + k], knot[first[row] + k + 1]
            inside = (begin <= pixel) & (pixel < end)
            matrix[row, inside] = value + (pixel[inside] - begin) * slope
    return matrix


def random_case(seed: int) -> tuple[PreprocessSpec, int, int, tuple[int, int, int, int]]:
    rng = np.random.default_rng(seed)
    fit: Any = rng.choice(list(Fit))
    filter: Any = rng.choice(list(Filter))
    spec = PreprocessSpec(
        *(int(v) for v in rng.integers(1, 90, 2)), fit, filter, crop_ratio=0.875 if fit is Fit.CROP else 1.0,
    )  # fmt: skip
    height, width = (int(v) for v in rng.integers(1, 700, 2))
    if seed % 5 == 0:  # as large as the tensor, or a whole number of times as large
        factor = int(rng.integers(1, 4))
        height, width = spec.height * factor, spec.width * factor
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    region = (x, y, int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1)))
    return spec, height, width, region if seed % 3 == 0 else (0, 0, width, height)


@pytest.mark.parametrize("seed", range(150))
def test_tables_are_the_taps_of_the_reference(seed: int) -> None:
    spec, height, width, (x, y, region_width, region_height) = random_case(seed)
    plan = make_plan(
        spec, height, width, PixelFormat.GRAY, ColorEncoding.BT601_FULL, (x, y, region_width, region_height)
    )
    at = place(spec, region_height, region_width)
    assert plan.placement == at

    for native, source, resized, cut, target, offset in (
        (plan.native.rows, region_height, at.height, max(-at.top, 0), spec.height, y),
        (plan.native.columns, region_width, at.width, max(-at.left, 0), spec.width, x),
    ):
        expected = taps(source, resized, spec.filter, cut, min(resized, target))
        np.testing.assert_allclose(dense(native, source, offset), dense(expected, source), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("source", "target", "rows"),
    [(640, 640, 1), (1920, 640, 1), (1280, 640, 2), (640, 1280, 2), (1, 50, 1)],
)
def test_bilinear_reads_one_pixel_where_no_other_has_weight(source: int, target: int, rows: int) -> None:
    plan = make_plan(PreprocessSpec(target, target), source, source)
    assert plan.native.rows["taps"] == plan.native.columns["taps"] == rows


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ((0, 8, 0, 0), "rows lie inside"),
        ((8, 2**33 + 1, 0, 0), "columns lie inside"),
        ((4, 8, 5, 0), "rows lie inside the tensor's 8 or cover them, got 4 at 5"),
        ((4, 8, -1, 0), "rows lie inside"),
        ((8, 12, 0, -5), "columns lie inside"),
        ((8, 12, 0, 1), "columns lie inside"),
        ((8, 8, 0, -(2**63)), "columns lie inside"),
    ],
)
def test_a_placement_that_would_write_outside_is_refused(placement: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _native.Plan(
            size=(8, 8), placement=placement, filter="triangle", color="gray", mean=(0.0,), std=(1.0,), pad_value=0.0,
            layout="nchw", dtype="uint8", frame=(16, 16), format="gray", encoding="bt601-full", region=(0, 0, 16, 16),
        )  # fmt: skip
