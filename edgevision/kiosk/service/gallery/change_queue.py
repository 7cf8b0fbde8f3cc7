"""Changes of the gallery, one after the other in a thread of their own: one that waits for a lock keeps no reader waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from edgevision.kiosk.service.answers import RefusedError

MOST_WAITING = 16  # besides the one that is done
_RETRY_S = 5.0
_T = TypeVar("_T")


class ChangeQueue:
    """Does what it is given in the order that it came. Thread-safe.

    >>> queue = ChangeQueue()
    >>> queue.submit(lambda: 3).result()
    3
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most = most_waiting + 1
        self._lock = threading.Lock()
        self._under_way = 0
        self._ended = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edgevision gallery")

    def submit(self, call: Callable[[], _T]) -> Future[_T]:
        """Have ``call`` done; what comes of it. Raises RefusedError, 503, where too many wait already, and after ``close``."""
        with self._lock:
            if self._ended:
                raise _stopping()
            if self._under_way >= self._most:
                raise RefusedError(
                    503, f"{self._most} changes of the gallery are under way already; try again", retry_after_s=_RETRY_S
                )
            self._under_way += 1
            future = self._thread.submit(self._done, call)
        future.add_done_callback(self._left)
        return future

    def close(self) -> None:
        """Take no more. The change that is being done ends; those that wait are refused."""
        with self._lock:
            self._ended = True
        self._thread.shutdown(wait=False)

    def _done(self, call: Callable[[], _T]) -> _T:
        if self._ended:
            raise _stopping()
        return call()

    def _left(self, future: Future[_T]) -> None:
        with self._lock:
            self._under_way -= 1


def _stopping() -> RefusedError:
    return RefusedError(503, "the service is stopping; try again", retry_after_s=_RETRY_S)
