"""What a picture file says without being decoded: size, cost, damage."""

from __future__ import annotations

from dataclasses import dataclass

# Segments of a JPEG, chunks of a PNG or WebP, boxes, extents, properties and OBUs of an AVIF: far more than any real file
# has, few enough to be read in about a second.
MAX_PARTS = 200_000
KNOWN = "JPEG, PNG, WebP, AVIF, BMP, GIF or TIFF"


@dataclass(frozen=True)
class ImageHeader:
    """``width`` and ``height`` in stored pixels, before the EXIF ``orientation`` (1…8, 1 = upright) is applied.

    ``decode_bytes`` is the most memory that decoding takes beside the file itself, in bytes, by the header alone.
    ``damage`` says what is missing from the file, or is None where nothing was found missing. It covers what decoders
    do not report themselves; a file without ``damage`` may still fail to decode.
    ``parts``: what the decoder has to see, where that is less than the whole file; None = the file as it is.
    ``transparent_grey``: the 8-bit or 16-bit sample that means "transparent" in a grey PNG.
    ``white``: the greatest sample, where samples have more than 8 bits.
    """

    format: str
    width: int
    height: int
    decode_bytes: int
    orientation: int = 1
    damage: str | None = None
    parts: tuple[bytes | memoryview, ...] | None = None
    transparent_grey: int | None = None
    white: int = 65535


def peak_bytes(width: int, height: int, stored: int, working: int = 0) -> int:
    """The most memory in bytes while a picture is decoded and brought to 8-bit BGR.

    ``stored``: bytes of a pixel as OpenCV gives it. ``working``: what the decoder holds beside it, in bytes a pixel.
    OpenCV's Python binding copies the picture once; ours adds 3 bytes a pixel, and turning it upright needs two of them.
    """
    return width * height * max(2 * stored, stored + working, stored + 3, 6)
