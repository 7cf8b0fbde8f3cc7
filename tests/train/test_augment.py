from __future__ import annotations

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.train.augment import Augmentation, augment, crop_box, relight_matrix


def photo(height=60, width=80):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_nothing_asked_for_is_a_plain_resize(no_augmentation):
    got = augment(photo(), 32, no_augmentation, np.random.default_rng(1))
    resized = cv2.resize(photo(), (32, 32), interpolation=cv2.INTER_LINEAR)  # which rounds twice, and to 11 bits
    assert np.abs(got.astype(int) - resized).max() <= 1


@pytest.mark.requires("pillow")
def test_nothing_asked_for_is_a_plain_antialiased_resize(no_augmentation):
    from PIL import Image

    smooth = augment(photo(), 32, no_augmentation, np.random.default_rng(1), antialias=True)
    resized = np.asarray(Image.fromarray(photo()).resize((32, 32), Image.Resampling.BILINEAR))  # which rounds twice
    assert np.abs(smooth.astype(int) - resized).max() <= 1


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("shape", [(60, 80), (1, 1), (3, 200), (500, 2)])
def test_everything_at_once_gives_a_picture_of_the_size(shape, antialias):
    everything = Augmentation(flip=1, rotate=1, blur=1, jpeg=1, erase=1)
    for seed in range(5):
        got = augment(photo(*shape), 40, everything, np.random.default_rng(seed), antialias=antialias)
        assert (got.shape, got.dtype) == ((40, 40, 3), np.uint8)


def test_the_photo_is_not_changed_and_the_seed_decides():
    image = photo()
    everything = Augmentation(min_area=1, max_aspect=1, rotate=1, blur=1, jpeg=1, erase=1)
    first, again, other = (augment(image, 60, everything, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(image, photo())
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["flip", "rotate", "blur", "jpeg", "erase"])
def test_each_can_be_had_alone(name, no_augmentation):
    plain = augment(photo(64, 64), 64, no_augmentation, np.random.default_rng(0))
    changed = augment(photo(64, 64), 64, replace(no_augmentation, **{name: 1.0}), np.random.default_rng(0))
    assert not np.array_equal(plain, changed)
    if name == "flip":
        assert np.array_equal(changed, plain[:, ::-1])
    if name == "erase":
        rows, columns = np.nonzero((changed != plain).any(2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert 0.15 * 64 - 1 <= height <= 0.4 * 64
        assert 0.15 * 64 - 1 <= width <= 0.4 * 64


def test_rotation_by_nothing_is_a_resize(no_augmentation):
    still = replace(no_augmentation, rotate=1.0, rotate_degrees=0.0)
    got = augment(photo(64, 64), 32, still, np.random.default_rng(0)).astype(int)
    plain = cv2.resize(photo(64, 64), (32, 32), interpolation=cv2.INTER_LINEAR).astype(int)
    assert abs(got - plain).max() <= 1  # the same half-pixel centres


def test_crops_stay_inside_and_keep_the_area_and_aspect_asked_for():
    random = np.random.default_rng(0)
    options = Augmentation(min_area=0.5, max_aspect=1.5)
    areas = []
    for _ in range(500):
        top, left, height, width = crop_box(300, 400, options, random)
        assert top >= 0
        assert left >= 0
        assert top + height <= 300
        assert left + width <= 400
        areas.append(height * width / 120_000)
        assert height == 300 or 1 / 1.52 < width / height < 1.52
    assert min(areas) > 0.49
    assert max(areas) > 0.9


def test_relighting_is_what_its_steps_give():
    """Gains, then contrast about the mean, then saturation about each pixel's grey, one after the other in float64."""
    image = photo().astype(np.float64)
    options = Augmentation()
    matrix = relight_matrix(image.reshape(-1, 3).mean(0), options, np.random.default_rng(9))
    random = np.random.default_rng(9)
    brightness = random.uniform(0.7, 1.3)
    x = image * (brightness * random.uniform(0.925, 1.075, 3))
    contrast, saturation = random.uniform(0.7, 1.3), random.uniform(0.7, 1.3)
    x = (x - x.mean()) * contrast + x.mean()
    grey = x.mean(2, keepdims=True)
    x = (x - grey) * saturation + grey
    np.testing.assert_allclose(image @ matrix[:, :3].T + matrix[:, 3], x, atol=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"min_area": 0},
        {"max_aspect": 0.5},
        *({f.name: 1.5} for f in fields(Augmentation) if f.name in ("flip", "jpeg", "contrast")),
    ],
)
def test_values_that_cannot_be(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        Augmentation(**changes)
