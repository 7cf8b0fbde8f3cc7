"""When something happened, held against this device's clock: what lies far ahead of it was stamped by a wrong one."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from edgevision.errors import InputError
from edgevision.recommend.decay import DAY_S

AHEAD_S = DAY_S
"""So far after the clock an event may lie: two devices' clocks and time zones differ by less."""


def is_ahead(time_s: float) -> bool:
    """Whether ``time_s``, seconds since 1970, is more than a day after this device's clock.

    >>> is_ahead(0.0), is_ahead(time.time()), is_ahead(time.time() + 3 * DAY_S)
    (False, False, True)
    """
    return time_s > time.time() + AHEAD_S


def check_not_ahead(time_s: float) -> None:
    """Raise InputError for an event more than a day after the clock: beside it, all that comes later in truth would count nothing."""
    if is_ahead(time_s):
        raise InputError(
            f"an event of {day_of(time_s)} has not happened yet: this device's clock says {day_of(time.time())}; give the right time, or set "
            "the clock"
        )


def day_of(time_s: float) -> str:
    """The day, in UTC.

    >>> day_of(0.0), day_of(1e300)
    ('1970-01-01', '1e+300 s after 1970')
    """
    try:
        return datetime.fromtimestamp(time_s, timezone.utc).date().isoformat()
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return f"{time_s:g} s after 1970"
