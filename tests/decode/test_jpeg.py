"""JPEG: its orientation, what follows its end, and how many scans it may have."""

from __future__ import annotations

import io
import struct
import sys
from types import FrameType
from typing import Any

import cv2
import numpy as np
import pytest
from picture_files import UPRIGHT, encoded, exif, jpeg_with_exif, photo

from edgevision.decode import read_image
from edgevision.decode.formats import read_header
from edgevision.errors import ImageError


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation_of_jpeg(orientation: int, order: str) -> None:
    jpeg = encoded(".jpg", photo())
    stored = read_image(jpeg)
    result = read_image(jpeg_with_exif(jpeg, exif(orientation, order)))
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, UPRIGHT[orientation](stored))


@pytest.mark.parametrize("block", [b"", b"II*\0", exif(0), exif(9), exif(6)[:14], b"II*\0\xff\xff\xff\xff"])
def test_senseless_exif_leaves_the_picture_as_it_is(block: bytes) -> None:
    jpeg = encoded(".jpg", photo())
    np.testing.assert_array_equal(read_image(jpeg_with_exif(jpeg, block)), read_image(jpeg))


@pytest.mark.parametrize("trailer", [b"\0" * 64, b"made by a camera", encoded(".jpg", photo(seed=1))])
def test_what_follows_the_end_of_a_jpeg_is_ignored(trailer: bytes) -> None:
    jpeg = encoded(".jpg", photo())
    np.testing.assert_array_equal(read_image(jpeg + trailer), read_image(jpeg))


@pytest.mark.requires("pillow")
def test_the_first_picture_of_an_mpo_is_taken() -> None:
    from PIL import Image

    first, second = (Image.fromarray(photo(seed=seed)) for seed in (0, 1))
    data, single = io.BytesIO(), io.BytesIO()
    first.save(data, "MPO", save_all=True, append_images=[second])
    first.save(single, "JPEG")
    np.testing.assert_array_equal(read_image(data.getvalue()), read_image(single.getvalue()))


def test_a_half_copied_jpeg_padded_with_zeros_is_refused() -> None:
    data = encoded(".jpg", photo())
    with pytest.raises(ImageError, match="end of the picture is missing"):
        read_image(data[: len(data) // 2] + bytes(len(data) // 2))


def test_fill_bytes_are_skipped_at_once() -> None:
    """Counted in lines of Python that run, for time says little on a busy machine."""
    jpeg = encoded(".jpg", photo())

    def lines_run(data: bytes) -> int:
        lines = 0

        def count(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            read_image(data)
        finally:
            sys.settrace(before)
        return lines

    assert lines_run(jpeg[:2] + b"\xff" * 1_000_000 + jpeg[2:]) < lines_run(jpeg) + 100


def test_a_progressive_jpeg_of_many_scans_is_refused() -> None:
    jpeg = encoded(".jpg", photo(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match=r"the JPEG has 1\d\d scans, the limit for its size is 100"):
        read_image(jpeg[:-2] + last * 100 + jpeg[-2:])


def test_the_larger_a_jpeg_the_fewer_scans_it_may_have() -> None:
    """Memory alone bounds no time: 98 scans over 100 million pixels took 22 s."""
    small = cv2.imencode(".jpg", np.zeros((2000, 3000), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = small[small.rindex(b"\xff\xda") : -2]
    many = small[:-2] + last * 40 + small[-2:]  # 6 million pixels: 83 may be
    assert read_header(many).damage is None
    frame = many.index(b"\xff\xc2") + 5  # height and width follow marker, length and precision
    large = many[:frame] + struct.pack(">HH", 8000, 9000) + many[frame + 4 :]
    with pytest.raises(ImageError, match=r"has 4\d scans, the limit for its size is 20; save it as a baseline JPEG"):
        read_header(large)
