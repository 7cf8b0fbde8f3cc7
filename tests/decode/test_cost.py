"""What decoding takes at its peak is what the header was said to cost, or less. Each picture in a process of its own."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.decode import read_image
from edgevision.decode.formats import read_header
from edgevision.errors import ImageError

SIDE = 3000
MARGIN = 24_000_000  # what OpenCV, NumPy and the allocator take when they first work

PROGRAM = """
import resource, sys
import numpy, cv2
from edgevision.decode import read_image
data = open(sys.argv[1], "rb").read()
warm = numpy.zeros((8, 8, 4), numpy.uint8)
read_image(bytes(cv2.imencode(".png", warm)[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_image(data, max_decode_bytes=10**10)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def png(color: int, depth: int, side: int = SIDE, transparent: bytes = b"") -> bytes:
    """A PNG of zeros, row by row: a picture of gigabytes needs no gigabytes here."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = bytes(1 + side * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth // 8)
    packer = zlib.compressobj()
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, color, 0, 0, 0)),
            chunk(b"PLTE", bytes(768)) if color == 3 else b"",
            chunk(b"tRNS", transparent) if transparent else b"",
            chunk(b"IDAT", pixels),
            chunk(b"IEND", b""),
        ]
    )


def opencv(suffix: str, channels: int, dtype: type = np.uint8, *options: int) -> bytes:
    shape = (SIDE, SIDE, channels) if channels > 1 else (SIDE, SIDE)
    return bytes(cv2.imencode(suffix, np.zeros(shape, dtype), list(options))[1])


def pillow(format: str, mode: str, **options: Any) -> bytes:
    from PIL import Image

    data = io.BytesIO()
    if options.pop("animated", False):
        options |= {"save_all": True, "append_images": [Image.new(mode, (SIDE, SIDE), 9)]}
    Image.new(mode, (SIDE, SIDE)).save(data, format, **options)
    return data.getvalue()


def case(name: str, make: Callable[[], bytes], *needs: str) -> Any:
    return pytest.param(make, id=name, marks=[pytest.mark.requires(*needs)] if needs else [])


CASES = [
    case("png-grey", lambda: png(0, 8)),
    case("png-grey-transparent", lambda: png(0, 8, transparent=b"\0\1")),
    case("png-grey16", lambda: png(0, 16)),
    case("png-grey-alpha16", lambda: png(4, 16)),
    case("png-palette-transparent", lambda: png(3, 8, transparent=b"\0")),
    case("png-rgb16", lambda: png(2, 16)),
    case("png-rgb16-transparent", lambda: png(2, 16, transparent=bytes(6))),
    case("png-rgba", lambda: png(6, 8)),
    case("png-rgba16", lambda: png(6, 16)),
    case("jpeg", lambda: opencv(".jpg", 3)),
    case("jpeg-grey", lambda: opencv(".jpg", 1)),
    case("jpeg-progressive-420", lambda: opencv(".jpg", 3, np.uint8, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    case("jpeg-progressive-444", lambda: pillow("JPEG", "RGB", progressive=True, subsampling=0), "pillow"),
    case("jpeg-progressive-cmyk", lambda: pillow("JPEG", "CMYK", progressive=True), "pillow"),
    case("webp", lambda: opencv(".webp", 3)),
    case("webp-lossless-alpha", lambda: pillow("WEBP", "RGBA", lossless=True), "pillow"),
    case("webp-animation", lambda: pillow("WEBP", "RGBA", animated=True), "pillow"),
    case("bmp", lambda: opencv(".bmp", 3)),
    case("tiff16-alpha", lambda: opencv(".tiff", 4, np.uint16)),
    case("tiff-one-strip", lambda: pillow("TIFF", "RGBA"), "pillow"),
    case("gif", lambda: pillow("GIF", "P", animated=True), "pillow"),
    case("avif-alpha", lambda: pillow("AVIF", "RGBA", speed=10), "pillow"),
]


@pytest.mark.parametrize("make", CASES)
def test_decoding_takes_no_more_than_the_header_says(make: Callable[[], bytes], tmp_path: Path) -> None:
    try:
        data = make()
        read_header(data)
        read_image(data)
    except (KeyError, ImageError):  # GIF came to OpenCV with 4.11, AVIF to Pillow with 11.3
        pytest.skip("this build of OpenCV or Pillow lacks the format")
    path = tmp_path / "picture"
    path.write_bytes(data)
    said = read_header(data).decode_bytes
    taken = int(subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, check=True).stdout)
    assert taken <= said + MARGIN


@pytest.mark.parametrize(
    ("color", "depth", "transparent"), [(6, 16, b""), (2, 16, b""), (4, 16, b""), (2, 16, bytes(6))]
)
def test_the_default_refuses_what_takes_more_than_a_gigabyte(color: int, depth: int, transparent: bytes) -> None:
    """10,000² pixels in less than a megabyte."""
    data = png(color, depth, 10_000, transparent)
    assert len(data) < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match=r"10000×10000 pixels of this PNG take \d+ MB to decode, the limit is 1000 MB"):
        read_image(data)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 50_000_000


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def hostile_avif(items: int, extents: int = 1, properties: int = 0, picture: bytes = b"") -> bytes:
    """An AVIF of ``items`` AV1 items that all lie at one place; those extents that exceed 1 take no bytes."""
    offsets = 4 if extents == 1 else 0

    def iloc(place: int) -> bytes:
        extent = struct.pack(">II", place, len(picture)) if offsets else b""
        entries = (struct.pack(">HHH", number, 0, extents) + extent for number in range(items))
        return box(b"iloc", bytes(4), bytes([offsets << 4 | offsets, 0]), struct.pack(">H", items), *entries)

    def head(place: int) -> bytes:
        names = (box(b"infe", b"\2\0\0\0", struct.pack(">HH", number, 0), b"av01\0") for number in range(items))
        indices = (struct.pack(">HB", number, properties) + bytes(properties) for number in range(items))
        return box(b"ftyp", b"avif", bytes(4)) + box(
            b"meta",
            bytes(4),
            box(b"pitm", bytes(6)),
            box(b"iinf", bytes(4), struct.pack(">H", items), *names),
            iloc(place),
            box(b"iprp", box(b"ipco"), box(b"ipma", bytes(4), struct.pack(">I", items), *indices)),
        )

    return head(len(head(0)) + 8) + box(b"mdat", picture)


EMPTY_OBU = b"\x12\0"  # a temporal delimiter, with a size of 0
SEQUENCE_HEADER = b"\x0a\x04\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(hostile_avif(10, extents=65_535), "more than 200000 extents", id="extents of no bytes"),
        pytest.param(hostile_avif(1000, properties=255), "more than 200000 properties", id="properties"),
        pytest.param(hostile_avif(30, picture=EMPTY_OBU * 10_000), "more than 200000 OBUs", id="shared OBUs"),
        pytest.param(
            hostile_avif(30, picture=SEQUENCE_HEADER * 50), "more than 100 sequence headers", id="shared headers"
        ),
    ],
)
def test_a_small_avif_that_claims_many_parts_is_refused(data: bytes, message: str) -> None:
    """What is read is bounded over the whole file, not for each item: a file of 454 bytes took 10 s and 390 MB."""
    assert len(data) < 400_000
    with pytest.raises(ImageError, match=message):
        read_header(data)


@pytest.mark.parametrize("picture", [EMPTY_OBU * 1000, SEQUENCE_HEADER * 3], ids=["OBUs", "headers"])
def test_what_an_avif_may_hold_is_read_to_its_end(picture: bytes) -> None:
    """The same files within the limits: refused for their size only, which they do not give."""
    with pytest.raises(ImageError, match="its size is not that of the picture"):
        read_header(hostile_avif(30, properties=10, picture=picture))
