"""Frames as pictures for people: BGR, with the answer drawn on them."""

from __future__ import annotations

import numpy as np

from edgevision.errors import InputError, ItemError
from edgevision.frames import Frame, ImageArray, MemoryKind, PixelFormat
from edgevision.preprocess.color import LIMITED, yuv_matrix
from edgevision.streams.results import StreamResult


def to_bgr(frame: Frame) -> ImageArray:
    """The frame as H×W×3 uint8 B, G, R, within 1 of ``preprocess.reference.to_bgr`` and a hundred times as quick.

    A view where the frame is BGR already. Raises InputError for a frame in the memory of a device.
    """
    import cv2

    if frame.memory is not MemoryKind.HOST:
        raise InputError("expected a frame in host memory, got one on a CUDA device; copy it to the host first")
    first: ImageArray = frame.planes[0]
    if frame.format is PixelFormat.BGR:
        return first
    codes = {
        PixelFormat.RGB: cv2.COLOR_RGB2BGR, PixelFormat.BGRA: cv2.COLOR_BGRA2BGR, PixelFormat.GRAY: cv2.COLOR_GRAY2BGR,
    }  # fmt: skip
    if frame.format in codes:
        return np.asarray(cv2.cvtColor(first, codes[frame.format]), np.uint8)
    luma, blue, red = _luma_and_chroma(frame)
    size = (frame.width, frame.height)
    chroma = [cv2.resize(np.ascontiguousarray(one), size, interpolation=cv2.INTER_NEAREST) for one in (blue, red)]
    if frame.encoding in LIMITED:
        luma = np.maximum(luma, np.uint8(16))
    matrix, bias = yuv_matrix(frame.encoding)
    samples = cv2.merge([np.ascontiguousarray(luma), *chroma])
    return np.asarray(cv2.transform(samples, np.column_stack([matrix, bias])), np.uint8)


def annotated(result: StreamResult) -> ImageArray | None:
    """The result's frame as H×W×3 uint8 BGR with the answer on it; None where the frame was not kept.

    Answers of tasks that cannot be drawn leave the picture as it is. Raises ItemError where there is no picture of this frame.
    """
    from edgevision.tasks.draw import draw

    if result.frame is None:
        return None
    try:
        picture = to_bgr(result.frame)
        try:
            return draw(picture, result.result)
        except InputError:
            return picture
    except Exception as error:  # one frame, or one answer of somebody's model: the next may be well
        raise ItemError(f"frame {result.sequence} of camera {result.camera} cannot be drawn: {error}") from error


def _luma_and_chroma(frame: Frame) -> tuple[ImageArray, ImageArray, ImageArray]:
    """Y [H, W], and Cb and Cr as they are."""
    planes = frame.planes
    if frame.format is PixelFormat.NV12:
        return planes[0], planes[1][..., 0], planes[1][..., 1]
    if frame.format is PixelFormat.I420:
        return planes[0], planes[1], planes[2]
    return planes[0][..., 0], planes[0][:, 0::2, 1], planes[0][:, 1::2, 1]
