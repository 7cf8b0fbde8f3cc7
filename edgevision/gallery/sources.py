"""What an example came of: the SHA-256 of a picture's bytes, or of a frame's pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from edgevision.errors import InputError
from edgevision.files import read_regular
from edgevision.frames import Frame, MemoryKind

MAX_PHOTO_BYTES = 256 << 20  # of one file


def source_of_bytes(data: bytes) -> str:
    """Of a picture file.

    >>> source_of_bytes(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def source_of_file(path: Path) -> str | None:
    """Of a picture file on disk; None for what cannot be read, is no file, or has more than ``MAX_PHOTO_BYTES``."""
    try:
        return source_of_bytes(read_regular(path, MAX_PHOTO_BYTES))
    except OSError:
        return None


def source_of_frame(frame: Frame) -> str:
    """Of a camera's frame: its format, its planes' shapes and their pixels. Raises InputError for one in a device's memory."""
    if frame.memory is not MemoryKind.HOST:
        raise InputError("expected a frame in host memory, got one on a CUDA device; copy it to the host first")
    digest = hashlib.sha256(f"{frame.format.value}\n".encode())
    for plane in frame.planes:
        digest.update(f"{plane.shape}\n".encode())
        digest.update(np.ascontiguousarray(plane).data)
    return digest.hexdigest()
