"""Which format a picture file has, and what its header says. Nothing is decoded, so a hostile size costs nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable

from edgevision.decode.avif import read_avif
from edgevision.decode.header import MAX_PARTS, ImageHeader, peak_bytes
from edgevision.decode.jpeg import read_jpeg
from edgevision.decode.png import read_png
from edgevision.decode.tiff import exif_orientation, read_tiff
from edgevision.errors import ImageError

KNOWN = "JPEG, PNG, WebP, AVIF, BMP, GIF or TIFF"


def read_header(data: bytes) -> ImageHeader:
    """Read the header of a JPEG, PNG, WebP, AVIF, BMP, GIF or TIFF file. Raises ImageError for anything else."""
    for signature, offset, parse in _PARSERS:
        if data[offset : offset + len(signature)] == signature:
            try:
                return parse(data)
            except (struct.error, IndexError):
                raise ImageError("the file ends within its header") from None
    raise ImageError(f"not a {KNOWN} picture{_cure(data[:64])}")


def _cure(start: bytes) -> str:
    """What to do with bytes that people take for a picture file."""
    if start[:5] == b"data:" or start.startswith((b"/9j/", b"iVBORw0KGgo", b"R0lGOD", b"UklGR")):
        return ", but its base64 text; pass base64.b64decode(...) of what follows the comma, if there is one"
    if start.lstrip()[:1] == b"<":
        return ", but a web page or SVG; download the picture itself, as JPEG or PNG"
    return ""


def _webp(data: bytes) -> ImageHeader:
    """RIFF container of RFC 9649: VP8 (lossy), VP8L (lossless), or VP8X with the canvas size and further chunks."""
    if data[8:12] != b"WEBP":
        raise ImageError(f"not a {KNOWN} picture")
    (riff_size,) = struct.unpack_from("<I", data, 4)
    kind, orientation, stored = data[12:16], None, 3
    working = 5  # the lossless decoder holds ARGB
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        flags = data[20]
        stored = 4 if flags & 0x12 else 3  # alpha or animation
        working = 8 if flags & 0x02 else working  # an animation is composed on two canvases
        position = 12
        for _ in range(MAX_PARTS):
            if position + 8 > len(data):
                break
            (length,) = struct.unpack_from("<I", data, position + 4)
            if data[position : position + 4] == b"EXIF" and orientation is None:  # of several the first counts
                orientation = exif_orientation(data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0"))
            position += 8 + length + length % 2
        else:
            raise ImageError(f"the WebP has more than {MAX_PARTS} chunks")
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        stored = 4 if bits >> 28 & 1 else 3
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    damage = None if riff_size + 8 <= len(data) else "the end of the picture is missing"
    cost = peak_bytes(width, height, stored, working)
    return ImageHeader("WebP", width, height, cost, orientation or 1, damage)


def _bmp(data: bytes) -> ImageHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    width, height = abs(width), abs(height)  # a negative height means rows from the top
    return ImageHeader("BMP", width, height, peak_bytes(width, height, 4))


def _gif(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", data, 6)
    return ImageHeader("GIF", width, height, peak_bytes(width, height, 4, working=6))  # indices, and the frame before


_PARSERS: tuple[tuple[bytes, int, Callable[[bytes], ImageHeader]], ...] = (
    (b"\xff\xd8\xff", 0, read_jpeg),
    (b"\x89PNG\r\n\x1a\n", 0, read_png),
    (b"RIFF", 0, _webp),
    (b"ftyp", 4, read_avif),
    (b"BM", 0, _bmp),
    (b"GIF87a", 0, _gif),
    (b"GIF89a", 0, _gif),
    (b"II*\0", 0, read_tiff),
    (b"MM\0*", 0, read_tiff),
)
