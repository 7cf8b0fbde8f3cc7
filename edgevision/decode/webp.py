"""WebP headers (RFC 9649): size, orientation, memory, and whether all of the file is there."""

from __future__ import annotations

import struct

from edgevision.decode.header import KNOWN, MAX_PARTS, ImageHeader, peak_bytes
from edgevision.decode.tiff import exif_orientation
from edgevision.errors import ImageError


def read_webp(data: bytes) -> ImageHeader:
    """A RIFF container: VP8 (lossy), VP8L (lossless), or VP8X with the canvas size and further chunks."""
    if data[8:12] != b"WEBP":
        raise ImageError(f"not a {KNOWN} picture")
    (riff_size,) = struct.unpack_from("<I", data, 4)
    kind, orientation, stored = data[12:16], 1, 3
    working = 5  # the lossless decoder holds ARGB
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        flags = data[20]
        stored = 4 if flags & 0x12 else 3  # alpha or animation
        working = 8 if flags & 0x02 else working  # an animation is composed on two canvases
        orientation = _orientation(data)
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        stored = 4 if bits >> 28 & 1 else 3
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    damage = None if riff_size + 8 <= len(data) else "the end of the picture is missing"
    cost = peak_bytes(width, height, stored, working)
    return ImageHeader("WebP", width, height, cost, orientation, damage)


def _orientation(data: bytes) -> int:
    """That of the first EXIF chunk; 1 where there is none."""
    position = 12
    for _ in range(MAX_PARTS):
        if position + 8 > len(data):
            return 1
        (length,) = struct.unpack_from("<I", data, position + 4)
        if data[position : position + 4] == b"EXIF":
            return exif_orientation(data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0"))
        position += 8 + length + length % 2
    raise ImageError(f"the WebP has more than {MAX_PARTS} chunks")
