"""Frames as BGR pictures, against the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from stream_items import classified, detected, result

from edgevision.frames import ColorEncoding, Frame, PixelFormat, plane_shapes
from edgevision.preprocess import reference
from edgevision.streams.pictures import annotated, to_bgr


@pytest.mark.parametrize("encoding", ColorEncoding)
@pytest.mark.parametrize("format", PixelFormat)
def test_it_is_the_reference_within_one(format, encoding):
    draw = np.random.default_rng(4)
    planes = tuple(draw.integers(0, 256, shape, dtype=np.uint8) for shape in plane_shapes(format, 34, 50))
    frame = Frame(planes, 34, 50, format, encoding)
    before = [plane.copy() for plane in planes]
    picture = to_bgr(frame)
    assert picture.dtype == np.uint8
    assert np.abs(picture - np.rint(reference.to_bgr(frame))).max() <= 1
    assert all((a == b).all() for a, b in zip(before, planes, strict=True))


@pytest.mark.parametrize("format", [PixelFormat.NV12, PixelFormat.I420, PixelFormat.YUYV])
def test_planes_with_longer_rows_do_as_well(format):
    """As decoders give them."""
    draw = np.random.default_rng(5)
    shapes = plane_shapes(format, 16, 20)
    wide = [draw.integers(0, 256, (shape[0], shape[1] + 12, *shape[2:]), dtype=np.uint8) for shape in shapes]
    cut = tuple(plane[:, : shape[1]] for plane, shape in zip(wide, shapes, strict=True))
    packed = tuple(np.ascontiguousarray(plane) for plane in cut)
    assert (to_bgr(Frame(cut, 16, 20, format)) == to_bgr(Frame(packed, 16, 20, format))).all()


def test_the_answer_is_drawn_and_the_frame_is_left_as_it_was():
    image = np.full((400, 400, 3), 90, np.uint8)
    for answer in (classified(), detected((50, 60, 200, 220))):
        drawn = annotated(result(0, answer=answer, frame=Frame.from_array(image)))
        assert drawn is not None
        assert (drawn != image).any()
    assert (image == 90).all()


def test_an_answer_that_cannot_be_drawn_leaves_the_picture():
    image = np.full((20, 20, 3), 90, np.uint8)
    drawn = annotated(result(0, answer={"text": 1}, frame=Frame.from_array(image)))
    assert drawn is not None
    assert (drawn == image).all()


def test_no_frame_no_picture():
    assert annotated(result(0)) is None
