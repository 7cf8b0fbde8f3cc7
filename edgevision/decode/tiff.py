"""TIFF 6.0 directories: TIFF files, and the EXIF blocks of other formats, which are small TIFF files."""

from __future__ import annotations

import struct
from collections.abc import Collection

from edgevision.decode.header import ImageHeader, peak_bytes
from edgevision.errors import ImageError

_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _SAMPLES = 256, 257, 258, 274, 277
_TILE_WIDTH, _TILE_HEIGHT = 322, 323


def read_tiff(data: bytes) -> ImageHeader:
    """The first image of a TIFF file. The decoder turns it upright by itself, so ``orientation`` stays 1."""
    tags = _directory(data, (_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT))
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    bits, samples = tags.get(_BITS, 1), tags.get(_SAMPLES, 1)
    if bits > 16:
        raise ImageError(f"expected 8 or 16 bits a sample, got {bits}; convert it to PNG or JPEG")
    stored = max(samples, 3) * (2 if bits > 8 else 1)  # palettes become three channels
    # A strip may be the whole picture: libtiff holds it as it is in the file and as decoded (at least RGBA).
    strip = stored + max(stored, 4)
    # A tile is decoded whole, however little of it the picture needs.
    tile = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0) * strip
    return ImageHeader("TIFF", width, height, peak_bytes(width, height, stored, strip) + tile)


def exif_orientation(block: bytes) -> int:
    """Orientation 1…8 of an EXIF block (EXIF 2.32, tag 0x0112); 1 where it is absent or makes no sense."""
    try:
        value = _directory(block, (_ORIENTATION,)).get(_ORIENTATION, 1)
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1


def _directory(data: bytes, wanted: Collection[int]) -> dict[int, int]:
    """The first value of those ``wanted`` tags that the first directory has as SHORT or LONG.

    A directory has at most 65,535 entries, and only the first directory is read: its links cannot lead in a circle.
    """
    order = ">" if data[:2] == b"MM" else "<"
    (position,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, position)
    found: dict[int, int] = {}
    for index in range(count):
        entry = position + 2 + 12 * index
        tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
        if tag not in wanted or kind not in (3, 4) or length < 1:
            continue
        code, size = ("H", 2) if kind == 3 else ("I", 4)
        at = entry + 8
        if length * size > 4:  # the values do not fit into the entry: it has their place
            (at,) = struct.unpack_from(order + "I", data, at)
        (found[tag],) = struct.unpack_from(order + code, data, at)
    return found
