from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.frames import ColorEncoding, Frame, MemoryKind, PixelFormat, plane_shapes


@pytest.mark.parametrize(
    ("format", "shapes"),
    [
        (PixelFormat.BGR, ((4, 6, 3),)),
        (PixelFormat.RGB, ((4, 6, 3),)),
        (PixelFormat.BGRA, ((4, 6, 4),)),
        (PixelFormat.GRAY, ((4, 6),)),
        (PixelFormat.NV12, ((4, 6), (2, 3, 2))),
        (PixelFormat.I420, ((4, 6), (2, 3), (2, 3))),
        (PixelFormat.YUYV, ((4, 6, 2),)),
    ],
)
def test_planes_of_each_format(format: PixelFormat, shapes: tuple[tuple[int, ...], ...]) -> None:
    assert plane_shapes(format, 4, 6) == shapes
    frame = Frame(tuple(np.zeros(shape, np.uint8) for shape in shapes), 4, 6, format)
    assert frame.memory is MemoryKind.HOST
    assert frame.encoding is ColorEncoding.BT601_LIMITED
    with pytest.raises(InputError, match=format.name):
        Frame(tuple(np.zeros((5, 5), np.uint8) for _ in shapes), 4, 6, format)


@pytest.mark.parametrize(
    ("format", "height", "width"),
    [
        (PixelFormat.NV12, 3, 4),
        (PixelFormat.NV12, 4, 3),
        (PixelFormat.I420, 4, 5),
        (PixelFormat.YUYV, 4, 5),
        (PixelFormat.BGR, 0, 5),
        (PixelFormat.GRAY, 5, -1),
    ],
)
def test_sizes_a_format_cannot_have(format: PixelFormat, height: int, width: int) -> None:
    with pytest.raises(InputError):
        plane_shapes(format, height, width)


def test_yuyv_may_have_an_odd_height() -> None:
    assert plane_shapes(PixelFormat.YUYV, 3, 4) == ((3, 4, 2),)


@pytest.mark.parametrize("format", list(PixelFormat))
def test_only_yuv_formats_say_so(format: PixelFormat) -> None:
    assert format.is_yuv == (format.name in ("NV12", "I420", "YUYV"))


def test_a_frame_of_an_array_keeps_the_array() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    frame = Frame.from_array(image, camera="till-3", sequence=7, captured_ns=123)
    assert frame.planes[0] is image
    assert (frame.height, frame.width, frame.format) == (480, 640, PixelFormat.BGR)
    assert (frame.camera, frame.sequence, frame.captured_ns) == ("till-3", 7, 123)


def test_a_frame_may_be_a_view_with_any_strides() -> None:
    image = np.zeros((100, 100, 4), np.uint8)[::-2, 5:75, :3]
    assert Frame.from_array(image).planes[0].base is not None


def test_a_frame_does_not_change() -> None:
    frame = Frame.from_array(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.height = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "image",
    [
        "milk.jpg",
        None,
        np.zeros(5, np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
    ids=lambda image: f"{getattr(image, 'dtype', '')}{getattr(image, 'shape', image)}",
)
def test_arrays_that_are_not_bgr_pictures(image: object) -> None:
    with pytest.raises(InputError):
        Frame.from_array(image)  # type: ignore[arg-type]
