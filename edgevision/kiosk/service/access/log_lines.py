"""Log lines that nobody outside can forge: one record is one line of JSON, whatever a request put into it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any


def log_line(at_s: float, event: str, fields: dict[str, Any]) -> str:
    """A line of the log: JSON, with control characters and all that is not ASCII escaped. ``at_s``: seconds since 1970.

    >>> log_line(0.0, "device", {"name": "till\\n3"})
    '{"at": "1970-01-01T00:00:00.000+00:00", "event": "device", "name": "till\\\\n3"}'
    """
    at = datetime.fromtimestamp(at_s, timezone.utc).isoformat(timespec="milliseconds")
    text = json.dumps({"at": at, "event": event, **fields}, ensure_ascii=True, default=str)
    return text.replace("\x7f", "\\u007f")


def record_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a line has of a record of ``logging``, its traceback included."""
    fields = {"level": record.levelname.lower(), "logger": record.name, "words": record.getMessage()}
    if record.exc_info:
        fields["traceback"] = logging.Formatter().formatException(record.exc_info)
    return fields


class LineFormatter(logging.Formatter):
    """Formats each record as such a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return log_line(record.created, "log", record_fields(record))


class Throttle(logging.Filter):
    """Lets the same message, by its text before values are put in, through at most ``most`` times in ``seconds``.

    An attacker can cause thousands of them, and fill the disk. The first of the next stretch says how many were left out.
    """

    def __init__(self, most: int = 20, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._counts: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        template = str(record.msg)
        now_s = self._clock()
        began_s, count = self._counts.get(template, (now_s, 0))
        if now_s - began_s >= self._seconds:
            if count > self._most:
                record.msg = f"{record.msg} (and {count - self._most} like it in the last {now_s - began_s:.0f} s)"
            began_s, count = now_s, 0
        self._counts[template] = (began_s, count + 1)
        return count < self._most
