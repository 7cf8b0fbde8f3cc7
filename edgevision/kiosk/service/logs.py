"""The service's log: one JSON object a line, which nothing that a client sends can break or forge."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import sys
import threading
from datetime import datetime, timezone
from typing import Any, TextIO

from edgevision.kiosk.service.watching import Seen

WAITING = 10_000  # lines; more are dropped, and counted: a log that nobody reads stops no request
_END = None


class LogLines:
    """Writes lines to ``out`` (stderr where it is left out), in a thread that sleeps while there are none.

    A line has the time, and what is known: of a request its id, device, method, path template, status, milliseconds and bytes; never
    a token, a picture, or a value of the query. ``dropped``: lines that found no room.
    """

    def __init__(self, out: TextIO | None = None, *, waiting: int = WAITING) -> None:
        self.dropped = 0
        self._out = out
        self._lines: queue.Queue[str | None] = queue.Queue(waiting)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def see(self, seen: Seen) -> None:
        """Write a line for a request."""
        self.write(
            "request",
            request=seen.request,
            device=seen.device,
            method=seen.method,
            route=seen.route,
            status=seen.status,
            ms=round(1000 * seen.seconds, 2),
            bytes_in=seen.bytes_in,
            bytes_out=seen.bytes_out,
        )

    def write(self, event: str, **fields: Any) -> None:
        """Write a line. ``fields``: plain JSON values. Never waits."""
        try:
            self._lines.put_nowait(log_line({"at": _now(), "event": event, **fields}))
        except queue.Full:
            self.dropped += 1
            return
        if self._thread is None:
            self._start()

    def close(self, timeout_s: float) -> None:
        """Write what waits, within ``timeout_s`` seconds."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._lines.put(_END, timeout=timeout_s)
        thread.join(timeout_s)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="edgevision log", daemon=True)
                self._thread.start()

    def _write(self) -> None:
        told = 0
        while (line := self._lines.get()) is not _END:
            lost = self.dropped - told
            if lost:
                told += lost
                line = f"{line}\n{log_line({'at': _now(), 'event': 'log-lines-dropped', 'lines': lost})}"
            out = sys.stderr if self._out is None else self._out
            with contextlib.suppress(OSError, ValueError):  # closed, or its reader is gone: the service goes on
                out.write(f"{line}\n")
                out.flush()


def log_line(fields: dict[str, Any]) -> str:
    """The fields as JSON on one line: control characters and all that is not ASCII are escaped.

    >>> log_line({"device": "till\\n3"})
    '{"device": "till\\\\\\\\n3"}'
    """
    return json.dumps(fields, ensure_ascii=True, default=str).replace("\x7f", "\\u007f")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def handler_of(lines: LogLines) -> logging.Handler:
    """What takes the records of Python's ``logging`` into the same log: for the loggers of a service that runs alone.

    >>> logging.getLogger("edgevision").addHandler(handler_of(LogLines()))  # doctest: +SKIP
    """

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = {"level": record.levelname.lower(), "logger": record.name, "words": record.getMessage()}
            if record.exc_info:
                fields["traceback"] = logging.Formatter().formatException(record.exc_info)
            lines.write("log", **fields)

    return Handler()
