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
from edgevision.decode.header import read_header
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
            + bytes(4), 2**24, 2**24,
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
    with pytest.raises(ImageError, match=f"{width}×{height} pixels, the limit is 100 million"):
        read_image(data)


def test_the_limit_counts_pixels() -> None:
    data = encode_png(photo(40, 50))
    assert read_image(data, max_pixels=2000).shape == (40, 50, 3)
    with pytest.raises(ImageError, match="50×40"):
        read_image(data, max_pixels=1999)


def test_a_size_that_opencv_itself_refuses_is_an_image_error() -> None:
    with pytest.raises(ImageError):
        read_image(png_of_size(2**31 - 1, 2**31 - 1), max_pixels=2**62)


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
    ):
        for length in (0, 1, 5, 17, 40, 200):
            for _ in range(10):
                data = signature + rng.bytes(length)
                with pytest.raises(ImageError):
                    read_image(data, max_pixels=1_000_000)


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
