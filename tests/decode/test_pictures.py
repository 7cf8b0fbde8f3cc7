from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edgevision.decode import encode_png, read_image, resize_to_fit
from edgevision.decode.formats import read_header
from edgevision.errors import ImageError, InputError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def photo(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A smooth picture without symmetry, so that every wrong turn shows."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(suffix: str, image: np.ndarray, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, image, list(options))
    assert done
    return bytes(data)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG_SIGNATURE + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


def jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(encoded(".jpg", photo()))
    at = data.index(b"\xff\xc0") + 5  # SOF0: length, precision, then height and width
    struct.pack_into(">HH", data, at, height, width)
    return bytes(data)


def exif(orientation: int, order: str = "<") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    return mark + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def jpeg_with_exif(jpeg: bytes, block: bytes) -> bytes:
    segment = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


# Decoding what is whole


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp"])
def test_lossless_formats_give_the_pixels_that_were_stored(suffix: str, tmp_path: Path) -> None:
    image = photo()
    options = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ()
    data = encoded(suffix, image, *options)
    path = tmp_path / f"tray Ω{suffix}"
    path.write_bytes(data)
    for source in (data, bytearray(data), path, str(path)):
        result = read_image(source)
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous
        np.testing.assert_array_equal(result, image)


def test_png_of_ours_comes_back_unchanged() -> None:
    image = photo()
    np.testing.assert_array_equal(read_image(encode_png(image)), image)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_grey_becomes_three_equal_channels(suffix: str) -> None:
    grey = photo()[..., 0]
    result = read_image(encoded(suffix, grey))
    assert result.shape == (*grey.shape, 3)
    assert np.ptp(result, axis=2).max() == 0


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_divided_by_257_and_rounded(suffix: str) -> None:
    values = np.array([0, 1, 128, 129, 257, 32767, 32768, 65406, 65407, 65535], np.uint16)
    image = np.repeat(values[None, :, None], 3, axis=2)
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(read_image(encoded(suffix, image))[0, :, 0], expected)


def test_alpha_is_composed_over_grey_114() -> None:
    color = np.array([0, 10, 200, 255], np.uint8)
    alpha = np.array([0, 1, 127, 128, 254, 255], np.uint8)
    c, a = np.meshgrid(color, alpha)
    image = np.stack([c, c, c, a], axis=2)
    expected = np.rint((c * (a / 255.0)) + 114 * (1 - a / 255.0))
    np.testing.assert_array_equal(read_image(encoded(".png", image))[..., 0], expected)


@pytest.mark.requires("pillow")
@pytest.mark.parametrize(
    ("mode", "format", "options", "tolerance"),
    [
        ("RGB", "JPEG", {}, 0),
        ("RGB", "JPEG", {"progressive": True}, 0),
        ("CMYK", "JPEG", {"quality": 95}, 1),  # OpenCV multiplies ink by black with a shift instead of a division
        ("CMYK", "TIFF", {}, 0),
        ("RGBA", "PNG", {}, 0),
        ("LA", "PNG", {}, 0),
        ("RGBA", "WEBP", {"lossless": True, "exact": True}, 0),
        ("RGBA", "TIFF", {}, 1),  # libtiff gives colours multiplied by alpha, rounded
        ("RGBA", "BMP", {}, 0),
        ("P", "PNG", {"transparency": 3}, 0),
        ("1", "PNG", {}, 0),
        ("1", "TIFF", {}, 0),
    ],
)
def test_agrees_with_pillow(mode: str, format: str, options: dict[str, object], tolerance: int) -> None:
    from PIL import Image

    image = Image.fromarray(photo()[..., ::-1])
    alpha = Image.fromarray((np.arange(48 * 64) % 256).astype(np.uint8).reshape(48, 64))
    if mode == "LA":
        image = Image.merge("LA", (image.convert("L"), alpha))
    elif mode == "RGBA":
        image.putalpha(alpha)
    else:
        image = image.quantize(16) if mode == "P" else image.convert(mode)
    data = io.BytesIO()
    image.save(data, format, **options)

    theirs = Image.open(io.BytesIO(data.getvalue()))
    if mode in ("RGBA", "LA", "P"):
        behind = Image.new("RGBA", theirs.size, (114, 114, 114, 255))
        theirs = Image.alpha_composite(behind, theirs.convert("RGBA"))
    expected = np.asarray(theirs.convert("RGB"), np.int64)[..., ::-1]
    assert np.abs(read_image(data.getvalue()) - expected).max() <= tolerance


@pytest.mark.requires("pillow")
def test_the_first_frame_of_an_animation_is_taken() -> None:
    from PIL import Image

    frames = [Image.new("RGB", (16, 16), color) for color in ("#ff0000", "#00ff00")]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    try:
        result = read_image(data.getvalue())
    except ImageError as error:  # GIF came to OpenCV with 4.11
        assert "cannot decode" in str(error)  # noqa: PT017
    else:
        np.testing.assert_array_equal(result[8, 8], (0, 0, 255))


# EXIF orientation: what a viewer must do, by NumPy, with the tag's meaning from the EXIF standard.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation_of_jpeg(orientation: int, order: str) -> None:
    jpeg = encoded(".jpg", photo())
    stored = read_image(jpeg)
    result = read_image(jpeg_with_exif(jpeg, exif(orientation, order)))
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, UPRIGHT[orientation](stored))


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("JPEG", {})])
def test_exif_orientation_agrees_with_pillow(orientation: int, format: str, options: dict[str, object]) -> None:
    from PIL import Image, ImageOps

    tags = Image.Exif()
    tags[274] = orientation
    data = io.BytesIO()
    Image.fromarray(photo()[..., ::-1]).save(data, format, exif=tags, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(data)).convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(read_image(data.getvalue()), expected)


