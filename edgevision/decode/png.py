"""PNG headers (ISO/IEC 15948): size, orientation, memory, transparency, and whether all of the picture is there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from edgevision.decode.header import MAX_PARTS, ImageHeader, peak_bytes
from edgevision.decode.tiff import exif_orientation
from edgevision.errors import ImageError

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
_TRNS_BYTES = {GREY: 2, RGB: 6}


class _Chunk(NamedTuple):
    kind: bytes
    content: memoryview
    whole: memoryview  # with length, kind and checksum

    def is_sound(self) -> bool:
        """Whether the checksum matches: it covers kind and content."""
        return zlib.crc32(self.whole[4:-4]) == int.from_bytes(self.whole[-4:], "big")


def read_png(data: bytes) -> ImageHeader:
    """The still picture of a PNG file. The checksums tell what a damaged transfer changed."""
    width, height, depth, color, *methods = struct.unpack_from(">IIBBBBB", data, 16)
    if data[12:16] != b"IHDR" or depth not in _DEPTHS.get(color, ()) or methods[:2] != [0, 0] or methods[2] > 1:
        raise ImageError("the PNG header is damaged")
    picture = _Picture(color, depth, [memoryview(data)[:8]])
    orientation: int | None = None
    damage: str | None = None
    for chunk in _chunks(data):
        if chunk.kind == b"eXIf" and orientation is None:  # of several the first counts
            orientation = exif_orientation(bytes(chunk.content))
        if chunk.kind != b"tRNS" and not chunk.kind[:1].isupper():  # a lower-case first letter: not needed for pixels
            continue
        if not chunk.is_sound():
            damage = f"the checksum of its {chunk.kind!r} part does not match"
            break
        picture.take(chunk)
    cost = peak_bytes(width, height, picture.stored_bytes())
    parts, key = tuple(picture.parts), picture.transparent_grey()
    return ImageHeader("PNG", width, height, cost, orientation or 1, damage or picture.missing(), parts, key)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Length, kind, content, checksum: up to and with IEND, or as far as the chunks are whole."""
    view, position = memoryview(data), 8
    for _ in range(MAX_PARTS):
        if position + 12 > len(data):
            return
        (length,) = struct.unpack_from(">I", data, position)
        whole = view[position : position + 12 + length]
        position += 12 + length
        if position > len(data):
            return
        chunk = _Chunk(bytes(whole[4:8]), whole[8:-4], whole)
        yield chunk
        if chunk.kind == b"IEND":
            return
    raise ImageError(f"the PNG has more than {MAX_PARTS} chunks")


@dataclass
class _Picture:
    """What makes the pixels, chunk by chunk.

    ``parts`` leaves out what libpng would comment on, such as faulty metadata, and what makes an animation of the file.
    """

    color: int
    depth: int
    parts: list[bytes | memoryview] = field(default_factory=list)
    palette: int = 0  # entries
    transparency: bytes | None = None
    has_pixels: bool = False
    ended: bool = False

    def take(self, chunk: _Chunk) -> None:
        """Keep a sound chunk, if pixels depend on it. Raises ImageError where that is not known."""
        if chunk.kind == b"PLTE":
            if self.color != PALETTE:
                return  # a suggestion for screens with few colours
            self.palette = len(chunk.content) // 3
        elif chunk.kind == b"tRNS":
            if not self._fits(chunk):
                return
            self.transparency = bytes(chunk.content)
            if self.color == GREY:
                return  # applied by us: OpenCV leaves it out
        elif chunk.kind == b"IDAT":
            self.has_pixels = True
        elif chunk.kind == b"IEND":
            self.ended = True
        elif chunk.kind != b"IHDR":
            raise ImageError(f"the PNG has a part of a kind that is not known, {chunk.kind!r}")
        self.parts.append(chunk.whole)

    def _fits(self, transparency: _Chunk) -> bool:
        """Whether libpng would take this tRNS: the first, before the pixels, and of the right length."""
        length = len(transparency.content)
        if self.has_pixels or self.transparency is not None:
            return False
        if self.color == PALETTE:
            return self.palette >= length > 0
        return _TRNS_BYTES.get(self.color) == length

    def missing(self) -> str | None:
        if not self.ended:
            return "the end of the picture is missing"
        return None if self.has_pixels else "it has no pixels"

    def transparent_grey(self) -> int | None:
        """The 8-bit or 16-bit sample that means "transparent"; None: no sample does."""
        if self.color != GREY or self.transparency is None:
            return None
        sample = int.from_bytes(self.transparency, "big") & ((1 << self.depth) - 1)
        return sample * {1: 255, 2: 85, 4: 17}.get(self.depth, 1)  # samples of fewer bits are spread over 0…255

    def stored_bytes(self) -> int:
        """Bytes of a pixel as OpenCV gives it: grey stays one channel, grey with alpha becomes BGRA."""
        if self.color == GREY:
            channels = 1
        elif self.color in (GREY_ALPHA, RGBA) or self.transparency is not None:
            channels = 4
        else:
            channels = 3
        return channels * (2 if self.depth == 16 else 1)
