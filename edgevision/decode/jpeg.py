"""JPEG headers (ITU-T T.81, annex B): size, orientation, memory, and whether all of the picture is there."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from edgevision import _native
from edgevision.decode.header import MAX_PARTS, ImageHeader, peak_bytes
from edgevision.decode.tiff import exif_orientation
from edgevision.errors import ImageError

MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten, and each one goes over the whole picture

_NO_FILL = re.compile(rb"[^\xff]")
_MARKER = re.compile(rb"\xff[^\0\xff\xd0-\xd7]")  # the end of entropy-coded data: neither stuffing, fill nor restart
_JFIF = b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
_TABLES = (0xC4, 0xCC, 0xDB, 0xDD)  # DHT, DAC, DQT, DRI
_FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))  # SOFn
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)


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
    view = memoryview(data)
    parts: list[bytes | memoryview] = [b"\xff\xd8"]
    frame: _Frame | None = None
    orientation: int | None = None
    damage: str | None = "the end of the picture is missing"
    position, scans = 2, 0
    for _ in range(MAX_PARTS):
        if scans and position >= len(data):
            break
        marker, position = _next_marker(data, position)
        if marker == 0xD9:
            parts.append(b"\xff\xd9")
            damage = None
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            continue
        start = position - 2
        (length,) = struct.unpack_from(">H", data, position)
        segment = data[position + 2 : position + length]
        position += length
        if marker == 0xDA:
            scans += 1
            found = _MARKER.search(data, position)
            position = found.start() if found else len(data)
            parts.append(view[start:position])
        elif marker in _FRAMES:
            if frame is not None:
                raise ImageError("the JPEG has two frame headers")
            frame = _read_frame(marker, segment)
            parts.append(view[start:position])
        elif marker in _TABLES or (marker == 0xEE and segment[:5] == b"Adobe"):
            parts.append(view[start:position])
        elif marker == 0xE0 and segment[:5] == b"JFIF\0":
            parts.append(_JFIF)  # that it is there tells the colours; its version and thumbnail tell nothing
        elif marker == 0xE1 and segment[:6] == b"Exif\0\0" and orientation is None:
            orientation = exif_orientation(segment[6:])  # of several the first counts, as in libexif and Pillow
    else:
        raise ImageError(f"the JPEG has more than {MAX_PARTS} segments")
    if frame is None or scans == 0:
        raise ImageError("the JPEG holds no picture")
    if scans > MAX_SCANS:
        raise ImageError(f"the JPEG has {scans} scans, the limit is {MAX_SCANS}; save it as a baseline JPEG")
    return ImageHeader(
        "JPEG", frame.width, frame.height, frame.decode_bytes(scans), orientation or 1, damage, tuple(parts)
    )


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


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    """The marker at ``position`` and where it ends. Any number of fill bytes FF may precede it."""
    if data[position] != 0xFF:
        raise ImageError("the JPEG header is damaged")
    found = _NO_FILL.search(data, position)
    if found is None:
        raise ImageError("the file ends within its header")
    return data[found.start()], found.end()


def _read_frame(marker: int, segment: bytes) -> _Frame:
    height, width, components = struct.unpack_from(">HHB", segment, 1)
    factors = [segment[7 + 3 * i] for i in range(components)]
    sampling = tuple((factor >> 4, factor & 15) for factor in factors)
    if not sampling or any(not 1 <= side <= 4 for pair in sampling for side in pair):
        raise ImageError("the JPEG frame header is damaged")
    return _Frame(width, height, sampling, marker in _PROGRESSIVE)
