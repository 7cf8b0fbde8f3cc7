"""JPEG headers (ITU-T T.81, annex B): size, orientation, memory, and whether all of the picture is there."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from edgevision import _native
from edgevision.decode.header import MAX_PARTS, ImageHeader, peak_bytes
from edgevision.decode.tiff import exif_orientation
from edgevision.errors import ImageError

MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten, and each one goes over the whole picture
USUAL_SCANS = 20  # more of them are decoded of small pictures only:
MAX_SCANNED_PIXELS = 500_000_000  # scans × pixels, about a second and a half

_NO_FILL = re.compile(rb"[^\xff]")
_MARKER = re.compile(rb"\xff[^\0\xff\xd0-\xd7]")  # the end of entropy-coded data: neither stuffing, fill nor restart
_JFIF = b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
_SOS, _EOI = 0xDA, 0xD9
_TABLES = (0xC4, 0xCC, 0xDB, 0xDD)  # DHT, DAC, DQT, DRI
_FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))  # SOFn
_PIXELS = frozenset((_SOS, _EOI, *_TABLES, *_FRAMES))  # the pixels depend on them
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)


class _Segment(NamedTuple):
    """``content`` is what follows the length; ``whole`` is the marker, the content and a scan's entropy-coded data."""

    marker: int
    content: bytes
    whole: memoryview


@dataclass(frozen=True)
class _Frame:
    """What SOFn says. ``sampling``: horizontal and vertical factor of each component."""

    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]
    progressive: bool

    def decode_bytes(self, scans: int) -> int:
        pixels = self.width * self.height
        stored = 1 if len(self.sampling) == 1 else 3
        peak = peak_bytes(self.width, self.height, stored)
        if not self.progressive and scans == 1:
            return peak
        # Several scans over the picture: libjpeg keeps all coefficients, 2 bytes each, in blocks of 64.
        across = max(x for x, _ in self.sampling)
        down = max(y for _, y in self.sampling)
        units = -(-self.width // (8 * across)) * -(-self.height // (8 * down))
        blocks = units * sum(x * y for x, y in self.sampling)
        return max(peak, pixels * stored + blocks * 64 * 2)


def read_jpeg(data: bytes) -> ImageHeader:
    """The first picture of a JPEG file; what follows its end marker (trailers, further pictures of MPO) is ignored.

    ``parts`` leaves out what does not change pixels: metadata, which libjpeg would comment on, and fill bytes.
    """
    parts: list[bytes | memoryview] = [b"\xff\xd8"]
    frame: _Frame | None = None
    orientation: int | None = None
    scans, ended = 0, False
    for segment in _segments(data):
        part = _part(segment)
        if part is not None:
            parts.append(part)
        if segment.marker == _EOI:
            ended = True
        elif segment.marker == _SOS:
            scans += 1
        elif segment.marker in _FRAMES:
            if frame is not None:
                raise ImageError("the JPEG has two frame headers")
            frame = _read_frame(segment)
        elif segment.marker == 0xE1 and segment.content[:6] == b"Exif\0\0" and orientation is None:
            orientation = exif_orientation(segment.content[6:])  # of several the first counts, as in libexif and Pillow
    if frame is None or scans == 0:
        raise ImageError("the JPEG holds no picture")
    if scans > MAX_SCANS or (scans > USUAL_SCANS and scans * frame.width * frame.height > MAX_SCANNED_PIXELS):
        raise ImageError(
            f"the JPEG has {scans} scans, the limit for its size is "
            f"{max(USUAL_SCANS, min(MAX_SCANS, MAX_SCANNED_PIXELS // max(1, frame.width * frame.height)))}; "
            "save it as a baseline JPEG"
        )
    damage = None if ended else "the end of the picture is missing"
    cost = frame.decode_bytes(scans)
    return ImageHeader("JPEG", frame.width, frame.height, cost, orientation or 1, damage, tuple(parts))


def scan_damage(data: bytes) -> str | None:
    """What is wrong with the entropy-coded data of a baseline JPEG, or None. Of other JPEGs it knows nothing.

    A frame that was cut in transfer often gets an end marker all the same; libjpeg then fills the rest with grey. Less
    than one row of blocks may be missing: some encoders end a little early, and it changes next to nothing.
    """
    verdict, read, total, across = _native.scan_jpeg(data)
    missing = total - read
    if verdict not in ("cut", "damaged") or (missing < across and 2 * missing <= total):
        return None
    what = "its data ends" if verdict == "cut" else "its data is wrong"
    return f"{what} after {read / total:.0%} of the picture"


def _segments(data: bytes) -> Iterator[_Segment]:
    """The segments behind SOI, up to and with EOI, or to the end of the data where that comes first and within a scan."""
    view = memoryview(data)
    position, scanned = 2, False
    for _ in range(MAX_PARTS):
        if scanned and position >= len(data):
            return
        marker, position = _next_marker(data, position)
        start = position - 2
        if marker == _EOI:
            yield _Segment(marker, b"", view[start:position])
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            continue
        (length,) = struct.unpack_from(">H", data, position)
        content = data[position + 2 : position + length]
        position += length
        if marker == _SOS:
            scanned = True
            found = _MARKER.search(data, position)
            position = found.start() if found else len(data)
        yield _Segment(marker, content, view[start:position])
    raise ImageError(f"the JPEG has more than {MAX_PARTS} segments")


def _part(segment: _Segment) -> bytes | memoryview | None:
    """What the decoder has to see of a segment; None: nothing."""
    marker, content, whole = segment
    if marker == 0xE0 and content[:5] == b"JFIF\0":
        return _JFIF  # that it is there tells the colours; its version and thumbnail tell nothing
    is_adobe = marker == 0xEE and content[:5] == b"Adobe"
    return whole if is_adobe or marker in _PIXELS else None


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    """The marker at ``position`` and where it ends. Any number of fill bytes FF may precede it."""
    if data[position] != 0xFF:
        raise ImageError("the JPEG header is damaged")
    found = _NO_FILL.search(data, position)
    if found is None:
        raise ImageError("the file ends within its header")
    return data[found.start()], found.end()


def _read_frame(segment: _Segment) -> _Frame:
    content = segment.content
    height, width, components = struct.unpack_from(">HHB", content, 1)
    factors = [content[7 + 3 * i] for i in range(components)]
    sampling = tuple((factor >> 4, factor & 15) for factor in factors)
    if not sampling or any(not 1 <= side <= 4 for pair in sampling for side in pair):
        raise ImageError("the JPEG frame header is damaged")
    return _Frame(width, height, sampling, segment.marker in _PROGRESSIVE)
