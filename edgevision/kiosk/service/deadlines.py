"""How long a client waits, as it says in the header ``EdgeVision-Deadline-Ms``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgevision.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import Request

HEADER = "edgevision-deadline-ms"
_MOST_MS = 3_600_000.0


def deadline_of(request: Request) -> float | None:
    """When the answer has to be there, in seconds of ``time.monotonic``; None: the client does not say. Raises InputError."""
    text = request.headers.get(HEADER)
    if text is None:
        return None
    try:
        milliseconds = float(text) if len(text) <= 20 and text.isascii() else 0.0
    except ValueError:
        milliseconds = 0.0
    if not 0 < milliseconds <= _MOST_MS:
        raise InputError(
            f"EdgeVision-Deadline-Ms is a number of milliseconds, over 0 and at most {_MOST_MS:.0f}, got {text[:40]!r}"
        )
    return time.monotonic() + milliseconds / 1e3
