"""Log lines that nobody outside can forge: one record is one line, whatever a request put into it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def escaped(text: str) -> str:
    r"""The text on one line: control characters, and those that turn or break a line, as escapes; a backslash twice.

    >>> print(escaped("a\nINFO: all is well"))
    a\nINFO: all is well
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if (
        character.isprintable()
    ):  # not: controls, separators of lines and paragraphs, marks of direction, lone surrogates
        return character
    return character.encode("unicode_escape").decode("ascii")


class OneLineFormatter(logging.Formatter):
    """A formatter whose lines are one each, tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return escaped(super().format(record))


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