@pytest.mark.parametrize("block", [b"", b"II*\0", exif(0), exif(9), exif(6)[:14], b"II*\0\xff\xff\xff\xff"])
def test_senseless_exif_leaves_the_picture_as_it_is(block: bytes) -> None:
    jpeg = encoded(".jpg", photo())
    np.testing.assert_array_equal(read_image(jpeg_with_exif(jpeg, block)), read_image(jpeg))


@pytest.mark.parametrize("trailer", [b"\0" * 64, b"made by a camera", encoded(".jpg", photo(seed=1))])
def test_what_follows_the_end_of_a_jpeg_is_ignored(trailer: bytes) -> None:
    jpeg = encoded(".jpg", photo())
    np.testing.assert_array_equal(read_image(jpeg + trailer), read_image(jpeg))


@pytest.mark.requires("pillow")
def test_the_first_picture_of_an_mpo_is_taken() -> None:
    from PIL import Image

    first, second = (Image.fromarray(photo(seed=seed)) for seed in (0, 1))
    data, single = io.BytesIO(), io.BytesIO()
    first.save(data, "MPO", save_all=True, append_images=[second])
    first.save(single, "JPEG")
    np.testing.assert_array_equal(read_image(data.getvalue()), read_image(single.getvalue()))


# What must be refused


