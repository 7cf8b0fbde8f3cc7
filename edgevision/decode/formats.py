"""Which format a picture file has, and who reads its header. Nothing is decoded, so a hostile size costs nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable

from edgevision.decode.avif import read_avif
from edgevision.decode.bmp import read_bmp
from edgevision.decode.gif import read_gif
from edgevision.decode.header import KNOWN, ImageHeader
from edgevision.decode.jpeg import read_jpeg
from edgevision.decode.png import read_png
from edgevision.decode.tiff import read_tiff
from edgevision.decode.webp import read_webp
from edgevision.errors import ImageError
from edgevision.files import is_lfs_pointer

BASE64_STARTS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")  # of a JPEG, PNG, GIF and WebP as base64 text


def read_header(data: bytes) -> ImageHeader:
    """Read the header of a JPEG, PNG, WebP, AVIF, BMP, GIF or TIFF file. Raises ImageError for anything else."""
    parse = parser_for(data)
    try:
        return parse(data)
    except (struct.error, IndexError):
        raise ImageError("the file ends within its header") from None


def parser_for(data: bytes) -> Callable[[bytes], ImageHeader]:
    """What reads the header of such a file. Reads only the first bytes. Raises ImageError for what is no picture."""
    for signature, offset, parse in _PARSERS:
        if data[offset : offset + len(signature)] == signature:
            return parse
    raise ImageError(f"not a {KNOWN} picture{_cure(data[:64])}")


def _cure(start: bytes) -> str:
    """What to do with bytes that people take for a picture file."""
    if start.decode("latin-1").startswith(("data:", *BASE64_STARTS)):
        return ", but its base64 text; pass base64.b64decode(...) of what follows the comma, if there is one"
    if is_lfs_pointer(start):
        return ", but the pointer of Git LFS to one; fetch it with: git lfs pull"
    if start.lstrip()[:1] == b"<":
        return ", but a web page or SVG; download the picture itself, as JPEG or PNG"
    return ""


_PARSERS: tuple[tuple[bytes, int, Callable[[bytes], ImageHeader]], ...] = (
    (b"\xff\xd8\xff", 0, read_jpeg),
    (b"\x89PNG\r\n\x1a\n", 0, read_png),
    (b"RIFF", 0, read_webp),
    (b"ftyp", 4, read_avif),
    (b"BM", 0, read_bmp),
    (b"GIF87a", 0, read_gif),
    (b"GIF89a", 0, read_gif),
    (b"II*\0", 0, read_tiff),
    (b"MM\0*", 0, read_tiff),
)
