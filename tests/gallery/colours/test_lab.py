"""CIELAB against OpenCV's, against values that are known, and there and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.gallery.colours.lab import bgr_of, chroma, lab_of, linear_rgb


def test_it_is_what_opencv_computes():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    expected = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    assert np.abs(lab_of(pixels) - expected).max() < 0.6  # its white point has four digits, and it interpolates


@pytest.mark.parametrize(
    ("bgr", "lab"),
    [
        ((0, 0, 255), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((255, 0, 0), (32.30, 79.19, -107.86)),
    ],
)
def test_the_primaries_of_srgb(bgr, lab):
    assert lab_of(np.array(bgr, np.uint8)) == pytest.approx(lab, abs=0.02)


def test_grey_has_no_chroma():
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    assert chroma(lab_of(greys)).max() < 1e-9
    assert lab_of(greys)[[0, 255], 0] == pytest.approx([0, 100])
    assert (np.diff(lab_of(greys)[:, 0]) > 0).all()


def test_there_and_back():
    pixels = np.random.default_rng(1).integers(0, 256, (5000, 3), np.uint8)
    assert np.array_equal(bgr_of(lab_of(pixels)), pixels)
    assert bgr_of([50.0, 200.0, -200.0]).dtype == np.uint8  # no screen has it


def test_other_arrays_are_refused():
    for wrong in (np.zeros((2, 3)), np.zeros((2, 4), np.uint8)):
        with pytest.raises(InputError, match="uint8 BGR"):
            linear_rgb(wrong)
