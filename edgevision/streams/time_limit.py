"""A call that must come back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from edgevision.errors import EngineError

_T = TypeVar("_T")


def in_time(call: Callable[[], _T], limit_s: float) -> _T:
    """What ``call`` gives, in a thread of its own. Raises what it raises, and EngineError where it does not come back within
    ``limit_s`` seconds: then the thread is left behind.

    >>> in_time(lambda: 1 + 1, 5.0)
    2
    """
    given: list[_T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            given.append(call())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="edgevision-time-limit", daemon=True).start()
    if not done.wait(limit_s):
        raise EngineError(f"it did not come back within {limit_s:g} s")
    if raised:
        raise raised[0]
    return given[0]
