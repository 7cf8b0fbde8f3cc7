"""One JSON object a line, in a file or on stdout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgevision.errors import InputError, SinkError
from edgevision.streams.sinks.base import Item
from edgevision.streams.sinks.messages import MessageMaker

MAX_BYTES = 100 << 20
KEEP = 5
STDOUT = "-"


class JsonLinesSink:
    """Appends each item as one line to ``path``, or writes it to stdout for ``"-"``.

    A file that would grow over ``max_bytes`` is renamed to ``PATH.1`` first, ``PATH.1`` to ``PATH.2`` and so on; ``keep`` of them
    stay. Each line is written by one call of the system; where a crash left half a line, the next one begins on a new line. The
    file is synced when it is closed.

    >>> sink = JsonLinesSink("results.jsonl", max_bytes=10_000_000, keep=3)
    """

    wants_frames = False

    def __init__(self, path: str | Path, *, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> None:
        if max_bytes < 1 or keep < 0:
            raise InputError(f"JSON lines: max_bytes is at least 1 and keep at least 0, got {max_bytes} and {keep}")
        self.name = f"jsonl:{path}"
        self._path = None if str(path) == STDOUT else Path(path)
        self._max_bytes = max_bytes
        self._keep = keep
        self._messages = MessageMaker()
        self._descriptor: int | None = None
        self._size = 0

    def open(self) -> None:
        """Open the file, and make its folder. Raises OSError."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._size = os.fstat(self._descriptor).st_size
        if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
            self._append(b"\n")

    def write(self, item: Item) -> None:
        """Write one line. Raises OSError, SinkError where the disk took half of it."""
        line = self._messages.message(item).body + b"\n"
        if self._path is None:
            sys.stdout.write(line.decode())
            sys.stdout.flush()
            return
        if self._size and self._size + len(line) > self._max_bytes:
            self._rotate()
        self._append(line)

    def close(self, timeout_s: float) -> None:
        """Sync and close."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _append(self, line: bytes) -> None:
        assert self._descriptor is not None  # the runner opens first
        written = os.write(self._descriptor, line)
        self._size += written
        if written < len(line):
            raise SinkError(f"{self._path}: only {written} of {len(line)} bytes could be written; is the disk full?")

    def _rotate(self) -> None:
        """Begin a new file, and drop the oldest."""
        assert self._path is not None
        self.close(0.0)
        files = [self._path, *(self._path.with_name(f"{self._path.name}.{place + 1}") for place in range(self._keep))]
        files[-1].unlink(missing_ok=True)
        for older, newer in zip(files[:0:-1], files[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)
        self.open()
