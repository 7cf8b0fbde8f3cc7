"""What the first bytes of an image file say: format, size, orientation, and whether the file is whole.

Read before any pixel is decoded, so that a hostile size costs nothing, and because decoders fill what a truncated
file lacks with grey and call it a picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from edgevision.errors import ImageError


@dataclass(frozen=True)
class ImageHeader:
    """``width`` and ``height`` in stored pixels, before the EXIF ``orientation`` (1…8, 1 = upright) is applied.

    ``damage`` says what is missing from the file, or is None where nothing was found missing. It covers what decoders
    do not report themselves; a file without ``damage`` may still fail to decode.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    damage: str | None = None


def read_header(data: bytes) -> ImageHeader:
    """Read the header of a JPEG, PNG, WebP, BMP, GIF or TIFF file. Raises ImageError for anything else."""
    for signature, offset, parse in _PARSERS:
        if data[offset : offset + len(signature)] == signature:
            try:
                return parse(data)
            except (struct.error, IndexError):
                raise ImageError("the file ends within its header") from None
    raise ImageError("not a JPEG, PNG, WebP, BMP, GIF or TIFF picture")


def _jpeg(data: bytes) -> ImageHeader:
    """ITU-T T.81, annex B: marker segments up to the first scan, then entropy-coded data up to EOI."""
    position, width, height, orientation = 2, 0, 0, 1
    while True:
        if data[position] != 0xFF:
            raise ImageError("the JPEG header is damaged")
        while data[position] == 0xFF:  # fill bytes may precede a marker
            position += 1
        marker = data[position]
        position += 1
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            continue
        if marker == 0xD9:
            raise ImageError("the JPEG holds no picture")
        (length,) = struct.unpack_from(">H", data, position)
        segment = data[position + 2 : position + length]
        position += length
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # SOFn: precision, height, width
            rows, columns = struct.unpack_from(">HH", segment, 1)
            width, height = max(width, columns), max(height, rows)
        elif marker == 0xE1 and segment[:6] == b"Exif\0\0":
            orientation = _exif_orientation(segment[6:])
        elif marker == 0xDA:
            break
    # Byte stuffing keeps FF D9 out of entropy-coded data, so the first one after the first scan ends this picture.
    # What follows it is not ours: trailers, and the further pictures of MPO files.
    damage = None if data.find(b"\xff\xd9", position) >= 0 else "the end of the picture is missing"
    return ImageHeader("JPEG", width, height, orientation, damage)


def _png(data: bytes) -> ImageHeader:
    """PNG (ISO/IEC 15948) chunks: length, type, data, CRC. The CRC tells what a damaged transfer changed."""
    width, height = struct.unpack_from(">II", data, 16)
    orientation, position = 1, 8
    while True:
        if position + 12 > len(data):
            return ImageHeader("PNG", width, height, orientation, "the end of the picture is missing")
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(data):
            return ImageHeader("PNG", width, height, orientation, "the end of the picture is missing")
        if kind == b"eXIf":
            orientation = _exif_orientation(data[position + 8 : end - 4])
        (stored,) = struct.unpack_from(">I", data, end - 4)
        if kind[:1].isupper() and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != stored:
            return ImageHeader("PNG", width, height, orientation, f"the checksum of its {kind!r} part does not match")
        if kind == b"IEND":
            return ImageHeader("PNG", width, height, orientation)
        position = end


def _webp(data: bytes) -> ImageHeader:
    """RIFF container of RFC 9649: VP8 (lossy), VP8L (lossless), or VP8X with the canvas size and further chunks."""
    if data[8:12] != b"WEBP":
        raise ImageError("not a JPEG, PNG, WebP, BMP, GIF or TIFF picture")
    (riff_size,) = struct.unpack_from("<I", data, 4)
    kind, orientation = data[12:16], 1
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        position = 12
        while position + 8 <= len(data):
            (length,) = struct.unpack_from("<I", data, position + 4)
            if data[position : position + 4] == b"EXIF":
                orientation = _exif_orientation(data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0"))
            position += 8 + length + length % 2
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    damage = None if riff_size + 8 <= len(data) else "the end of the picture is missing"
    return ImageHeader("WebP", width, height, orientation, damage)


def _bmp(data: bytes) -> ImageHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    return ImageHeader("BMP", abs(width), abs(height))  # a negative height means rows from the top


def _gif(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", data, 6)
    return ImageHeader("GIF", width, height)


def _tiff(data: bytes) -> ImageHeader:
    """TIFF 6.0, first image. The decoder turns it upright by itself, so ``orientation`` stays 1."""
    tags = _ifd(data, (_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT))
    width, height = tags.get(_TIFF_WIDTH, 0), tags.get(_TIFF_HEIGHT, 0)
    # A tile is decoded whole, however little of it the picture needs.
    return ImageHeader("TIFF", max(width, tags.get(_TIFF_TILE_WIDTH, 0)), max(height, tags.get(_TIFF_TILE_HEIGHT, 0)))


_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_ORIENTATION, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 256, 257, 274, 322, 323

_PARSERS: tuple[tuple[bytes, int, Callable[[bytes], ImageHeader]], ...] = (
    (b"\xff\xd8\xff", 0, _jpeg),
    (b"\x89PNG\r\n\x1a\n", 0, _png),
    (b"RIFF", 0, _webp),
    (b"BM", 0, _bmp),
    (b"GIF87a", 0, _gif),
    (b"GIF89a", 0, _gif),
    (b"II*\0", 0, _tiff),
    (b"MM\0*", 0, _tiff),
)


def _exif_orientation(block: bytes) -> int:
    """Orientation 1…8 of an EXIF block (a TIFF header and its tags); 1 where it is absent or makes no sense."""
    try:
        value = _ifd(block, (_TIFF_ORIENTATION,)).get(_TIFF_ORIENTATION, 1)
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1


def _ifd(data: bytes, wanted: tuple[int, ...]) -> dict[int, int]:
    """Those of the ``wanted`` tags that the first TIFF directory has as single SHORT or LONG values."""
    order = ">" if data[:2] == b"MM" else "<"
    (position,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, position)
    found: dict[int, int] = {}
    for index in range(count):
        entry = position + 2 + 12 * index
        tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
        if tag in wanted and length == 1 and kind in (3, 4):
            (found[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
    return found
