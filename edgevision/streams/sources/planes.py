"""Decoded pictures of PyAV → frames, without copies where a frame can hold them as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.errors import SourceError
from edgevision.frames import ColorEncoding, Frame, ImageArray, PixelFormat
from edgevision.streams.reasons import Reason

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

# Formats of FFmpeg whose planes are a frame's planes. A "j" in a name says full range.
_AS_THEY_ARE = {
    "yuv420p": PixelFormat.I420,
    "yuvj420p": PixelFormat.I420,
    "nv12": PixelFormat.NV12,
    "yuyv422": PixelFormat.YUYV,
    "gray": PixelFormat.GRAY,
    "bgr24": PixelFormat.BGR,
    "rgb24": PixelFormat.RGB,
    "bgra": PixelFormat.BGRA,
}
_SAMPLES = {PixelFormat.BGR: 3, PixelFormat.RGB: 3, PixelFormat.BGRA: 4, PixelFormat.YUYV: 2}  # of one pixel

# Numbers of ITU-T H.273, table 4 (matrix coefficients), as FFmpeg's AVColorSpace has them.
_UNSPECIFIED, _BT709, _BT470BG, _SMPTE170M = 2, 1, 5, 6
_FULL_RANGE = 2  # AVColorRange; 0 is unspecified, 1 limited
_ENCODINGS = {  # (BT.709, full range)
    (False, False): ColorEncoding.BT601_LIMITED,
    (False, True): ColorEncoding.BT601_FULL,
    (True, False): ColorEncoding.BT709_LIMITED,
    (True, True): ColorEncoding.BT709_FULL,
}


class PlaneReader:
    """Makes frames of one stream's pictures. It keeps one converter, for those that a frame cannot hold as they are."""

    def __init__(self) -> None:
        self._converter: VideoReformatter | None = None

    def frame(self, picture: VideoFrame, **known: Any) -> Frame:
        """A frame of ``picture``'s own memory, which lives as long as the frame; ``known`` as ``Frame`` has it.

        Pictures of other formats, other colour matrices than BT.601 and BT.709, and odd sizes, which 4:2:0 planes cannot have,
        become BGR. YUV without a matrix is taken as BT.601, as FFmpeg's own converter does. Raises SourceError where FFmpeg
        cannot convert it.
        """
        format = _AS_THEY_ARE.get(picture.format.name)
        upright = all(plane.line_size > 0 for plane in picture.planes)  # some files store their last row first
        if format is None or not upright or not _fits(picture, format):
            picture, format = self._to_bgr(picture), PixelFormat.BGR
        planes = tuple(_array(plane, format, index) for index, plane in enumerate(picture.planes))
        encoding = _encoding(picture) if format.is_yuv else ColorEncoding.BT601_LIMITED
        return Frame(planes, picture.height, picture.width, format, encoding, **known)

    def _to_bgr(self, picture: VideoFrame) -> VideoFrame:
        from av.error import FFmpegError
        from av.video.reformatter import ColorRange, VideoReformatter

        if self._converter is None:
            self._converter = VideoReformatter()
        full = _is_full(picture)
        try:
            return self._converter.reformat(
                picture,
                format="bgr24",
                src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                threads=1,
            )
        except (FFmpegError, ValueError) as error:
            reason = type(error).__name__
        raise SourceError(
            Reason.UNSUPPORTED, f"pictures of format {picture.format.name} cannot be converted ({reason})"
        )


def _is_full(picture: VideoFrame) -> bool:
    return picture.color_range == _FULL_RANGE or picture.format.name.startswith("yuvj")


def _fits(picture: VideoFrame, format: PixelFormat) -> bool:
    """Whether a frame of this format can be of the picture's size and colours."""
    if format.is_yuv and picture.colorspace not in (_UNSPECIFIED, _BT709, _BT470BG, _SMPTE170M):
        return False
    if format is PixelFormat.GRAY:
        return _is_full(picture) or picture.color_range == 0
    if format in (PixelFormat.I420, PixelFormat.NV12):
        return picture.width % 2 == 0 and picture.height % 2 == 0
    return format is not PixelFormat.YUYV or picture.width % 2 == 0


def _encoding(picture: VideoFrame) -> ColorEncoding:
    return _ENCODINGS[picture.colorspace == _BT709, _is_full(picture)]


def _array(plane: Any, format: PixelFormat, index: int) -> ImageArray:
    """The plane's memory as a frame wants it: rows may be followed by bytes that are not of the picture."""
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
    rows.flags.writeable = False
    if format is PixelFormat.NV12 and index == 1:
        return rows[:, : 2 * plane.width].reshape(plane.height, plane.width, 2)
    samples = _SAMPLES.get(format)
    if samples is None:
        return rows[:, : plane.width]
    return rows[:, : samples * plane.width].reshape(plane.height, plane.width, samples)
