"""GIF headers (GIF89a): the size of the canvas."""

from __future__ import annotations

import struct

from edgevision.decode.header import ImageHeader, peak_bytes


def read_gif(data: bytes) -> ImageHeader:
    """The logical screen, on which OpenCV draws the first frame."""
    width, height = struct.unpack_from("<HH", data, 6)
    return ImageHeader("GIF", width, height, peak_bytes(width, height, 4, working=6))  # indices, and the frame before
