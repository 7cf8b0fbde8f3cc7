"""What happens to the pixels happens to the boxes: products are drawn into photos, and found again by their colour."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.train.detect import augment as module
from edgevision.train.detect.augment import Area, BoxAugmentation, Tile, augment_boxed, draw_tiles, tile_boxes

pytestmark = pytest.mark.requires("torch")

IGNORED = -1
SIZE = 96
# Seen before every change of light, focus and compression, where a colour is still a colour.
STILL = BoxAugmentation(brightness=0, contrast=0, saturation=0, white_balance=0, blur=0, jpeg=0, erase=0)


def photo(index, height=120, width=160, scale=1):
    """A photo with one product, filled with value 200 + ``index`` in one channel; dark around it."""
    random = np.random.default_rng(index)
    x1, y1 = int(random.integers(5, width // 2)), int(random.integers(5, height // 2))
    x2, y2 = int(random.integers(x1 + 20, width - 4)), int(random.integers(y1 + 20, height - 4))
    image = np.full((height, width, 3), 30, np.uint8)
    image[y1:y2, x1:x2, index % 3] = 200
    truth = PhotoBoxes(height * scale, width * scale, (Box(index % 3, *(float(v * scale) for v in (x1, y1, x2, y2))),))
    return image, truth


def drawn_box(picture, channel):
    """Where the colour is: corners at half of its strength, so that what is blended at an edge counts by its share."""
    strength = (picture[..., channel].astype(np.float64) - 30) / 170
    strength[picture.max(2) == picture.min(2)] = 0  # padding is grey
    rows, columns = strength.max(1).clip(0, 1), strength.max(0).clip(0, 1)
    if not (columns > 0.5).any():
        return None
    return [
        place
        for profile in (columns, rows)
        for place in (np.flatnonzero(profile > 0.5)[0], np.flatnonzero(profile > 0.5)[-1] + 1)
    ]


def assert_boxes_are_where_they_are_drawn(picture, boxes, classes, shown):
    for channel in range(3):
        own = boxes[classes == channel]
        got = drawn_box(picture, channel)
        if got is None:
            assert not len(own)
            continue
        x1, x2, y1, y2 = got
        if not len(own):
            assert min(x2 - x1, y2 - y1) <= 2  # too thin to be learnt
        else:
            assert len(own) == 1
            np.testing.assert_allclose(own[0], [x1, y1, x2, y2], atol=1.0)
            shown.add(channel)


GEOMETRY = {
    "whole": {"min_scale": 1, "max_scale": 1, "max_aspect": 1, "flip": 0}, "flip": {"min_scale": 1, "max_scale": 1, "flip": 1},
    "small": {"min_scale": 0.4, "max_scale": 0.9}, "large": {"min_scale": 1.2, "max_scale": 3}, "stretched": {"max_aspect": 2},
    "all": {},
}  # fmt: skip


@pytest.mark.parametrize("photos", [1, 4])
@pytest.mark.parametrize("scale", [1, 3])  # 3: boxes are measured in a photo three times as large as what is in memory
@pytest.mark.parametrize("name", GEOMETRY)
def test_boxes_follow_the_pixels(name, scale, photos):
    options = replace(STILL, min_visible=0, **GEOMETRY[name])
    shown = set()
    for seed in range(30):
        # In a mosaic three of the photos show nothing, so that each colour is there once.
        images, truths = zip(*(photo(seed + k, scale=scale) for k in range(photos)), strict=True)
        images = [images[0], *(np.full_like(image, 30) for image in images[1:])]
        truths = [truths[0], *(truth._replace(boxes=()) for truth in truths[1:])]
        picture, boxes, classes = augment_boxed(images, truths, SIZE, options, 114, np.random.default_rng(seed))
        assert (picture.shape, picture.dtype) == ((SIZE, SIZE, 3), np.uint8)
        assert (boxes.dtype, classes.dtype) == (np.float32, np.int64)
        assert_boxes_are_where_they_are_drawn(picture, boxes, classes, shown)
    assert shown == {0, 1, 2}


def test_a_mosaic_shows_four_photos():
    images, truths = zip(*(photo(k) for k in range(4)), strict=True)
    everything = replace(STILL, min_scale=0.3, max_scale=0.35, min_visible=0.01)
    for seed in range(5):
        _, boxes, classes = augment_boxed(images, truths, SIZE, everything, 114, np.random.default_rng(seed))
        assert sorted(classes.tolist()) == [0, 0, 1, 2]
        assert len(boxes) == 4


def test_a_whole_photo_is_letterboxed_as_at_run_time():
    from edgevision.frames import Frame
    from edgevision.preprocess import ColorOrder, Fit, Layout, Preprocessor, PreprocessSpec, TensorDtype

    spec = PreprocessSpec(
        SIZE, SIZE, Fit.LETTERBOX, color=ColorOrder.BGR, std=(1.0,) * 3, layout=Layout.NHWC, dtype=TensorDtype.UINT8
    )
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (144, 192, 3), dtype=np.uint8), (5, 5), 0)
    centred = Tile(0, np.array([[0.5, 0.0, 0.0], [0.0, 0.5, 12.0]]), Area(0, 0, SIZE, SIZE))
    got = module.tile_pixels(image, image.shape[:2], centred, 114)
    expected = np.empty((SIZE, SIZE, 3), np.uint8)
    Preprocessor(spec).run(Frame.from_array(image), expected)
    inner = slice(13, 83)  # the outermost rows are blended with the padding here, and not there
    assert np.abs(got[inner].astype(int) - expected[inner]).max() <= 2
    assert np.array_equal(got[:11], expected[:11])


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        (Area(0, 0, 100, 100), [([10, 10, 50, 30], 2), ([60, 60, 90, 90], 0)]),  # all of both
        (Area(0, 0, 40, 100), [([10, 10, 40, 30], 2)]),  # three quarters of the first
        (Area(0, 0, 22, 100), [([10, 10, 22, 30], 2)]),  # exactly what must be seen
        (Area(0, 0, 21, 100), [([10, 10, 21, 30], IGNORED)]),  # less
        (Area(49, 0, 100, 100), [([49, 10, 50, 30], IGNORED), ([60, 60, 90, 90], 0)]),  # a remnant
        (Area(50, 0, 60, 100), []),  # nothing
    ],
)
def test_what_is_cut_off(area, expected):
    truth = PhotoBoxes(100, 100, (Box(2, 10, 10, 50, 30), Box(0, 60, 60, 90, 90)))
    tile = Tile(0, np.array([[1.0, 0, 0], [0, 1.0, 0]]), area)
    boxes, classes = tile_boxes(truth, tile, BoxAugmentation(min_visible=0.3))
    assert [(box, label) for box, label in zip(boxes.tolist(), classes.tolist(), strict=True)] == expected


def test_a_heap_is_ignored_and_so_is_what_became_too_thin():
    truth = PhotoBoxes(100, 100, (Box(1, 10, 10, 50, 30, crowd=True), Box(1, 60, 60, 63, 90)))
    half = Tile(0, np.array([[0.5, 0, 0], [0, 0.5, 0]]), Area(0, 0, 50, 50))
    boxes, classes = tile_boxes(truth, half, BoxAugmentation())
    assert classes.tolist() == [IGNORED, IGNORED]
    assert boxes.tolist() == [[5, 5, 25, 15], [30, 30, 31.5, 45]]


def test_a_photo_without_products():
    image, truth = photo(0)
    _, boxes, classes = augment_boxed([image], [truth._replace(boxes=())], SIZE, STILL, 114, np.random.default_rng(0))
    assert boxes.shape == (0, 4)
    assert classes.shape == (0,)


def test_the_photo_is_not_changed_and_the_seed_decides():
    images, truths = zip(*(photo(k) for k in range(4)), strict=True)
    options = BoxAugmentation(blur=1, jpeg=1, erase=1)
    first, again, other = (
        augment_boxed(images, truths, SIZE, options, 114, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    for a, b, c in zip(first, again, other, strict=True):
        assert np.array_equal(a, b)
        assert a.shape != c.shape or not np.array_equal(a, c)
    assert np.array_equal(images[1], photo(1)[0])


def test_tiles_fill_the_picture_and_photos_fill_the_tiles_where_they_are_large_enough():
    options = BoxAugmentation(min_scale=1.5, max_scale=2)
    for seed in range(20):
        tiles = draw_tiles(range(4), [(100, 100)] * 4, SIZE, options, np.random.default_rng(seed))
        covered = np.zeros((SIZE, SIZE), int)
        for tile in tiles:
            left, top, right, bottom = tile.area
            covered[top:bottom, left:right] += 1
            corners = np.sort(np.array([[0, 0], [100, 100]]) @ tile.matrix[:, :2].T + tile.matrix[:, 2], axis=0)
            assert (corners[0] <= np.array([left, top]) + 1e-9).all()
            assert (corners[1] >= np.array([right, bottom]) - 1e-9).all()
        assert (covered == 1).all()


@pytest.mark.parametrize(
    "changes", [{"mosaic": 1.5}, {"min_visible": -0.1}, {"min_scale": 2}, {"max_aspect": 0.5}, {"jpeg": 2}, {"min_scale": 0}]
)  # fmt: skip
def test_values_that_cannot_be(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        BoxAugmentation(**changes)
