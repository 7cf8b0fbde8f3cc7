"""AVIF, where Pillow and OpenCV come with it: orientation, transparency, depth, and containers that lie. And HEIC."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from picture_files import encoded, photo

from edgevision.decode import read_image
from edgevision.errors import ImageError


def avif_reader() -> bool:
    return "AVIF:                        NO" not in cv2.getBuildInformation() and "AVIF" in cv2.getBuildInformation()


def avif(image: object, **options: object) -> bytes:
    from PIL import features

    if not features.check("avif") or not avif_reader():
        pytest.skip("Pillow or OpenCV comes without AVIF")
    data = io.BytesIO()
    image.save(data, "AVIF", quality=95, **options)  # type: ignore[attr-defined]
    return data.getvalue()


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_upright_as_pillow_does(orientation: int) -> None:
    from PIL import Image, ImageOps

    tags = Image.Exif()
    tags[274] = orientation
    data = avif(Image.fromarray(photo()[..., ::-1]), exif=tags)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"), np.int64)[..., ::-1]
    result = read_image(data)
    assert result.shape == expected.shape
    assert np.abs(result - expected).mean() < 1  # two builds of libavif


@pytest.mark.requires("pillow")
def test_avif_alpha_is_composed_over_grey_114() -> None:
    from PIL import Image

    image = Image.fromarray(photo()[..., ::-1])
    image.putalpha(Image.new("L", image.size, 0))
    assert np.abs(read_image(avif(image)) - 114.0).max() <= 1


def test_avif_of_ten_bits_keeps_its_brightness() -> None:
    if not avif_reader() or not hasattr(cv2, "IMWRITE_AVIF_DEPTH"):
        pytest.skip("OpenCV comes without AVIF")
    deep = photo().astype(np.uint16) * 4
    result = read_image(encoded(".avif", deep, cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 95))
    assert np.abs(result - deep / 1023 * 255).mean() < 3


@pytest.mark.requires("pillow")
def test_an_avif_whose_container_lies_about_the_size_is_refused() -> None:
    from PIL import Image

    data = avif(Image.fromarray(photo()))
    small = data.replace(b"ispe" + struct.pack(">III", 0, 64, 48), b"ispe" + struct.pack(">III", 0, 8, 8))
    assert small != data
    with pytest.raises(ImageError, match="header is damaged"):
        read_image(small)
    with pytest.raises(ImageError, match="end of the picture is missing"):
        read_image(data[:-10])
    for cut in range(len(data)):
        with pytest.raises(ImageError):
            read_image(data[:cut])


def test_heic_gets_the_cure() -> None:
    with pytest.raises(ImageError, match=r"HEIC.*convert it to JPEG"):
        read_image(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100))
