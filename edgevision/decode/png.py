"""PNG headers (ISO/IEC 15948): size, orientation, memory, transparency, and whether all of the picture is there."""

from __future__ import annotations

import struct
import zlib

from edgevision.decode.header import MAX_PARTS, ImageHeader, peak_bytes
from edgevision.decode.tiff import exif_orientation
from edgevision.errors import ImageError

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
_TRNS_BYTES = {GREY: 2, RGB: 6}
_MISSING = "the end of the picture is missing"


def read_png(data: bytes) -> ImageHeader:
    """Chunks are length, type, data, CRC; the CRC tells what a damaged transfer changed.

    ``parts`` keeps what makes the pixels: libpng would comment on faulty metadata, and animations are left out, so that
    the still picture of the file is taken.
    """
    view = memoryview(data)
    width, height, depth, color, *methods = struct.unpack_from(">IIBBBBB", data, 16)
    if data[12:16] != b"IHDR" or depth not in _DEPTHS.get(color, ()) or methods[:2] != [0, 0] or methods[2] > 1:
        raise ImageError("the PNG header is damaged")
    parts: list[bytes | memoryview] = [view[:8]]
    orientation: int | None = None
    transparency: bytes | None = None
    palette, pixels, damage = 0, False, ""
    position = 8
    for _ in range(MAX_PARTS):
        if position + 12 > len(data):
            damage = _MISSING
            break
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        chunk = view[position : position + 12 + length]
        position += 12 + length
        if position > len(data):
            damage = _MISSING
            break
        if kind == b"eXIf" and orientation is None:  # of several the first counts
            orientation = exif_orientation(bytes(chunk[8:-4]))
        if kind != b"tRNS" and not kind[:1].isupper():  # a lower-case first letter: not needed for the pixels
            continue
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            damage = f"the checksum of its {kind!r} part does not match"
            break
        if kind == b"PLTE" and color == PALETTE:
            palette = length // 3
        elif kind == b"tRNS":
            fits = palette >= length > 0 if color == PALETTE else _TRNS_BYTES.get(color) == length
            if pixels or transparency is not None or not fits:
                continue
            transparency = bytes(chunk[8:-4])
            if color == GREY:
                continue  # applied by us: OpenCV leaves it out
        elif kind == b"PLTE":
            continue  # a suggestion for screens with few colours
        elif kind not in (b"IHDR", b"IDAT", b"IEND"):
            raise ImageError(f"the PNG has a part of a kind that is not known, {kind!r}")
        pixels = pixels or kind == b"IDAT"
        parts.append(chunk)
        if kind == b"IEND":
            break
    else:
        raise ImageError(f"the PNG has more than {MAX_PARTS} chunks")
    if not damage and not pixels:
        damage = "it has no pixels"
    key = None
    if color == GREY and transparency is not None:
        key = int.from_bytes(transparency, "big") & ((1 << depth) - 1)
        key *= {1: 255, 2: 85, 4: 17}.get(depth, 1)  # samples of fewer bits are spread over 0…255
    stored = _stored_bytes(color, depth, transparency is not None)
    return ImageHeader(
        "PNG", width, height, peak_bytes(width, height, stored), orientation or 1, damage or None, tuple(parts), key
    )


def _stored_bytes(color: int, depth: int, transparent: bool) -> int:
    """Bytes of a pixel as OpenCV gives it: grey stays one channel, grey with alpha becomes BGRA."""
    if color == GREY:
        channels = 1
    elif color in (GREY_ALPHA, RGBA) or transparent:
        channels = 4
    else:
        channels = 3
    return channels * (2 if depth == 16 else 1)
