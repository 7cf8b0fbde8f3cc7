"""What a file's first bytes and its header tell, whatever its format: what is no picture, and headers without end."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from picture_files import PNG_SIGNATURE, encoded, exif, jpeg_of_size, jpeg_with_exif, photo, png_chunk, png_of_size

from edgevision.decode import read_image
from edgevision.decode.formats import read_header
from edgevision.errors import ImageError


def test_header_gives_stored_size_and_orientation() -> None:
    header = read_header(jpeg_with_exif(encoded(".jpg", photo(48, 64)), exif(6)))
    assert (header.format, header.width, header.height, header.orientation) == ("JPEG", 64, 48, 6)
    assert header.damage is None


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"not a picture at all",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x10",
        PNG_SIGNATURE,
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"RIFF",
        b"BM",
        b"GIF89a",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"%PDF-1.7",
        b"PK\x03\x04" + bytes(100),
        png_of_size(0, 10),
        png_of_size(10, 10),  # a header and no pixels
        jpeg_of_size(0, 0),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_not_a_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        read_image(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xd8" + b"\xff\x01" * 300_000, "more than 200000 segments"),
        (b"\xff\xd8" + b"\xff" * 20_000_000, "ends within its header"),
        (png_of_size(8, 8)[:33] + png_chunk(b"teXt", b"") * 300_000, "more than 200000 chunks"),
        (
            b"RIFF"
            + struct.pack("<I", 4_000_000)
            + b"WEBPVP8X"
            + struct.pack("<I", 10)
            + bytes(10)
            + b"ABCD\0\0\0\0" * 300_000,
            "more than 200000 chunks",
        ),
    ],
    ids=["jpeg-segments", "jpeg-fill", "png-chunks", "webp-chunks"],
)
def test_headers_without_end_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(data)


def test_random_bytes_behind_every_signature_never_crash() -> None:
    rng = np.random.default_rng(3)
    for signature in (
        b"\xff\xd8\xff",
        PNG_SIGNATURE,
        b"RIFFxxxxWEBPVP8X",
        b"RIFFxxxxWEBPVP8L",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"\0\0\0\x1cftypavif",
    ):
        for length in (0, 1, 5, 17, 40, 200):
            for _ in range(10):
                data = signature + rng.bytes(length)
                with pytest.raises(ImageError):
                    read_image(data, max_decode_bytes=8_000_000)
