"""A file of lines that is rotated by its size."""

from __future__ import annotations

import os
from pathlib import Path

from edgevision.errors import SinkError


class LineFile:
    """Appends lines to ``path``. A file that would grow over ``max_bytes`` is renamed to ``PATH.1`` first, ``PATH.1`` to ``PATH.2`` and
    so on; ``keep`` of them stay.

    Each line is written by one call of the system; where a crash left half a line, the next one begins on a new line. The file is
    synced when it is closed. ``mode``: the permissions of a new file. Raises OSError, SinkError where the disk took half a line.

    >>> file = LineFile(Path("results.jsonl"), max_bytes=10_000_000, keep=3)
    """

    def __init__(self, path: Path, *, max_bytes: int, keep: int, mode: int = 0o644) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._mode = mode
        self._descriptor: int | None = None
        self._size = 0

    def open(self) -> None:
        """Open the file, and make its folder."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, self._mode)
        self._size = os.fstat(self._descriptor).st_size
        if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
            self._write(b"\n")

    def append(self, line: bytes) -> None:
        """Write one line; ``line`` is without its end."""
        line += b"\n"
        if self._size and self._size + len(line) > self._max_bytes:
            self._rotate()
        self._write(line)

    def close(self) -> None:
        """Sync and close. Closing twice is allowed."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None  # it is open
        written = os.write(self._descriptor, data)
        self._size += written
        if written < len(data):
            raise SinkError(f"{self.path}: only {written} of {len(data)} bytes could be written; is the disk full?")

    def _rotate(self) -> None:
        """Begin a new file, and drop the oldest."""
        self.close()
        files = [self.path, *(self.path.with_name(f"{self.path.name}.{place + 1}") for place in range(self._keep))]
        files[-1].unlink(missing_ok=True)
        for older, newer in zip(files[:0:-1], files[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)
        self.open()
