from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.frames import Frame, MemoryKind, PixelFormat, plane_shapes
from edgevision.tracking.luma import luma


def frame_of(format: PixelFormat) -> Frame:
    rng = np.random.default_rng(3)
    planes = tuple(rng.integers(0, 256, shape, np.uint8) for shape in plane_shapes(format, 6, 8))
    return Frame(planes, 6, 8, format)


@pytest.mark.parametrize("format", list(PixelFormat))
def test_brightness_of_every_format(format):
    frame = frame_of(format)
    plane = frame.planes[0]
    if format in (PixelFormat.BGR, PixelFormat.RGB, PixelFormat.BGRA):  # BT.601, in float64
        weights = np.array([0.299, 0.587, 0.114] if format is PixelFormat.RGB else [0.114, 0.587, 0.299])
        expected, tolerance = plane[..., :3].astype(np.float64) @ weights, 1.0
    else:  # the camera's own, as it is
        expected, tolerance = plane.reshape(6, 8, -1)[..., 0], 0.0
    found = luma(frame)
    assert (found.shape, found.dtype) == ((6, 8), np.uint8)
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_a_frame_on_a_device_is_refused():
    frame = replace(frame_of(PixelFormat.GRAY), memory=MemoryKind.CUDA)
    with pytest.raises(InputError, match="copy it to the host"):
        luma(frame)
