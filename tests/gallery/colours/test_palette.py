"""Products whose colours and places are known by construction: cut out, sorted, named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.gallery.colours.difference import ciede2000
from edgevision.gallery.colours.lab import chroma, lab_of, linear_rgb
from edgevision.gallery.colours.palette import palette_of
from edgevision.gallery.colours.product_mask import LEAST, MOST, product_mask
from edgevision.gallery.colours.white import balance

RED, BLUE, GREEN, WHITE, BLACK = (40, 40, 190), (160, 70, 30), (60, 150, 50), (250, 250, 250), (20, 20, 20)


def package(colours, ground=WHITE, *, noise=3.0, size=(160, 120), seed=0):
    """A box in the middle, of horizontal bands of ``colours`` (BGR, share): the picture, and where the box is."""
    height, width = size
    picture = np.empty((height, width, 3), np.float64)
    picture[:] = ground
    where = np.zeros(size, bool)
    top, bottom, left, right = height // 5, height - height // 6, width // 4, width - width // 4
    where[top:bottom, left:right] = True
    row = top
    for colour, share in colours:
        end = min(bottom, row + round(share * (bottom - top)))
        picture[row:end, left:right] = colour
        row = end
    picture[row:bottom, left:right] = colours[-1][0]
    picture += np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), where


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


# ---- where the product is ----


@pytest.mark.parametrize(
    ("colours", "ground"),
    [
        ([(RED, 1.0)], WHITE),
        ([(WHITE, 1.0)], (90, 120, 60)),
        ([(BLACK, 0.5), (GREEN, 0.5)], (200, 190, 180)),
        ([(BLUE, 1.0)], (60, 100, 140)),
    ],
)
def test_a_package_is_cut_out(colours, ground):
    picture, where = package(colours, ground)
    assert overlap(product_mask(picture), where) > 0.9
    large = cv2.resize(picture, None, fx=4, fy=4)
    assert overlap(product_mask(large), cv2.resize(where.astype(np.uint8), None, fx=4, fy=4) > 0) > 0.9


def test_a_shadow_on_the_ground_is_no_product():
    picture, where = package([(RED, 1.0)], (200, 200, 200))
    shaded = picture.astype(np.float64)
    shadow = np.roll(where, (10, 14), (0, 1)) & ~where
    shaded[shadow] *= 0.85
    assert overlap(product_mask(np.clip(shaded, 0, 255).astype(np.uint8)), where) > 0.85


@pytest.mark.parametrize("fill", [WHITE, None], ids=["nothing", "everything"])
def test_where_nothing_stands_out_the_middle_is_taken(fill):
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    if fill is not None:
        picture[:] = fill
    mask = product_mask(picture)
    assert mask.shape == (60, 80)
    assert LEAST < mask.mean() <= MOST
    assert mask[25:35, 30:50].mean() > 0.8


def test_the_mask_is_the_same_each_time():
    picture, _ = package([(RED, 0.5), (BLUE, 0.5)], (90, 120, 60))
    assert np.array_equal(product_mask(picture), product_mask(picture))


@pytest.mark.parametrize("wrong", [np.zeros((9, 9), np.uint8), np.zeros((7, 9, 3), np.uint8), np.zeros((9, 9, 3))])
def test_other_pictures_are_refused(wrong):
    with pytest.raises(InputError, match="8×8"):
        product_mask(wrong)


# ---- its colours ----


@pytest.mark.parametrize(
    ("colours", "names"),
    [
        ([(RED, 1.0)], {"red": 1.0}),
        ([(BLUE, 0.7), (WHITE, 0.3)], {"blue": 0.7, "white": 0.3}),
        ([(GREEN, 0.6), (BLACK, 0.4)], {"green": 0.6, "black": 0.4}),
        ([(RED, 0.4), (BLUE, 0.35), (GREEN, 0.25)], {"red": 0.4, "blue": 0.35, "green": 0.25}),
        ([(WHITE, 0.97), (RED, 0.03)], {"white": 1.0}),  # print
    ],
)
def test_colours_and_their_shares(colours, names):
    picture, where = package(colours, (128, 128, 128))
    palette = palette_of(picture, where)
    assert palette.shares == pytest.approx(names, abs=0.02)
    assert palette.name == next(iter(names))
    truth = lab_of(np.array([colour for colour, share in colours if share > 0.05], np.uint8))
    found = np.array([swatch.lab for swatch in palette.swatches])
    assert ciede2000(truth[:, None], found[None]).min(axis=1).max() < 2.0
    assert sum(swatch.share for swatch in palette.swatches) == pytest.approx(1)


def test_light_that_falls_off_makes_no_second_colour():
    picture, where = package([(RED, 1.0)])
    light = np.linspace(1.0, 0.45, picture.shape[1])[None, :, None]
    palette = palette_of((picture * light).astype(np.uint8), where)
    assert list(palette.shares) == ["red"]


def test_the_product_is_found_without_a_mask():
    picture, where = package([(BLUE, 0.8), (WHITE, 0.2)], (60, 150, 200))
    assert palette_of(picture).shares == pytest.approx(palette_of(picture, where).shares, abs=0.06)


def test_plain_values_and_hex():
    picture, where = package([(RED, 1.0)], noise=0.0)
    (swatch,) = palette_of(picture, where).swatches
    assert swatch.hex == "#be2828"
    assert palette_of(picture, where).to_dict()["swatches"][0]["name"] == "red"


@pytest.mark.parametrize(
    "mask", [np.zeros((160, 120), bool), np.ones((10, 10), bool)], ids=["empty", "of another size"]
)
def test_a_mask_that_does_not_fit_is_refused(mask):
    with pytest.raises(InputError, match="mask"):
        palette_of(package([(RED, 1.0)])[0], mask)


# ---- the light's tint ----


def test_warm_light_on_white_paper_is_taken_back():
    picture, where = package([((150, 150, 150), 1.0)], noise=1.0)
    warm = np.clip(picture * np.array([0.9, 0.97, 1.0]), 0, 255).astype(np.uint8)
    assert float(chroma(lab_of(warm)[where].mean(axis=0))) > 5
    (swatch,) = palette_of(warm, where).swatches
    assert float(chroma(np.array(swatch.lab))) < 1.5


@pytest.mark.parametrize(
    "ground",
    [(60, 60, 220), (40, 40, 40), None],
    ids=["a colourful ground", "a dark ground", "a ground of many colours"],
)
def test_the_light_is_not_guessed_from_any_other_ground(ground):
    picture, where = package([(GREEN, 1.0)], WHITE if ground is None else ground)
    if ground is None:
        picture[~where] = np.random.default_rng(0).integers(0, 256, (int((~where).sum()), 3))
    rgb = linear_rgb(picture)
    assert np.array_equal(balance(rgb, ~where), rgb)
    assert np.array_equal(balance(rgb, np.zeros_like(where)), rgb)
