"""The one decoder: files and bytes → H×W×3 uint8 BGR. Calibration, evaluation and run time all read through it."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from edgevision.decode.header import ImageHeader, read_header
from edgevision.errors import ImageError, InputError
from edgevision.frames import ImageArray

MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 1 << 30
BACKGROUND = 114  # grey level behind transparent pixels; also the usual letterbox pad

# EXIF orientation → transpose first?, then cv2.flip code or None. EXIF 2.32, tag 0x0112.
_UPRIGHT: dict[int, tuple[bool, int | None]] = {
    1: (False, None), 2: (False, 1), 3: (False, -1), 4: (False, 0),
    5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0),
}  # fmt: skip


def read_image(source: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS) -> ImageArray:
    """Decode a JPEG, PNG, WebP, BMP, GIF or TIFF file, or its bytes, to an H×W×3 uint8 BGR array (contiguous).

    EXIF orientation is applied. 16-bit samples become 8-bit ones (÷ 257, rounded); transparency is composed over grey
    114; grey becomes three equal channels; CMYK JPEGs are read as Adobe writes them (inverted), the only kind in the
    wild; of animations, the first frame is taken. Colour profiles are ignored: samples count as sRGB.

    The size comes from the header: a picture of more than ``max_pixels`` is refused before any pixel is decoded.
    A truncated file is refused, never filled up with grey. Bytes after the end of a JPEG are ignored. JPEG has no
    checksum: damage that leaves its end marker in place can go unnoticed.

    Raises ImageError, which names the file.

    >>> read_image("tray.jpg").shape  # doctest: +SKIP
    (480, 640, 3)
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), "image"
    elif isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        data = _read_file(Path(name))
    else:
        raise InputError(f"expected a path or the bytes of a picture, got {type(source).__name__}")
    if not data:
        raise ImageError(f"{name}: expected a picture, got no bytes at all")
    try:
        header = read_header(data)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    if header.width < 1 or header.height < 1:
        raise ImageError(f"{name}: the {header.format} header gives a size of {header.width}×{header.height} pixels")
    if header.width * header.height > max_pixels:
        raise ImageError(
            f"{name}: {header.width}×{header.height} pixels, the limit is {max_pixels / 1e6:g} million; scale it down"
        )
    if header.damage:
        raise ImageError(f"{name}: the {header.format} file is truncated or damaged: {header.damage}")
    return _to_bgr(_decode(data, header, name), header, name)


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


def _read_file(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "special file"
            raise ImageError(f"{path}: expected a picture, got a {kind}")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(f"{path}: {status.st_size} bytes, the limit for a picture is {MAX_FILE_BYTES}")
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _decode(data: bytes, header: ImageHeader, name: str) -> npt.NDArray[np.generic]:
    """Samples as stored: any depth, 1, 3 or 4 channels, in BGR order, not turned upright (except TIFF)."""
    import cv2

    with _silent_opencv():
        try:
            # IMREAD_UNCHANGED keeps alpha and 16 bits, and leaves EXIF orientation to us in every OpenCV version.
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise ImageError(f"{name}: OpenCV cannot decode this {header.format}: {error.err or error}") from None
    if image is None:
        raise ImageError(
            f"{name}: the {header.format} file is truncated or damaged, or of a kind that OpenCV {cv2.__version__} "
            "cannot decode"
        )
    return np.asarray(image)


def _to_bgr(image: npt.NDArray[np.generic], header: ImageHeader, name: str) -> ImageArray:
    import cv2

    depth = image.dtype
    if depth == np.uint16:
        to_8_bit = (np.arange(65536) + 128) // 257  # v / 257, rounded; 257 = 65535 / 255
        image = to_8_bit.astype(np.uint8)[image]
    if image.dtype != np.uint8:
        raise ImageError(f"{name}: expected 8 or 16 bits a sample, got {image.dtype}; convert it to PNG or JPEG")
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    elif image.shape[2] == 4:
        # libtiff gives 8-bit pictures with their colours already multiplied by alpha.
        image = _over_background(np.asarray(image, np.uint8), header.format == "TIFF" and depth == np.uint8)
    elif image.shape[2] != 3:
        raise ImageError(f"{name}: expected 1, 3 or 4 channels, got {image.shape[2]}; convert it to PNG or JPEG")
    transpose, flip = _UPRIGHT[header.orientation]
    if transpose:
        image = cv2.transpose(image)
    if flip is not None:
        image = cv2.flip(image, flip)
    return np.ascontiguousarray(image, np.uint8)


def _over_background(image: ImageArray, premultiplied: bool) -> ImageArray:
    """H×W×4 with alpha → H×W×3 over grey: ``(c·a + 114·(255 - a)) / 255``, rounded."""
    alpha = image[..., 3:].astype(np.uint16)
    color = image[..., :3] * (np.uint16(255) if premultiplied else alpha)
    mixed = np.minimum(color, 255 * alpha) + (BACKGROUND * (255 - alpha) + 127)  # at most 255·255 + 127: fits
    return np.asarray(mixed // 255, np.uint8)


_log_lock = threading.Lock()
_log_users = 0
_log_level = 0


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's log off stderr while decoding: what it would say is in the ImageError.

    The level belongs to the process. The first thread in saves it and the last one out puts it back.
    """
    global _log_level, _log_users  # noqa: PLW0603
    set_level = _opencv_log_level_setter()
    with _log_lock:
        if _log_users == 0:
            _log_level = set_level(_OPENCV_SILENT)
        _log_users += 1
    try:
        yield
    finally:
        with _log_lock:
            _log_users -= 1
            if _log_users == 0:
                set_level(_log_level)


_OPENCV_SILENT = 0  # cv::utils::logging::LOG_LEVEL_SILENT


def _opencv_log_level_setter() -> Callable[[int], int]:
    """OpenCV's function that sets the log level and gives back the one before: in ``cv2.utils.logging`` since 4.13, in
    ``cv2`` itself before. Some builds have neither: their log stays as it is."""
    import cv2

    for place in (getattr(cv2.utils, "logging", None), cv2):
        if setter := getattr(place, "setLogLevel", None):
            return cast("Callable[[int], int]", setter)
    return lambda level: level
