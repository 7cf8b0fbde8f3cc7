"""Frames of the demo that are kept as files."""

from __future__ import annotations

from pathlib import Path

from edgevision.demo.compiling import make_folder
from edgevision.files import atomic_write
from edgevision.frames import ImageArray

_JPEG_QUALITY = 95


def keep_frame(path: Path, frame: ImageArray) -> Path:
    """Write the frame (H×W×3 uint8 BGR) to ``path`` as a JPEG, and give the path back. Raises InputError where its folder cannot be made."""
    import cv2

    make_folder(path.parent)
    _, data = cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    atomic_write(path, data.tobytes())
    return path
