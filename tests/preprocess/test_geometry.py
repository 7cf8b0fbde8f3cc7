from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.preprocess import Filter, Fit, PreprocessSpec
from edgevision.preprocess.geometry import Placement, check_region, place, taps

SIZES = [(1, 1), (1, 7), (7, 1), (2, 5), (5, 2), (9, 3), (1920, 640), (1366, 224), (2592, 224), (1280, 416), (3, 8192)]


@pytest.mark.parametrize(
    ("fit", "ratio", "picture", "target", "expected"),
    [
        (Fit.STRETCH, 1.0, (1080, 1920), (224, 224), (224, 224, 0, 0)),
        (Fit.LETTERBOX, 1.0, (1080, 1920), (640, 640), (360, 640, 140, 0)),
        (Fit.LETTERBOX, 1.0, (768, 1366), (640, 640), (360, 640, 140, 0)),  # 359.8 rows
        (Fit.LETTERBOX, 1.0, (720, 1280), (416, 416), (234, 416, 91, 0)),
        (Fit.LETTERBOX, 1.0, (1944, 2592), (640, 480), (360, 480, 140, 0)),
        (Fit.LETTERBOX, 1.0, (100, 50), (21, 21), (21, 10, 0, 5)),  # 10.5 → 10, half to even; 5.5 → 5
        (Fit.LETTERBOX, 1.0, (4000, 2), (64, 64), (64, 1, 0, 31)),  # never less than a pixel
        (Fit.CROP, 1.0, (480, 640), (224, 224), (224, 299, 0, -37)),  # 298.7 columns; 37.5 → 37
        (Fit.CROP, 0.875, (480, 640), (224, 224), (256, 341, -16, -58)),
        (Fit.CROP, 0.875, (640, 480), (224, 224), (341, 256, -58, -16)),
        (Fit.CROP, 0.875, (30, 30), (224, 224), (256, 256, -16, -16)),
        (Fit.CROP, 1.0, (3, 1000), (100, 50), (100, 33333, 0, -16641)),
        (Fit.CROP, 1.0, (7, 7), (10, 20), (20, 20, -5, 0)),
    ],
)
def test_placement(
    fit: Fit, ratio: float, picture: tuple[int, int], target: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert place(PreprocessSpec(*target, fit, crop_ratio=ratio), *picture) == Placement(*expected)


def test_a_letterboxed_picture_lies_inside_and_a_cropped_one_covers() -> None:
    rng = np.random.default_rng(1)
    for _ in range(2000):
        height, width, target_height, target_width = (int(v) for v in rng.integers(1, 3000, 4))
        inside = place(PreprocessSpec(target_height, target_width, Fit.LETTERBOX), height, width)
        assert 0 <= inside.top <= inside.top + inside.height <= target_height
        assert 0 <= inside.left <= inside.left + inside.width <= target_width
        assert inside.height == target_height or inside.width == target_width
        ratio = float(rng.uniform(0.1, 1))
        over = place(PreprocessSpec(target_height, target_width, Fit.CROP, crop_ratio=ratio), height, width)
        assert over.top <= 0
        assert over.top + over.height >= target_height
        assert over.left <= 0
        assert over.left + over.width >= target_width


@pytest.mark.parametrize("filter", list(Filter))
@pytest.mark.parametrize(("source", "resized"), SIZES)
def test_taps_stay_inside_and_sum_to_one(filter: Filter, source: int, resized: int) -> None:
    found = taps(source, resized, filter)
    assert found.first.min() >= 0
    assert found.first.max() + found.weights.shape[1] <= source
    assert found.weights.min() >= 0
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("filter", list(Filter))
@pytest.mark.parametrize(("source", "resized"), SIZES)
def test_a_part_of_an_axis_has_the_taps_of_the_whole(filter: Filter, source: int, resized: int) -> None:
    whole = taps(source, resized, filter)
    part = taps(source, resized, filter, resized // 3, resized - resized // 3)
    np.testing.assert_array_equal(part.first, whole.first[resized // 3 :])
    np.testing.assert_array_equal(part.weights, whole.weights[resized // 3 :])


@pytest.mark.parametrize("source", [1, 2, 7, 100])
@pytest.mark.parametrize("filter", list(Filter))
def test_the_same_size_changes_nothing(filter: Filter, source: int) -> None:
    found = taps(source, source, filter)
    dense = np.zeros((source, source))
    for i, (first, weights) in enumerate(zip(found.first, found.weights, strict=True)):
        dense[i, first : first + len(weights)] = weights
    np.testing.assert_array_equal(dense, np.eye(source))


def test_exactly_three_to_one_is_point_sampling() -> None:
    found = taps(1920, 640, Filter.BILINEAR)
    pixel = found.first + found.weights.argmax(axis=1)
    np.testing.assert_array_equal(found.weights.max(axis=1), 1.0)
    np.testing.assert_array_equal(pixel, np.arange(640) * 3 + 1)


def test_triangle_two_to_one_by_hand() -> None:
    # Support 2: centres at ±0.5 and ±1.5 weigh 3/4 and 1/4; at the edge, the missing pixel's weight is shared out.
    found = taps(8, 4, Filter.TRIANGLE)
    inner = found.weights[1][found.weights[1] > 0]
    np.testing.assert_allclose(inner, np.array([1, 3, 3, 1]) / 8)
    edge = found.weights[0][found.weights[0] > 0]
    np.testing.assert_allclose(edge, np.array([3, 3, 1]) / 7)


@pytest.mark.parametrize(
    "region", [(-1, 0, 2, 2), (0, -1, 2, 2), (0, 0, 0, 2), (0, 0, 2, 0), (5, 0, 6, 2), (0, 3, 2, 6), (0, 0, 2)]
)
def test_regions_outside_the_frame(region: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="10×8"):
        check_region(region, 8, 10)


def test_no_region_is_the_whole_frame() -> None:
    assert check_region(None, 8, 10) == (0, 0, 10, 8)
    assert check_region([9, 7, 1, 1], 8, 10) == (9, 7, 1, 1)
