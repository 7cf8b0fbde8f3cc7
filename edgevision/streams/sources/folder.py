"""A folder of pictures, in the order of their names."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from edgevision.decode import to_frame
from edgevision.errors import InputError, SourceError
from edgevision.streams.captured import Captured
from edgevision.streams.encoded import EncodedFrame, EncodedPicture
from edgevision.streams.reasons import Reason

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".gif"})


class PictureFolder:
    """The pictures of one folder, one by one; folders in it are not looked into. Numbers in names count as numbers, so that 9.jpg
    comes before 10.jpg. A file is read and decoded when the model takes it; one that cannot be is a damaged frame."""

    live = False

    def __init__(self, camera: str, folder: Path) -> None:
        """Raises InputError where there is no such folder, or no picture in it."""
        if not folder.is_dir():
            raise InputError(f"camera {camera!r}: there is no folder {folder}")
        if next(_pictures(folder), None) is None:
            raise InputError(
                f"camera {camera!r}: the folder {folder} holds no pictures ({', '.join(sorted(SUFFIXES))})"
            )
        self._camera = camera
        self._folder = folder
        self._left: Iterator[Path] | None = None
        self._interrupted = False

    def open(self) -> None:
        """Begin with the first picture. Raises SourceError where the folder cannot be listed."""
        self._interrupted = False
        try:
            self._left = iter(sorted(_pictures(self._folder), key=_in_order))
        except OSError as error:
            raise SourceError(Reason.GONE, f"the folder {self._folder} cannot be listed: {error.strerror}") from None

    def read(self) -> Captured | None:
        """The next picture, not read yet; None at the end."""
        if self._left is None:
            raise SourceError(Reason.GONE, "it is not open")
        path = next(self._left, None)
        if path is None or self._interrupted:
            return None
        now_s = time.monotonic()
        return Captured(EncodedFrame(EncodedPicture(partial(to_frame, path)), self._camera), now_s, now_s)

    def close(self) -> None:
        """Forget where it was."""
        self._left = None

    def interrupt(self) -> None:
        """``read`` comes back with None."""
        self._interrupted = True


def _pictures(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def _in_order(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Digits by their value, between them text; the name itself decides where both are equal."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part.lower()) for part in parts], path.name
