from __future__ import annotations

import av
import numpy as np
import pytest

from edgevision.frames import ColorEncoding, PixelFormat
from edgevision.streams.sources.planes import PlaneReader

pytestmark = pytest.mark.requires("av")

RANDOM = np.random.default_rng(1)


def picture(format: str, height: int, width: int) -> av.VideoFrame:
    """Noise in every plane; rows are padded where FFmpeg pads them."""
    made = av.VideoFrame(width, height, format)
    for plane in made.planes:
        plane.update(RANDOM.integers(0, 256, plane.buffer_size, dtype=np.uint8).tobytes())
    return made


@pytest.mark.parametrize("size", [(48, 64), (46, 70), (2, 2)], ids=str)
@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("yuv420p", PixelFormat.I420), ("yuvj420p", PixelFormat.I420), ("nv12", PixelFormat.NV12), ("yuyv422", PixelFormat.YUYV),
        ("gray", PixelFormat.GRAY), ("bgr24", PixelFormat.BGR), ("rgb24", PixelFormat.RGB), ("bgra", PixelFormat.BGRA),
    ],
)  # fmt: skip
def test_planes_are_ffmpegs_own_memory(format, expected, size):
    made = picture(format, *size)
    frame = PlaneReader().frame(made, camera="till", sequence=7, captured_ns=5)
    assert (frame.format, frame.height, frame.width) == (expected, *size)
    assert (frame.camera, frame.sequence, frame.captured_ns) == ("till", 7, 5)
    packed = np.concatenate([np.ascontiguousarray(plane).reshape(-1) for plane in frame.planes])
    np.testing.assert_array_equal(packed, made.to_ndarray().reshape(-1))  # PyAV's own way, which copies
    for plane, theirs in zip(frame.planes, made.planes, strict=True):
        assert plane.__array_interface__["data"][0] == theirs.buffer_ptr
        assert not plane.flags.writeable


def test_planes_outlive_the_picture_and_its_reader():
    made = picture("yuv420p", 480, 640)
    expected = made.to_ndarray()
    frame = PlaneReader().frame(made)
    del made
    others = [picture("yuv420p", 480, 640) for _ in range(50)]
    np.testing.assert_array_equal(frame.planes[0], expected[:480])
    del others


@pytest.mark.parametrize(
    ("format", "matrix", "range", "encoding"),
    [
        ("yuv420p", 2, 0, ColorEncoding.BT601_LIMITED),
        ("yuv420p", 6, 1, ColorEncoding.BT601_LIMITED),
        ("yuv420p", 5, 2, ColorEncoding.BT601_FULL),
        ("yuv420p", 1, 1, ColorEncoding.BT709_LIMITED),
        ("yuv420p", 1, 2, ColorEncoding.BT709_FULL),
        ("yuvj420p", 2, 0, ColorEncoding.BT601_FULL),
        ("nv12", 1, 0, ColorEncoding.BT709_LIMITED),
    ],
)
def test_the_colour_encoding_is_the_streams(format, matrix, range, encoding):
    made = picture(format, 48, 64)
    made.colorspace, made.color_range = matrix, range
    assert PlaneReader().frame(made).encoding is encoding


MATRICES = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 9: (0.2627, 0.0593)}  # weights of red and blue, ITU-T H.273


def to_bgr(y: int, u: int, v: int, matrix: int, full: bool) -> np.ndarray:
    """By ITU-T H.273, in float64."""
    red, blue = MATRICES[matrix]
    luma = y / 255 if full else (y - 16) / 219
    scale = 255 if full else 224
    b_y, r_y = 2 * (1 - blue) * (u - 128) / scale, 2 * (1 - red) * (v - 128) / scale
    g = luma - (red * r_y + blue * b_y) / (1 - red - blue)
    return np.clip(255 * np.array([luma + b_y, g, luma + r_y]), 0, 255)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("format", "size", "matrix"),
    [
        ("yuv420p", (47, 63), 2), ("yuv420p", (1, 1), 1), ("yuv444p", (48, 64), 1), ("yuv422p", (48, 64), 2), ("nv12", (47, 64), 1),
        ("yuv420p", (48, 64), 9),
    ],
)  # fmt: skip
def test_what_a_frame_cannot_hold_becomes_bgr(format, size, matrix, full):
    for y, u, v in ((60, 128, 128), (120, 100, 160), (180, 150, 110)):
        made = av.VideoFrame(size[1], size[0], format)
        made.colorspace, made.color_range = matrix, 2 if full else 1
        for index, plane in enumerate(made.planes):
            if format == "nv12" and index:
                content = np.tile(np.array([u, v], np.uint8), plane.buffer_size // 2)
            else:
                content = np.full(plane.buffer_size, (y, u, v)[index], np.uint8)
            plane.update(content.tobytes())
        frame = PlaneReader().frame(made)
        assert (frame.format, frame.height, frame.width) == (PixelFormat.BGR, *size)
        away = frame.planes[0].astype(np.float64) - to_bgr(y, u, v, matrix, full)
        assert np.abs(away).max() < 3


def test_ten_bits_become_bgr():
    made = av.VideoFrame(64, 48, "yuv420p10le")
    for plane, value in zip(made.planes, (480, 512, 512), strict=True):
        plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
    frame = PlaneReader().frame(made)
    assert frame.format is PixelFormat.BGR
    assert np.abs(frame.planes[0].astype(float) - to_bgr(120, 128, 128, 2, False)).max() < 3
