"""PNG: transparency of every kind, and the damage that its checksums and chunks show."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from picture_files import PNG_SIGNATURE, photo, png_chunk, png_of_size, with_chunk

from edgevision.decode import encode_png, read_image
from edgevision.errors import ImageError


def png(color: int, depth: int, rows: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG of ``rows`` [h, samples of a row]: colour type and bit depth as in the standard."""
    height, samples = rows.shape
    width = samples // {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8)
    elif depth == 8:
        packed = rows.astype(np.uint8)
    else:
        bits = rows[..., None] >> np.arange(depth - 1, -1, -1) & 1
        packed = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    lines = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"".join(
        [
            PNG_SIGNATURE,
            png_chunk(b"IHDR", header),
            *chunks,
            png_chunk(b"IDAT", zlib.compress(lines)),
            png_chunk(b"IEND", b""),
        ]
    )


PNG_KINDS = [
    *((0, depth, key) for depth in (1, 2, 4, 8, 16) for key in (False, True)),
    *((2, depth, key) for depth in (8, 16) for key in (False, True)),
    *((3, depth, key) for depth in (1, 2, 4, 8) for key in (False, True)),
    (4, 8, False), (4, 16, False), (6, 8, False), (6, 16, False),
]  # fmt: skip


@pytest.mark.parametrize(("color", "depth", "transparent"), PNG_KINDS)
def test_every_kind_of_png_is_blended_alike(color: int, depth: int, transparent: bool) -> None:
    """Against the PNG standard in float64: a sample v of d bits is v / (2^d - 1), tRNS names what is transparent."""
    rng = np.random.default_rng(color + depth)
    height, width, white = 9, 16, (1 << depth) - 1
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    samples = rng.integers(0, white + 1, (height, width, channels))
    samples[2:5] = samples[2, 3]  # many pixels of one colour, which tRNS names
    chunks, alpha = [], np.ones((height, width, 1))
    if color == 3:
        palette = rng.integers(0, 256, (white + 1, 3), dtype=np.uint8)
        opacity = rng.integers(0, 256, white + 1, dtype=np.uint8)
        chunks.append(png_chunk(b"PLTE", palette.tobytes()))
        shown = palette[samples[..., 0]] / 255
        if transparent:
            chunks.append(png_chunk(b"tRNS", opacity.tobytes()))
            alpha = opacity[samples] / 255
    else:
        shown = samples / white
        if transparent:
            chunks.append(png_chunk(b"tRNS", samples[2, 3].astype(">u2").tobytes()))
            alpha = (samples != samples[2, 3]).any(axis=2, keepdims=True).astype(float)
            assert alpha.min() == 0 < alpha.max()
    if color in (4, 6):
        shown, alpha = shown[..., :-1], shown[..., -1:]
    if depth == 16:  # brought to 8 bits before it is blended
        shown, alpha = np.rint(shown * 255) / 255, np.rint(alpha * 255) / 255
    expected = np.rint(255 * shown * alpha + 114 * (1 - alpha)) * np.ones(3)
    result = read_image(png(color, depth, samples.reshape(height, -1), *chunks))
    np.testing.assert_array_equal(result[..., ::-1], expected)


# Pillow cuts most samples of 16 bits to 8, and compares the transparent grey of 2 and 4 bits with spread samples.
PILLOW_KINDS = [kind for kind in PNG_KINDS if kind[1] <= 8 and kind not in ((0, 2, True), (0, 4, True))]


@pytest.mark.requires("pillow")
@pytest.mark.parametrize(("color", "depth", "transparent"), PILLOW_KINDS)
def test_transparent_pngs_agree_with_pillow(color: int, depth: int, transparent: bool) -> None:
    from PIL import Image

    rng = np.random.default_rng(color + depth)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    samples = rng.integers(0, 1 << depth, (9, 16, channels))
    samples[2:5] = samples[2, 3]
    chunks = [png_chunk(b"PLTE", rng.bytes(3 << depth))] if color == 3 else []
    if transparent:
        key = rng.bytes(1 << depth) if color == 3 else samples[2, 3].astype(">u2").tobytes()
        chunks.append(png_chunk(b"tRNS", key))
    data = png(color, depth, samples.reshape(9, -1), *chunks)
    theirs = Image.open(io.BytesIO(data)).convert("RGBA")
    expected = np.asarray(Image.alpha_composite(Image.new("RGBA", theirs.size, (114, 114, 114, 255)), theirs))
    np.testing.assert_array_equal(read_image(data), expected[..., 2::-1])


def test_a_changed_byte_in_a_png_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encode_png(photo()))
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(ImageError, match=r"checksum.*IDAT"):
        read_image(bytes(data))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png_of_size(10, 10).replace(struct.pack(">BB", 8, 2), struct.pack(">BB", 7, 2), 1), "header is damaged"),
        (with_chunk(b"ABCD", b"abc"), r"not known, b'ABCD'"),
        (PNG_SIGNATURE + encode_png(photo())[8:33] + png_chunk(b"IEND", b""), "no pixels"),
    ],
)
def test_damage_that_libpng_would_write_about_is_refused(
    data: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(data)
    assert capfd.readouterr().err == ""
