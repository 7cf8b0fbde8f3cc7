"""When an answer is of no use any more."""

from __future__ import annotations

import math
import time
from typing import Any

from edgevision.errors import DeadlineError, InputError


class Deadline:
    """``seconds`` from now; None: there is none.

    Raises InputError for what is no number of seconds above 0.
    """

    __slots__ = ("_until_s", "seconds")

    def __init__(self, seconds: float | None) -> None:
        if seconds is not None:
            seconds = _checked(seconds)
        self.seconds = seconds
        self._until_s = None if seconds is None else time.monotonic() + seconds

    def left_s(self) -> float | None:
        """Seconds until it passes, at least 0; None where there is none."""
        return None if self._until_s is None else max(0.0, self._until_s - time.monotonic())

    def allows(self, seconds: float) -> bool:
        """Whether something that takes so long, from now, ends in time."""
        return self._until_s is None or time.monotonic() + seconds <= self._until_s

    def check(self, doing: str) -> None:
        """Raises DeadlineError where it has passed. ``doing``: what the time went by with."""
        if not self.allows(0.0):
            raise DeadlineError(
                f"the answer was wanted within {self.in_words()}, which passed while {doing}; the rest was not done"
            )

    def check_late(self, result: Any) -> None:
        """As ``check``, for a call that is done: the error holds its ``result``."""
        if not self.allows(0.0):
            raise DeadlineError(
                f"the answer was wanted within {self.in_words()} and came later; it is the error's result", result
            )

    def in_words(self) -> str:
        """Such as "20 ms"."""
        return "" if self.seconds is None else milliseconds(self.seconds)


def milliseconds(seconds: float) -> str:
    """Such as "20 ms", with three digits at most where there are fewer.

    >>> milliseconds(0.0204), milliseconds(1.5), milliseconds(0.00123)
    ('20.4 ms', '1500 ms', '1.23 ms')
    """
    value = 1e3 * seconds
    return f"{value:.3g} ms" if value < 1000 else f"{value:.0f} ms"


def _checked(seconds: object) -> float:
    try:
        value = math.nan if isinstance(seconds, (bool, str, bytes)) else float(seconds)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"deadline_s is a number of seconds above 0, or None for no deadline, got {seconds!r}")
    return value
