"""The service's log: one JSON object a line, which nothing that a client sends can break or forge."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from edgevision.kiosk.service.access.log_lines import log_line, record_fields
from edgevision.kiosk.service.watching import Seen

_LOGGERS = ("edgevision", "uvicorn", "asyncio")
WAITING = 10_000  # lines; more are dropped, and counted: a log that nobody reads stops no request
_TOGETHER_S = (
    0.05  # lines of so long are written together: waking a thread for each would cost as much as all the rest of a line
)


class LogLines:
    """Writes lines to ``out`` (stderr where it is left out), in a thread that sleeps while there are none.

    A line has the time, and what is known: of a request its id, device, method, path template, status, milliseconds and bytes; never
    a token, a picture, or a value of the query. ``waiting``: lines that wait at most; ``dropped``: those that found no room.
    """

    def __init__(self, out: TextIO | None = None, *, waiting: int = WAITING) -> None:
        self.dropped = 0
        self._out = out
        self._most = waiting
        self._lines: deque[tuple[float, str, dict[str, Any]]] = deque()
        self._come = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._told = 0  # of those that were dropped

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
        """Write a line. ``fields``: plain JSON values, which nobody changes afterwards. Never waits, and costs next to nothing here."""
        if len(self._lines) >= self._most:
            self.dropped += 1
            return
        self._lines.append((time.time(), event, fields))
        if not self._come.is_set():
            self._come.set()
        if self._thread is None:
            self._start()

    def close(self, timeout_s: float) -> None:
        """Write what waits, within ``timeout_s`` seconds."""
        self._ending.set()
        self._come.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout_s)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._ending.clear()
                self._thread = threading.Thread(target=self._write, name="edgevision log", daemon=True)
                self._thread.start()

    def _write(self) -> None:
        while True:
            self._come.wait()
            self._ending.wait(_TOGETHER_S)
            is_last = self._ending.is_set()  # before it is looked what waits
            self._come.clear()
            if text := self._text():
                out = sys.stderr if self._out is None else self._out
                with contextlib.suppress(OSError, ValueError):  # closed, or its reader is gone: the service goes on
                    out.write(text)
                    out.flush()
            if is_last:
                return

    def _text(self) -> str:
        """The lines that wait, and what was dropped since."""
        lines = []
        for _ in range(len(self._lines)):  # and not those that come meanwhile
            at_s, event, fields = self._lines.popleft()
            lines.append(log_line(at_s, event, fields))
        if lost := self.dropped - self._told:
            self._told += lost
            lines.append(log_line(time.time(), "log-lines-dropped", {"lines": lost}))
        return "".join(f"{line}\n" for line in lines)


@contextlib.contextmanager
def logging_into(lines: LogLines) -> Iterator[None]:
    """Within the block, records of the service's and its server's loggers, and Python's warnings, come into the same log: for a service
    that runs alone.

    >>> with logging_into(LogLines()):  # doctest: +SKIP
    ...     serve(app, service, options, stop=stop)
    """
    handler = _Handler(lines)
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
    shown, warnings.showwarning = warnings.showwarning, _warnings_into(lines)
    try:
        yield
    finally:
        warnings.showwarning = shown
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(handler)


def _warnings_into(lines: LogLines) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
        lines.write("log", level="warning", logger=category.__name__, words=str(message))

    return show


class _Handler(logging.Handler):
    def __init__(self, lines: LogLines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.write("log", **record_fields(record))
