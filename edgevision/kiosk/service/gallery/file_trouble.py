"""What a client is told where the gallery's file cannot be changed: whose turn it is, and no path."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from edgevision.errors import EdgeVisionError
from edgevision.kiosk.service.answers import RefusedError

_RETRY_S = 5.0


def refusal_of(error: EdgeVisionError, path: Path) -> RefusedError:
    """507 for a full disk, else 503, with the words of ``error`` and the file's name alone. ``path``: of the gallery."""
    words = without_folder(str(error), path)
    if _says(error, "full"):
        return RefusedError(507, words)
    return RefusedError(503, words, retry_after_s=_RETRY_S if is_busy(error) else None)


def is_busy(error: EdgeVisionError) -> bool:
    """Whether another program holds the file's lock: that passes by itself."""
    return _says(error, "locked") or _says(error, "busy")


def without_folder(words: str, path: Path) -> str:
    """``words`` with the name of the file wherever they have its path, as it was given or with its links followed.

    >>> without_folder("cannot read /home/shop/a.evg: try again", Path("/home/shop/a.evg"))
    'cannot read a.evg: try again'
    """
    for known in sorted({os.path.realpath(path), str(path)}, key=len, reverse=True):
        words = words.replace(known, path.name)
    return words


def gone(path: Path) -> RefusedError:
    """The refusal where somebody took the file away: a new one in its place would have none of the products."""
    return RefusedError(
        503, f"the gallery's file is gone: {path.name}; bring it back, or start the service anew with an empty one"
    )


def _says(error: EdgeVisionError, word: str) -> bool:
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and word in str(cause)
