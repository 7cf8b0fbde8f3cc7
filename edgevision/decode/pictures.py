"""The one decoder: files and bytes → H×W×3 uint8 BGR. Calibration, evaluation and run time all read through it."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevision.decode.formats import read_header
from edgevision.decode.header import ImageHeader
from edgevision.decode.jpeg import scan_damage
from edgevision.decode.opencv_log import silent_opencv
from edgevision.decode.samples import to_bgr, upright
from edgevision.decode.tiff import exif_orientation
from edgevision.errors import ImageError, InputError
from edgevision.frames import ImageArray

MAX_DECODE_BYTES = 1_000_000_000
MAX_FILE_BYTES = 1 << 30

_HEADER_BYTES = 1 << 17  # in which a JPEG's header nearly always ends
_JPEG = b"\xff\xd8\xff"
_TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that exchange height and width
_NAME_CHARACTERS = 160  # of a path in a message


def read_image(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview, *, max_decode_bytes: int = MAX_DECODE_BYTES
) -> ImageArray:
    """Decode a JPEG, PNG, WebP, AVIF, BMP, GIF or TIFF file, or its bytes, to an H×W×3 uint8 BGR array (contiguous).

    EXIF orientation is applied; where a file has several, the first counts. 16-bit samples become 8-bit ones (÷ 257,
    rounded); transparency is composed over grey 114; grey becomes three equal channels; CMYK JPEGs are read as Adobe
    writes them (inverted), the only kind in the wild; of animations, the first frame is taken. Colour profiles are
    ignored: samples count as sRGB. AVIF needs an OpenCV that reads it (its wheels do from 4.12 on).

    ``max_decode_bytes`` bounds the memory that decoding may take at its peak, the file included. It is estimated from
    the header, by what this format needs (size, depth, channels, progressive or not), before any pixel is decoded.
    A truncated file is refused, never filled up with grey; a baseline JPEG also where an end marker was put behind what
    is left of it. Bytes after the end of a JPEG are ignored. JPEG has no checksum: other damage can go unnoticed, and so
    can a progressive JPEG that was cut and ended again.

    Raises ImageError, which names the file.

    >>> read_image("tray.jpg").shape  # doctest: +SKIP
    (480, 640, 3)
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), "image"
    elif isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        name = shortened(path)
        data = _read_file(path, name)
    else:
        raise InputError(f"expected a path or the bytes of a picture, got {type(source).__name__}")
    if not data:
        raise ImageError(f"{name}: expected a picture, got no bytes at all")
    try:
        return _decode(data, name, max_decode_bytes)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width in pixels of what ``read_image`` gives for a file, by its header: EXIF orientation is applied, no pixel is decoded.

    Raises ImageError, which names the file.

    >>> image_size("tray.jpg")  # doctest: +SKIP
    (480, 640)
    """
    name = shortened(os.fspath(path))
    try:
        with Path(path).open("rb") as file:
            start = file.read(_HEADER_BYTES)
    except (OSError, ValueError):  # _read_file says what is wrong
        start = b""
    if start.startswith(_JPEG):  # of other formats, what says how to turn the picture may stand at the end
        with contextlib.suppress(ImageError):
            return _upright_size(start)
    try:
        return _upright_size(_read_file(os.fspath(path), name))
    except ImageError as error:
        raise ImageError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from None


def _upright_size(data: bytes) -> tuple[int, int]:
    header = read_header(data)
    # TIFF's decoder turns the picture by itself, so that its header says nothing of it.
    orientation = exif_orientation(data) if header.format == "TIFF" else header.orientation
    sides = header.height, header.width
    return sides[::-1] if orientation in _TRANSPOSED else sides


def shortened(text: str) -> str:
    """``text`` as it may stand in a message: its middle left out where it is long."""
    if len(text) <= _NAME_CHARACTERS:
        return text
    half = _NAME_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]} ({len(text)} characters)"


def resize_to_fit(image: ImageArray, max_side: int) -> ImageArray:
    """Shrink ``image`` (H×W×3 uint8) so that its longer side is at most ``max_side`` pixels; never enlarges.

    Each pixel is the mean of the area it covers. For storing photos; models are fed by ``edgevision.preprocess``.
    """
    import cv2

    height, width = image.shape[:2]
    if max(height, width) <= max_side:
        return image
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def encode_png(image: ImageArray) -> bytes:
    """Encode ``image`` (H×W×3 uint8 BGR) losslessly; ``read_image`` gives the same array back."""
    import cv2

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(f"expected an H×W×3 uint8 BGR array, got {image.dtype} of shape {image.shape}")
    done, encoded = cv2.imencode(".png", image)
    if not done:
        raise ImageError(f"OpenCV could not encode a picture of shape {image.shape} as PNG")
    return bytes(encoded)


def _read_file(path: str, name: str) -> bytes:
    file = Path(path)
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "special file"
            raise ImageError(f"{name}: expected a picture, got a {kind}")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(f"{name}: {status.st_size} bytes, the limit for a picture is {MAX_FILE_BYTES}")
        return file.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _decode(data: bytes, name: str, max_decode_bytes: int) -> ImageArray:
    header = read_header(data)
    if header.width < 1 or header.height < 1:
        raise ImageError(f"the {header.format} header gives a size of {header.width}×{header.height} pixels")
    cost = header.decode_bytes + len(data)
    if cost > max_decode_bytes:
        raise ImageError(
            f"{header.width}×{header.height} pixels of this {header.format} take {cost / 1e6:.0f} MB to decode, the "
            f"limit is {max_decode_bytes / 1e6:g} MB; scale it down, or raise max_decode_bytes"
        )
    relevant = data if header.parts is None else b"".join(header.parts)
    damage = header.damage
    if damage is None and header.format == "JPEG":
        damage = scan_damage(relevant)
    if damage:
        raise ImageError(f"the {header.format} file is truncated or damaged: {damage}")
    image = to_bgr(
        _samples(relevant, header),
        premultiplied=header.format == "TIFF",
        transparent_grey=header.transparent_grey,
        white=header.white,
    )
    return upright(image, header.orientation)


def _samples(relevant: bytes, header: ImageHeader) -> npt.NDArray[np.generic]:
    """Samples as stored: any depth, 1, 3 or 4 channels, in BGR order, not turned upright (except TIFF)."""
    import cv2

    with silent_opencv():
        try:
            # IMREAD_UNCHANGED keeps alpha and 16 bits, and leaves EXIF orientation to us in every OpenCV version.
            image = cv2.imdecode(np.frombuffer(relevant, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise ImageError(f"OpenCV cannot decode this {header.format}: {error.err or error}") from None
    if image is None:
        raise ImageError(
            f"the {header.format} file is truncated or damaged, or of a kind that OpenCV {cv2.__version__} "
            "cannot decode"
        )
    return np.asarray(image)