@pytest.mark.parametrize(
    ("data", "width", "height"),
    [
        (png_of_size(30_000, 30_000), 30_000, 30_000),
        (png_of_size(2**31 - 1, 2**31 - 1), 2**31 - 1, 2**31 - 1),
        (jpeg_of_size(30_000, 30_000), 30_000, 30_000),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 30_000, -30_000) + bytes(28), 30_000, 30_000),
        (b"GIF89a" + struct.pack("<HH", 30_000, 30_000) + bytes(8), 30_000, 30_000),
        (b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + b"\x2f\x75\0" * 2, 30_000, 30_000),
        (
            b"II*\0" + struct.pack("<IH", 8, 2) + struct.pack("<HHII", 256, 4, 1, 30_000)
            + struct.pack("<HHII", 257, 4, 1, 30_000) + bytes(4), 30_000, 30_000,
        ),
        (  # small picture in huge tiles: a tile is decoded whole
            b"MM\0*" + struct.pack(">IH", 8, 4)
            + b"".join(struct.pack(">HHII", tag, 4, 1, v) for tag, v in ((256, 8), (257, 8), (322, 2**24), (323, 2**24)))
            + bytes(4), 8, 8,
        ),
    ],
    ids=["png", "png-max", "jpeg", "bmp", "gif", "webp", "tiff", "tiff-tiles"],
)  # fmt: skip
def test_huge_pictures_are_refused_from_their_header(
    data: bytes, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_decoding(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(cv2, "imdecode", no_decoding)
    with pytest.raises(
        ImageError, match=rf"{width}×{height} pixels of this \w+ take \d+ MB to decode, the limit is 1000 MB"
    ):
        read_image(data)


def test_the_limit_counts_bytes_of_the_decoded_picture_and_of_the_file() -> None:
    data = encode_png(photo(40, 50))
    cost = 2 * 3 * 40 * 50 + len(data)  # OpenCV's binding copies the picture
    assert read_image(data, max_decode_bytes=cost).shape == (40, 50, 3)
    with pytest.raises(ImageError, match=r"50×40.*raise max_decode_bytes"):
        read_image(data, max_decode_bytes=cost - 1)


def test_a_size_that_opencv_itself_refuses_is_an_image_error() -> None:
    with pytest.raises(ImageError):
        read_image(png_of_size(2**31 - 1, 2**31 - 1), max_decode_bytes=2**70)


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.5, 0.9, 0.99, -1])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", ()),
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
        (".png", ()),
        (".webp", ()),
        (".bmp", ()),
        (".tiff", ()),
    ],
)
def test_truncated_files_are_refused(
    suffix: str, options: tuple[int, ...], keep: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(suffix, photo(120, 160), *options)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: -1 if keep < 0 else int(len(data) * keep)])
    with pytest.raises(ImageError, match=r"cut\.") as caught:
        read_image(path)
    assert len(str(caught.value).splitlines()) <= 2
    assert capfd.readouterr().err == ""


