"""Samples of every depth and number of channels become 8-bit BGR."""

from __future__ import annotations

import io

import numpy as np
import pytest
from picture_files import encoded, photo

from edgevision.decode import read_image
from edgevision.errors import ImageError


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_grey_becomes_three_equal_channels(suffix: str) -> None:
    grey = photo()[..., 0]
    result = read_image(encoded(suffix, grey))
    assert result.shape == (*grey.shape, 3)
    assert np.ptp(result, axis=2).max() == 0


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_divided_by_257_and_rounded(suffix: str) -> None:
    values = np.array([0, 1, 128, 129, 257, 32767, 32768, 65406, 65407, 65535], np.uint16)
    image = np.repeat(values[None, :, None], 3, axis=2)
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(read_image(encoded(suffix, image))[0, :, 0], expected)


def test_alpha_is_composed_over_grey_114() -> None:
    color = np.array([0, 10, 200, 255], np.uint8)
    alpha = np.array([0, 1, 127, 128, 254, 255], np.uint8)
    c, a = np.meshgrid(color, alpha)
    image = np.stack([c, c, c, a], axis=2)
    expected = np.rint((c * (a / 255.0)) + 114 * (1 - a / 255.0))
    np.testing.assert_array_equal(read_image(encoded(".png", image))[..., 0], expected)


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_of_more_than_16_bits_are_refused(mode: str) -> None:
    from PIL import Image

    data = io.BytesIO()
    Image.new(mode, (8, 8), 3).save(data, "TIFF")
    with pytest.raises(ImageError, match="8 or 16 bits"):
        read_image(data.getvalue())
