"""The brightness of a frame, which is all that barcodes and sharpness need."""

from __future__ import annotations

import numpy as np

from edgevision.errors import InputError
from edgevision.frames import Frame, ImageArray, MemoryKind, PixelFormat


def luma(frame: Frame) -> ImageArray:
    """The brightness of each pixel, [height, width] uint8. A view where the frame has such a plane (GRAY and YUV formats: as
    the camera gives it, in full or limited range), else computed.

    Raises InputError for a frame in the memory of a device.
    """
    if frame.memory is not MemoryKind.HOST:
        raise InputError("expected a frame in host memory, got one on a CUDA device; copy it to the host first")
    plane: ImageArray = frame.planes[0]
    if frame.format in (PixelFormat.GRAY, PixelFormat.NV12, PixelFormat.I420):
        return plane
    if frame.format is PixelFormat.YUYV:
        return plane[..., 0]
    import cv2

    codes = {
        PixelFormat.BGR: cv2.COLOR_BGR2GRAY, PixelFormat.RGB: cv2.COLOR_RGB2GRAY, PixelFormat.BGRA: cv2.COLOR_BGRA2GRAY,
    }  # fmt: skip
    return np.asarray(cv2.cvtColor(plane, codes[frame.format]), np.uint8)