def test_a_half_copied_jpeg_padded_with_zeros_is_refused() -> None:
    data = encoded(".jpg", photo())
    with pytest.raises(ImageError, match="end of the picture is missing"):
        read_image(data[: len(data) // 2] + bytes(len(data) // 2))


def test_a_changed_byte_in_a_png_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encode_png(photo()))
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(ImageError, match=r"checksum.*IDAT"):
        read_image(bytes(data))
    assert capfd.readouterr().err == ""


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


@pytest.mark.timeout(20)  # byte by byte it takes longer
def test_fill_bytes_are_skipped_at_once() -> None:
    jpeg = encoded(".jpg", photo())
    read_image(jpeg[:2] + b"\xff" * 300_000_000 + jpeg[2:])


def test_a_progressive_jpeg_of_many_scans_is_refused() -> None:
    jpeg = encoded(".jpg", photo(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match=r"the JPEG has 1\d\d scans, the limit for its size is 100"):
        read_image(jpeg[:-2] + last * 100 + jpeg[-2:])


def test_the_larger_a_jpeg_the_fewer_scans_it_may_have() -> None:
    """Memory alone bounds no time: 98 scans over 100 million pixels took 22 s."""
    small = cv2.imencode(".jpg", np.zeros((2000, 3000), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = small[small.rindex(b"\xff\xda") : -2]
    many = small[:-2] + last * 40 + small[-2:]  # 6 million pixels: 83 may be
    assert read_header(many).damage is None
    frame = many.index(b"\xff\xc2") + 5  # height and width follow marker, length and precision
    large = many[:frame] + struct.pack(">HH", 8000, 9000) + many[frame + 4 :]
    with pytest.raises(ImageError, match=r"has 4\d scans, the limit for its size is 20; save it as a baseline JPEG"):
        read_header(large)


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: path.write_bytes(b""), "no bytes"),
        (os.mkfifo, "special file"),
    ],
    ids=["missing", "folder", "empty", "pipe"],
)
def test_paths_without_a_picture_are_named(make: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "milk.jpg"
    make(path)  # type: ignore[operator]
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("source", [None, 3, photo(), io.BytesIO()], ids=lambda source: type(source).__name__)
def test_other_types_are_refused(source: object) -> None:
    with pytest.raises(InputError, match=f"path or the bytes.*got {type(source).__name__}"):
        read_image(source)  # type: ignore[arg-type]


def test_a_path_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(ImageError):
        read_image("milk\0.jpg")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / "private.png"
    path.write_bytes(encode_png(photo()))
    monkeypatch.setattr(Path, "read_bytes", refuse)  # permissions do not bind root, who may run the tests
    with pytest.raises(ImageError, match=r"private\.png: cannot be read: Permission denied"):
        read_image(path)


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_of_more_than_16_bits_are_refused(mode: str) -> None:
    from PIL import Image

    data = io.BytesIO()
    Image.new(mode, (8, 8), 3).save(data, "TIFF")
    with pytest.raises(ImageError, match="8 or 16 bits"):
        read_image(data.getvalue())


# Transparency of PNG


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


def test_of_several_exif_blocks_the_first_counts() -> None:
    jpeg = encoded(".jpg", photo())
    both = jpeg_with_exif(jpeg_with_exif(jpeg, exif(3)), exif(6))
    np.testing.assert_array_equal(read_image(both), UPRIGHT[6](read_image(jpeg)))
    still = encode_png(photo())
    both = still[:33] + png_chunk(b"eXIf", exif(6)) + png_chunk(b"eXIf", exif(3)) + still[33:]
    np.testing.assert_array_equal(read_image(both), UPRIGHT[6](photo()))


@pytest.mark.requires("pillow")
def test_pillow_too_takes_the_first_exif_block() -> None:
    from PIL import Image

    jpeg = encoded(".jpg", photo())
    image = Image.open(io.BytesIO(jpeg_with_exif(jpeg_with_exif(jpeg, exif(3)), exif(6))))
    assert image.getexif()[274] == 6


# What libjpeg and libpng would write to stderr about metadata that changes no pixel.


def with_chunk(kind: bytes, content: bytes, crc: int | None = None) -> bytes:
    data = encode_png(photo())
    chunk = png_chunk(kind, content) if crc is None else png_chunk(kind, content)[:-4] + struct.pack(">I", crc)
    return data[:33] + chunk + data[33:]


def with_segment(marker: int, content: bytes) -> bytes:
    data = encoded(".jpg", photo())
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + data[2:]


@pytest.mark.parametrize(
    "data",
    [
        with_chunk(b"iCCP", b"abc\0\0xxxx"),
        with_chunk(b"tEXt", b"a\0b", crc=0),
        with_chunk(b"tRNS", b"abc"),
        with_chunk(b"eXIf", b"abc"),
        with_chunk(b"sRGB", b"\x09"),
        with_chunk(b"PLTE", b"abcd"),
        encoded(".jpg", photo()).replace(b"JFIF\0\x01", b"JFIF\0\x07"),
        with_segment(0xE0, b"JFIF\0\x07\x07\0\0\x01\0\x01\0\0"),
        with_segment(0xE1, b"Exif\0\0" + bytes(3)),
        with_segment(0xE2, b"ICC_PROFILE\0\x09\x01"),
        with_segment(0xFE, b"a comment"),
        encoded(".jpg", photo())[:-2] + b"\xff\xff\xff\xff\xd9",
    ],
    ids=lambda data: repr(data[2:8]),
)
def test_faulty_metadata_is_left_out_without_a_word(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    suffix = ".jpg" if data[:2] == b"\xff\xd8" else ".png"
    expected = cv2.imdecode(np.frombuffer(encoded(suffix, photo()), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read_image(data), expected)
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


# AVIF


def avif_reader() -> bool:
    return "AVIF:                        NO" not in cv2.getBuildInformation() and "AVIF" in cv2.getBuildInformation()


def avif(image: object, **options: object) -> bytes:
    from PIL import features

    if not features.check("avif") or not avif_reader():
        pytest.skip("Pillow or OpenCV comes without AVIF")
    data = io.BytesIO()
    image.save(data, "AVIF", quality=95, **options)  # type: ignore[attr-defined]
    return data.getvalue()


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_upright_as_pillow_does(orientation: int) -> None:
    from PIL import Image, ImageOps

    tags = Image.Exif()
    tags[274] = orientation
    data = avif(Image.fromarray(photo()[..., ::-1]), exif=tags)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"), np.int64)[..., ::-1]
    result = read_image(data)
    assert result.shape == expected.shape
    assert np.abs(result - expected).mean() < 1  # two builds of libavif


@pytest.mark.requires("pillow")
def test_avif_alpha_is_composed_over_grey_114() -> None:
    from PIL import Image

    image = Image.fromarray(photo()[..., ::-1])
    image.putalpha(Image.new("L", image.size, 0))
    assert np.abs(read_image(avif(image)) - 114.0).max() <= 1


def test_avif_of_ten_bits_keeps_its_brightness() -> None:
    if not avif_reader() or not hasattr(cv2, "IMWRITE_AVIF_DEPTH"):
        pytest.skip("OpenCV comes without AVIF")
    deep = photo().astype(np.uint16) * 4
    result = read_image(encoded(".avif", deep, cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 95))
    assert np.abs(result - deep / 1023 * 255).mean() < 3


@pytest.mark.requires("pillow")
def test_an_avif_whose_container_lies_about_the_size_is_refused() -> None:
    from PIL import Image

    data = avif(Image.fromarray(photo()))
    small = data.replace(b"ispe" + struct.pack(">III", 0, 64, 48), b"ispe" + struct.pack(">III", 0, 8, 8))
    assert small != data
    with pytest.raises(ImageError, match="header is damaged"):
        read_image(small)
    with pytest.raises(ImageError, match="end of the picture is missing"):
        read_image(data[:-10])
    for cut in range(len(data)):
        with pytest.raises(ImageError):
            read_image(data[:cut])


def test_heic_gets_the_cure() -> None:
    with pytest.raises(ImageError, match=r"HEIC.*convert it to JPEG"):
        read_image(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100))


# Side effects and helpers


def test_the_log_level_of_opencv_is_given_back_whatever_threads_do() -> None:
    get_level = getattr(cv2.utils, "logging", cv2).getLogLevel
    before = get_level()
    good, bad = encode_png(photo()), encoded(".bmp", photo())[:500]

    def work() -> None:
        for _ in range(20):
            read_image(good)
            with pytest.raises(ImageError):
                read_image(bad)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get_level() == before


@pytest.mark.parametrize("place", ["cv2.utils.logging", "cv2", None])
def test_every_opencv_is_kept_silent_that_can_be(place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since 4.13 the functions are in ``cv2.utils.logging``, before in ``cv2``."""
    levels = [3]

    def set_level(level: int) -> int:
        levels.append(level)
        return levels[-2]

    monkeypatch.delattr(cv2.utils, "logging", raising=False)
    monkeypatch.delattr(cv2, "setLogLevel", raising=False)
    if place == "cv2":
        monkeypatch.setattr(cv2, "setLogLevel", set_level, raising=False)
    elif place:
        monkeypatch.setattr(cv2.utils, "logging", SimpleNamespace(setLogLevel=set_level), raising=False)
    assert read_image(encode_png(photo())).shape == photo().shape
    assert levels == ([3, 0, 3] if place else [3])


def test_header_gives_stored_size_and_orientation() -> None:
    header = read_header(jpeg_with_exif(encoded(".jpg", photo(48, 64)), exif(6)))
    assert (header.format, header.width, header.height, header.orientation) == ("JPEG", 64, 48, 6)
    assert header.damage is None


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [((480, 640), 320, (240, 320)), ((640, 480), 320, (320, 240)), ((10, 10), 20, (10, 10)), ((1, 1000), 10, (1, 10))],
)
def test_resize_to_fit(size: tuple[int, int], limit: int, expected: tuple[int, int]) -> None:
    image = np.full((*size, 3), 77, np.uint8)
    result = resize_to_fit(image, limit)
    assert result.shape == (*expected, 3)
    assert np.unique(result).tolist() == [77]


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_encode_png_refuses_what_is_not_bgr(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="H×W×3 uint8"):
        encode_png(image)
