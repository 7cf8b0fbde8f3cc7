"""``read_image`` as a whole: every format that it reads, what it refuses, and the helpers beside it."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_files import (
    UPRIGHT,
    encoded,
    exif,
    jpeg_of_size,
    jpeg_with_exif,
    photo,
    png_chunk,
    png_of_size,
    with_chunk,
)

from edgevision.decode import encode_png, image_size, read_image, resize_to_fit
from edgevision.errors import ImageError, InputError

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


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("JPEG", {})])
def test_exif_orientation_agrees_with_pillow(
    orientation: int, format: str, options: dict[str, object], tmp_path: Path
) -> None:
    from PIL import Image, ImageOps

    tags = Image.Exif()
    tags[274] = orientation
    data = io.BytesIO()
    Image.fromarray(photo()[..., ::-1]).save(data, format, exif=tags, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(data)).convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(read_image(data.getvalue()), expected)
    (tmp_path / "turned").write_bytes(data.getvalue())
    assert image_size(tmp_path / "turned") == expected.shape[:2]


def test_the_size_of_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    for name in ("a.jpg", "none.jpg"):
        with pytest.raises(ImageError, match=f"^[^:]*{name}: [^/]*$"):
            image_size(tmp_path / name)


def test_the_size_of_a_jpeg_whose_header_is_longer_than_what_is_read_first(tmp_path: Path) -> None:
    jpeg = encoded(".jpg", photo())
    comments = b"".join(b"\xff\xfe" + struct.pack(">H", 60_002) + bytes(60_000) for _ in range(4))
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + comments + jpeg[2:])
    assert image_size(tmp_path / "a.jpg") == photo().shape[:2]


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


# What libjpeg and libpng would write to stderr about metadata that changes no pixel.


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


# Helpers


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
