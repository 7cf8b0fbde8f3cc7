"""One JSON object a line, in a file or on stdout."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from pathlib import Path

from edgevision.errors import InputError
from edgevision.streams.sinks.base import Item
from edgevision.streams.sinks.line_file import LineFile
from edgevision.streams.sinks.messages import MessageMaker

MAX_BYTES = 100 << 20
KEEP = 5
STDOUT = "-"
_MOST_LINES = 1000  # that wait for a reader of stdout


class _Stdout:
    """Lines on stdout, whichever threads print them. One that was broken off, as on a full disk, is ended before the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_broken_off = False

    def print(self, line: bytes) -> None:
        """Raises OSError."""
        with self._lock:
            data = b"\n" * self._is_broken_off + line + b"\n"
            sys.stdout.flush()
            try:
                descriptor = sys.stdout.fileno()
            except OSError:  # it is no file, as in a test
                sys.stdout.write(data.decode())
                sys.stdout.flush()
                return
            # Past Python's buffer: a thread that waits in there for a reader would keep the program from ending.
            while data:
                written = os.write(descriptor, data)
                data = data[written:]
                self._is_broken_off = bool(data)


_stdout = _Stdout()


def print_line(line: bytes) -> None:
    """A whole line on stdout, whichever threads print others. Waits while nobody reads: see ``LinePrinter``."""
    _stdout.print(line)


class LinePrinter:
    """Prints lines on stdout in a thread of its own: who gives them never waits for the reader, who may have stopped reading.

    1000 lines may wait; what comes then is dropped.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MOST_LINES)
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="edgevision lines", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise OSError where a line could not be printed: nobody reads any more."""
        if self._failure is not None:
            raise self._failure

    def put(self, line: bytes) -> None:
        """Print it soon. Raises as ``check``."""
        self.check()
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(line)

    def close(self, timeout_s: float) -> None:
        """Print what waits, for ``timeout_s`` seconds at most. Raises as ``check``."""
        until_s = time.monotonic() + timeout_s
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=timeout_s)
            self._thread.join(max(0.0, until_s - time.monotonic()))
        self.check()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                print_line(line)
            except OSError as error:
                self._failure = error
                return


class JsonLinesSink:
    """Appends each item as one line to ``path``, or writes it to stdout for ``"-"``.

    A file that would grow over ``max_bytes`` is renamed to ``PATH.1`` first, ``PATH.1`` to ``PATH.2`` and so on; ``keep`` of them
    stay. See ``LineFile`` for what a crash may leave.

    >>> sink = JsonLinesSink("results.jsonl", max_bytes=10_000_000, keep=3)
    """

    wants_frames = False

    def __init__(self, path: str | Path, *, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> None:
        if max_bytes < 1 or keep < 0:
            raise InputError(f"JSON lines: max_bytes is at least 1 and keep at least 0, got {max_bytes} and {keep}")
        self.name = f"jsonl:{path}"
        self._file = None if str(path) == STDOUT else LineFile(Path(path), max_bytes=max_bytes, keep=keep)
        self._messages = MessageMaker()

    def open(self) -> None:
        """Open the file, and make its folder. Raises OSError."""
        if self._file is not None:
            self._file.open()

    def write(self, item: Item) -> None:
        """Write one line. Raises ItemError, OSError, SinkError where the disk took half of it."""
        line = self._messages.message(item).body
        if self._file is None:
            print_line(line)
        else:
            self._file.append(line)

    def close(self, timeout_s: float) -> None:
        """Sync and close."""
        if self._file is not None:
            self._file.close()
