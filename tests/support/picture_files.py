"""Picture files whose pixels are known, and parts to change them by: headers of any size, chunks, EXIF blocks."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from edgevision.decode import encode_png

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

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


def with_chunk(kind: bytes, content: bytes, crc: int | None = None) -> bytes:
    """A PNG with one more chunk behind its header; ``crc`` is its checksum where that is to be wrong."""
    data = encode_png(photo())
    chunk = png_chunk(kind, content) if crc is None else png_chunk(kind, content)[:-4] + struct.pack(">I", crc)
    return data[:33] + chunk + data[33:]


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
