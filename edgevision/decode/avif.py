"""AVIF headers: an AV1 key frame in boxes (ISO/IEC 14496-12, 23008-12; AV1 Image File Format 1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from edgevision.decode.header import MAX_PARTS, ImageHeader, peak_bytes
from edgevision.errors import ImageError

# irot (turns of 90° against the clock), then imir (0: top and bottom change places, 1: left and right) → EXIF
# orientation. OpenCV applies neither.
_ORIENTATION = {
    (0, None): 1, (0, 1): 2, (2, None): 3, (0, 0): 4, (1, 0): 5, (3, None): 6, (3, 0): 7, (1, None): 8,
    (1, 1): 7, (3, 1): 5, (2, 0): 2, (2, 1): 4,
}  # fmt: skip
_SEQUENCE_HEADER = 1
_MAX_SEQUENCE_HEADERS = 100  # of all items; each has one


class _Box(NamedTuple):
    kind: bytes
    body: memoryview


@dataclass
class _Item:
    kind: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)  # place in the file and length, in bytes
    properties: list[_Box] = field(default_factory=list)


@dataclass
class _Budget:
    """How much of one kind a file may hold in all its items together: some take no bytes, and items may share others."""

    what: str
    limit: int
    used: int = 0

    def take(self, count: int = 1) -> None:
        self.used += count
        if self.used > self.limit:
            raise ImageError(f"the AVIF has more than {self.limit} {self.what}")


def read_avif(data: bytes) -> ImageHeader:
    """A still AVIF: one primary AV1 item, with or without alpha. Raises ImageError for HEIC, grids and crops.

    The size that counts is the larger of what the container says and what the AV1 data says.
    """
    brands = {data[i : i + 4] for i in range(8, min(int.from_bytes(data[:4], "big"), 256), 4)}
    if not brands & {b"avif", b"avis"}:
        what = "HEIC" if brands & {b"heic", b"heix", b"mif1", b"msf1"} else "MP4 or of that family"
        raise ImageError(f"the file is {what}, which OpenCV does not read; convert it to JPEG or PNG")
    items, primary = _read_items(data)
    first = items.get(primary)
    if first is None or first.kind != b"av01":
        raise ImageError("the AVIF is put together from tiles or has no still picture; convert it to JPEG or PNG")
    turns, mirror, bits, width, height = 0, None, 8, 0, 0
    for kind, body in first.properties:
        if kind == b"ispe":
            width, height = _number(body, 4, 4), _number(body, 8, 4)
        elif kind == b"irot":
            turns = body[0] & 3
        elif kind == b"imir":
            mirror = body[0] & 1
        elif kind == b"av1C":
            high, twelve = body[2] >> 6 & 1, body[2] >> 5 & 1
            bits = 8 + 2 * high + 2 * (high & twelve)
        elif kind == b"clap":
            raise ImageError("the AVIF is cropped by its header, which OpenCV ignores; convert it to JPEG or PNG")
    coded = [item for item in items.values() if item.kind == b"av01"]
    units, headers = _Budget("OBUs", MAX_PARTS), _Budget("sequence headers", _MAX_SEQUENCE_HEADERS)
    sizes = [size for item in coded for size in _coded_sizes(data, item, units, headers)]
    if (width, height) not in sizes:
        raise ImageError("the AVIF header is damaged: its size is not that of the picture in it")
    widest, highest = max(x for x, _ in sizes), max(y for _, y in sizes)
    alpha = len(coded) > 1
    bytes_each = 2 if bits > 8 else 1
    cost = peak_bytes(widest, highest, bytes_each * (4 if alpha else 3), bytes_each * 16 * (2 if alpha else 1))
    ends = max((place + length for item in coded for place, length in item.extents), default=0)
    damage = None if ends <= len(data) else "the end of the picture is missing"
    return ImageHeader(
        "AVIF", width, height, cost, _ORIENTATION[turns, mirror], damage, white=(1 << bits) - 1 if bits > 8 else 65535
    )


def _read_items(data: bytes) -> tuple[dict[int, _Item], int]:
    """The items of the ``meta`` box by id, and the id of the primary one."""
    whole = dict(_boxes(memoryview(data)))
    meta = whole.get(b"meta")
    if meta is None or b"moov" in whole:
        raise ImageError("the AVIF is an animation; convert its first frame to JPEG or PNG")
    boxes = dict(_boxes(meta[4:]))
    items: dict[int, _Item] = {}
    for kind, body in _boxes(boxes[b"iinf"][6 if boxes[b"iinf"][0] == 0 else 8 :]) if b"iinf" in boxes else ():
        if kind == b"infe" and body[0] >= 2:
            size = 2 if body[0] == 2 else 4
            items.setdefault(_number(body, 4, size), _Item()).kind = bytes(body[6 + size : 10 + size])
    if not {b"pitm", b"iloc", b"iprp"} <= boxes.keys():
        raise ImageError("the AVIF header is damaged")
    _read_places(boxes[b"iloc"], items)
    _read_properties(boxes[b"iprp"], items)
    pitm = boxes[b"pitm"]
    return items, _number(pitm, 4, 2 if pitm[0] == 0 else 4)


def _read_places(iloc: memoryview, items: dict[int, _Item]) -> None:
    version = iloc[0]
    offset_size, length_size, base_size = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4
    index_size = iloc[5] & 15 if version else 0
    id_size = 2 if version < 2 else 4
    count, at = _number(iloc, 6, id_size), 6 + id_size
    all_extents = _Budget("extents", MAX_PARTS)
    for _ in range(min(count, MAX_PARTS)):
        item = items.setdefault(_number(iloc, at, id_size), _Item())
        at += id_size
        if version:
            if iloc[at + 1] & 15:
                raise ImageError("the AVIF keeps its picture within its header; convert it to JPEG or PNG")
            at += 2
        base = _number(iloc, at + 2, base_size)
        extents = _number(iloc, at + 2 + base_size, 2)
        at += 4 + base_size
        all_extents.take(extents)
        for _ in range(extents):
            at += index_size
            place, length = _number(iloc, at, offset_size), _number(iloc, at + offset_size, length_size)
            at += offset_size + length_size
            item.extents.append((base + place, length))


def _read_properties(iprp: memoryview, items: dict[int, _Item]) -> None:
    boxes = dict(_boxes(iprp))
    if not {b"ipco", b"ipma"} <= boxes.keys():
        raise ImageError("the AVIF header is damaged")
    known, ipma = list(_boxes(boxes[b"ipco"])), boxes[b"ipma"]
    id_size, wide = 2 if ipma[0] == 0 else 4, ipma[3] & 1
    at = 8
    all_properties = _Budget("properties", MAX_PARTS)
    for _ in range(min(_number(ipma, 4, 4), MAX_PARTS)):
        item = items.setdefault(_number(ipma, at, id_size), _Item())
        at += id_size
        count, at = ipma[at], at + 1
        all_properties.take(count)
        for _ in range(count):
            index = _number(ipma, at, 2) & 0x7FFF if wide else ipma[at] & 0x7F
            at += 2 if wide else 1
            if index:  # 0: none
                item.properties.append(known[index - 1])


def _boxes(body: memoryview) -> Iterator[_Box]:
    at = 0
    for _ in range(MAX_PARTS):
        if at + 8 > len(body):
            return
        size, kind, head = _number(body, at, 4), bytes(body[at + 4 : at + 8]), 8
        if size == 1:
            size, head = _number(body, at + 8, 8), 16
        elif size == 0:
            size = len(body) - at
        if size < head:
            raise ImageError("the AVIF header is damaged")
        yield _Box(kind, body[at + head : at + size])
        at += size


def _coded_sizes(data: bytes, item: _Item, units: _Budget, headers: _Budget) -> Iterator[tuple[int, int]]:
    """Width and height of every AV1 sequence header (AV1 specification, 5.5) in the item's only extent."""
    if len(item.extents) != 1:
        raise ImageError("the AVIF keeps its picture in several pieces; convert it to JPEG or PNG")
    place, length = item.extents[0]
    stream, at = memoryview(data)[place : place + length], 0
    while at < len(stream):
        units.take()
        kind, extended, sized = stream[at] >> 3 & 15, stream[at] >> 2 & 1, stream[at] >> 1 & 1
        at += 1 + extended
        size = len(stream) - at
        if sized:
            size, at = _leb128(stream, at)
        if kind == _SEQUENCE_HEADER:
            headers.take()
            yield _sequence_size(bytes(stream[at : at + size]))
        at += size


def _leb128(stream: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        value |= (stream[at] & 0x7F) << 7 * i
        at += 1
        if not stream[at - 1] & 0x80:
            break
    return value, at


def _sequence_size(obu: bytes) -> tuple[int, int]:
    """max_frame_width and max_frame_height of a sequence header of a still picture."""
    head = int.from_bytes(obu[:128].ljust(128, b"\0"), "big")
    bits = iter(f"{head:01024b}")  # more than the longest header has

    def take(count: int) -> int:
        return int("".join(next(bits) for _ in range(count)) or "0", 2)

    take(4)  # seq_profile, still_picture
    if take(1):  # reduced_still_picture_header
        take(5)
    else:
        if take(1):  # timing_info_present_flag
            raise ImageError("the AVIF has a time line; convert it to JPEG or PNG")
        delayed = take(1)
        for _ in range(take(5) + 1):
            take(12)
            if take(5) > 7:
                take(1)
            if delayed and take(1):
                take(4)
    width_bits, height_bits = take(4) + 1, take(4) + 1
    return take(width_bits) + 1, take(height_bits) + 1


def _number(body: memoryview, at: int, size: int) -> int:
    if at + size > len(body):
        raise IndexError
    return int.from_bytes(body[at : at + size], "big")
