"""A JPEG that ends early and has an end marker all the same, as torn MJPEG frames do."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision import _native
from edgevision.decode import read_image
from edgevision.errors import ImageError


def photo(height: int = 241, width: int = 323) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def encoded(image: np.ndarray, *options: int) -> bytes:
    return bytes(cv2.imencode(".jpg", image, list(options))[1])


def torn(jpeg: bytes, keep: float) -> bytes:
    start = jpeg.index(b"\xff\xda") + 14
    return jpeg[: start + int((len(jpeg) - start) * keep)] + b"\xff\xd9"


KINDS = [
    (),
    (cv2.IMWRITE_JPEG_QUALITY, 10),
    (cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x211111),
    (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    (cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
]


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.5, 0.8])
def test_a_torn_jpeg_is_refused(options: tuple[int, ...], keep: float, capfd: pytest.CaptureFixture[str]) -> None:
    for image in (photo(), photo()[..., 0]):
        with pytest.raises(ImageError, match=r"its data (ends|is wrong) after \d+% of the picture"):
            read_image(torn(encoded(image, *options), keep))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 40), (64, 1), (241, 323)])
def test_whole_jpegs_are_whole(options: tuple[int, ...], size: tuple[int, int]) -> None:
    """Grey ends too: they look like what libjpeg fills in."""
    image = photo(*size)
    image[size[0] // 2 :] = 128
    for picture in (image, image[..., 0]):
        jpeg = encoded(picture, *options)
        verdict, read, total, _ = _native.scan_jpeg(jpeg)
        assert (verdict, read) == ("whole", total)
        assert read_image(jpeg).shape == (*size, 3)


def test_less_than_a_row_of_blocks_may_be_missing() -> None:
    assert read_image(encoded(photo())[:-8] + b"\xff\xd9").shape == (241, 323, 3)


def test_nothing_is_said_about_progressive_jpegs() -> None:
    jpeg = encoded(photo(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert _native.scan_jpeg(jpeg)[0] == "unknown"


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "L"])
def test_the_jpegs_of_pillow_are_whole(mode: str) -> None:
    from PIL import Image

    for options in ({}, {"optimize": True}, {"restart_marker_rows": 1}, {"quality": 100, "subsampling": 2}):
        data = io.BytesIO()
        arguments: dict[str, Any] = dict(options)
        Image.fromarray(photo()).convert(mode).save(data, "JPEG", **arguments)
        assert _native.scan_jpeg(data.getvalue())[0] == "whole"


def test_changed_bytes_never_crash() -> None:
    rng = np.random.default_rng(5)
    jpeg = encoded(photo(40, 60))
    for _ in range(5000):
        data = bytearray(jpeg)
        for at in rng.integers(2, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        verdict, read, total, across = _native.scan_jpeg(bytes(data[: rng.integers(0, len(data) + 1)]))
        assert verdict in ("whole", "cut", "damaged", "unknown")
        assert 0 <= read <= total
        assert across >= 0
