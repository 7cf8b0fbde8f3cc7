"""BMP headers: the size."""

from __future__ import annotations

import struct

from edgevision.decode.header import ImageHeader, peak_bytes


def read_bmp(data: bytes) -> ImageHeader:
    """A BMP file with an OS/2 header (12 bytes) or a Windows one."""
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    width, height = abs(width), abs(height)  # a negative height means rows from the top
    return ImageHeader("BMP", width, height, peak_bytes(width, height, 4))
