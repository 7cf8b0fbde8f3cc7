from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.frames import Frame, PixelFormat
from edgevision.tracking.sharpest import SharpestViews, sharpness

BOX = (100.0, 60.0, 200.0, 160.0)


def picture(blur: float = 0.0, size: int = 320) -> np.ndarray:
    """Grey stripes and spots with edges in all directions, the same at every size."""
    image = np.full((size, size), 230, np.uint8)
    for k in range(12):
        x = size * (2 * k + 1) // 26
        cv2.line(image, (x, size // 10), (x + size // 8, size * 9 // 10), 20, size // 40)
    return cv2.GaussianBlur(image, (0, 0), blur) if blur else image


def frame(blur: float = 0.0) -> Frame:
    return Frame.from_array(picture(blur), format=PixelFormat.GRAY)


def test_less_blur_is_sharper():
    found = [sharpness(picture(blur)) for blur in (0, 1, 2, 4, 8)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * found[3]


def test_larger_and_as_detailed_is_sharper_but_enlarging_adds_nothing():
    small, large = picture(2.0, size=160), picture(2.0, size=640)
    enlarged = cv2.resize(small, (640, 640), interpolation=cv2.INTER_CUBIC)
    assert sharpness(large) > 2 * sharpness(small)
    assert sharpness(enlarged) == pytest.approx(sharpness(small), rel=0.2)


@pytest.mark.parametrize("shape", [(0, 5), (1, 9), (9, 1)])
def test_slivers_have_no_sharpness(shape):
    assert sharpness(np.zeros(shape, np.uint8)) == 0.0


def test_the_gradients_are_those_of_float64():
    image = np.random.default_rng(0).integers(0, 256, (9, 11), np.uint8)
    padded = np.pad(image.astype(np.float64), 1, mode="reflect")
    smooth, step = np.array([1, 2, 1]), np.array([-1, 0, 1])

    def filtered(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return sum(rows[i] * columns[j] * padded[i : i + 9, j : j + 11] for i in range(3) for j in range(3))

    expected = (filtered(smooth, step) ** 2).sum() + (filtered(step, smooth) ** 2).sum()
    assert sharpness(image) == pytest.approx(expected, rel=1e-6)


def test_the_sharpest_of_the_last_seconds_is_kept():
    views = SharpestViews(keep_s=2.0)
    kept = [views.offer(7, time_s, frame(blur), BOX) for time_s, blur in ((0.0, 4), (0.5, 1), (1.0, 2), (2.5, 3))]
    assert kept == [True, True, False, False]
    assert views.take(7).time_s == 0.5


def test_a_view_that_is_too_old_gives_way_to_a_worse_one():
    views = SharpestViews(keep_s=2.0)
    assert views.offer(7, 0.0, frame(0), BOX)
    assert not views.offer(7, 2.0, frame(4), BOX)
    assert views.offer(7, 2.001, frame(4), BOX)
    assert views.take(7).time_s == 2.001


def test_tracks_do_not_mix_and_what_is_taken_is_gone():
    views = SharpestViews()
    views.offer(1, 0.0, frame(0), BOX)
    views.offer(2, 0.0, frame(3), BOX)
    assert len(views) == 2
    first, second = views.take(1), views.take(2)
    assert first.sharpness > second.sharpness
    assert views.take(1) is None
    assert views.take(3) is None
    assert len(views) == 0


@pytest.mark.parametrize("format", list(PixelFormat))
def test_what_is_cut_out_is_the_box_with_its_margin(format):
    """Of every format, at every parity of the corner; chroma is as wide as it must be."""
    grey = picture()
    if format is PixelFormat.GRAY:
        planes = (grey,)
    elif format.is_yuv and format is not PixelFormat.YUYV:
        half = np.full((160, 160), 128, np.uint8)
        planes = (grey, np.stack([half, half], 2)) if format is PixelFormat.NV12 else (grey, half, half)
    else:
        planes = (np.repeat(grey[..., None], {"bgra": 4, "yuyv": 2}.get(format.value, 3), 2),)
    views = SharpestViews(margin=0.1)
    views.offer(7, 0.0, Frame(planes, 320, 320, format), (100.5, 61.0, 200.5, 161.0))
    view = views.take(7)
    assert (view.x, view.y, view.image.shape) == (90, 51, (120, 121))
    np.testing.assert_array_equal(view.image, grey[51:171, 90:211])


def test_the_picture_is_a_copy():
    """The camera writes the next frame into the same buffer."""
    grey = picture()
    views = SharpestViews()
    views.offer(7, 0.0, Frame.from_array(grey, format=PixelFormat.GRAY), BOX)
    grey[:] = 0
    assert views.take(7).image.any()


@pytest.mark.parametrize("box", [(-50.0, -50.0, 40.0, 40.0), (300.0, 300.0, 400.0, 400.0)])
def test_boxes_that_reach_over_the_edge_are_cut(box):
    views = SharpestViews(margin=0.0)
    assert views.offer(7, 0.0, frame(), box)
    view = views.take(7)
    assert min(view.x, view.y) >= 0
    assert view.image.shape in ((40, 40), (20, 20))


@pytest.mark.parametrize("box", [(400.0, 0.0, 500.0, 50.0), (50.0, 50.0, 50.0, 50.0), (80.0, 50.0, 20.0, 90.0)])
def test_boxes_with_nothing_in_them_are_not_kept(box):
    assert not SharpestViews().offer(7, 0.0, frame(), box)


@pytest.mark.parametrize(("time_s", "box"), [(math.nan, BOX), (0.0, (0.0, 0.0, math.inf, 1.0)), (0.0, (0.0, 1.0, 2.0))])
def test_what_is_not_finite_is_refused(time_s, box):
    with pytest.raises(InputError, match="finite"):
        SharpestViews().offer(7, time_s, frame(), box)


def test_memory_is_bounded():
    """Those offered longest ago go first, whether they were replaced meanwhile or not."""
    views = SharpestViews(margin=0.0, max_bytes=3 * 10_000)
    for track in (1, 2, 3):
        assert views.offer(track, 0.0, frame(), BOX)
    assert not views.offer(1, 0.1, frame(4), BOX)  # kept as it was, and seen again
    assert views.offer(4, 0.2, frame(), BOX)
    assert [track for track in (1, 2, 3, 4) if views.take(track)] == [1, 3, 4]
    for track in range(1000):
        views.offer(track, 1.0, frame(), BOX)
        assert sum(view.image.size for view in views._views.values()) == views._bytes <= 30_000


def test_tracks_are_bounded():
    views = SharpestViews(max_tracks=2)
    for track in range(5):
        views.offer(track, 0.0, frame(), BOX)
    assert len(views) == 2
    assert views.take(4) is not None


def test_a_view_larger_than_all_memory_is_not_kept():
    views = SharpestViews(margin=0.0, max_bytes=9_999)
    assert not views.offer(7, 0.0, frame(), BOX)


@pytest.mark.parametrize(
    "wrong", [{"keep_s": 0}, {"keep_s": math.nan}, {"margin": -1}, {"max_bytes": 0}, {"max_tracks": 0}]
)
def test_wrong_options(wrong):
    with pytest.raises(InputError, match="expected keep_s"):
        SharpestViews(**wrong)
