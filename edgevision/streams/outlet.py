"""Where results wait for the loop that reads them."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from edgevision.streams.clock import Clock
from edgevision.streams.results import StreamResult

_WAIT_S = 0.1  # results of one batch should not wait longer than this for a loop that is slow
_SMOOTHING = 1 / 8


class Served(Protocol):
    """What an outlet needs of the batcher."""

    def hold(self) -> None:
        """Take no more frames."""

    def go_on(self, places: int | None = None) -> None:
        """Take frames again, at most ``places`` in a batch."""


class Ended(Exception):  # noqa: N818 - no error, as StopIteration is none
    """No more results will come. Its cause, if it has one, says why."""


class Outlet:
    """Results for a loop: nothing is computed before the loop asks for it, so that what it gets is as fresh as can be, and frames that
    a slow loop leaves out have their fate in the ledger.

    The loop's time for one result is measured; a batch is no larger than what it reads within 0.1 s.
    """

    def __init__(self, served: Served, clock: Clock) -> None:
        self._served = served
        self._clock = clock
        self._results: deque[StreamResult] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._tell: list[Callable[[], None]] = []
        self._over = False
        self._cause: Exception | None = None  # of the end
        self._loop_s = 0.0  # that the loop takes for a result, smoothed
        self._returned_s: float | None = None
        served.hold()

    def put(self, result: StreamResult) -> None:
        """A result is there. Never blocks."""
        self._served.hold()
        self._add(result)

    def get(self) -> StreamResult:
        """The next result; blocks until there is one. Raises Ended."""
        with self._changed:
            self._measure()
            while not self._has_one():
                if self._over:
                    raise Ended from self._cause
                self._ask()
                self._changed.wait()
            return self._take()

    def get_or_tell(self, tell: Callable[[], None]) -> StreamResult | None:
        """The next result, or None: then ``tell`` is called once, by some thread, when it is time to try again. Raises Ended."""
        with self._changed:
            self._measure()
            if self._has_one():
                return self._take()
            if self._over:
                raise Ended from self._cause
            self._tell.append(tell)
            self._ask()
            return None

    def forget(self, tell: Callable[[], None]) -> None:
        """Whoever waits for ``tell`` waits no more."""
        with self._changed:
            if tell in self._tell:
                self._tell.remove(tell)

    def wait_for_end(self, timeout_s: float | None) -> bool:
        """Wait until no more results will come; False after ``timeout_s``. Raises the cause, if the end has one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._over, timeout_s):
                return False
            if self._cause is not None:
                raise self._cause
            return True

    def end(self, cause: Exception | None = None) -> None:
        """Let the loop end after what waits. ``cause``: raise it there. The first end counts, until ``reopen``."""
        with self._changed:
            if not self._over:
                self._over, self._cause = True, cause
            self._notify()

    def reopen(self) -> None:
        """Results may come again."""
        with self._changed:
            self._over, self._cause = False, None

    def _ask(self) -> None:
        places = None if self._loop_s <= 0 else max(1, int(_WAIT_S / self._loop_s))
        self._served.go_on(places)

    def _add(self, result: StreamResult) -> None:
        with self._changed:
            self._results.append(result)
            self._notify()

    def _has_one(self) -> bool:
        return bool(self._results)

    def _take(self) -> StreamResult:
        self._returned_s = self._clock.now_s()
        return self._results.popleft()

    def _measure(self) -> None:
        """How long the loop took for the last result; with the lock held."""
        if self._returned_s is not None:
            self._loop_s += _SMOOTHING * (self._clock.now_s() - self._returned_s - self._loop_s)
            self._returned_s = None

    def _notify(self) -> None:
        self._changed.notify_all()
        tell, self._tell = self._tell, []
        for one in tell:
            one()


class NewestOutlet(Outlet):
    """Results for a loop beside sinks, which are served whether the loop reads or not: it gets the newest of each camera.

    ``unread``: results that were replaced before the loop read them.
    """

    def __init__(self, served: Served, clock: Clock) -> None:
        super().__init__(served, clock)
        self.unread = 0
        self._newest: OrderedDict[str, StreamResult] = OrderedDict()
        served.go_on()

    def put(self, result: StreamResult) -> None:  # noqa: D102 - as in Outlet
        self._add(result)

    def _ask(self) -> None:
        """It goes on by itself."""

    def _add(self, result: StreamResult) -> None:
        with self._changed:
            if self._newest.pop(result.camera, None) is not None:
                self.unread += 1
            self._newest[result.camera] = result
            self._notify()

    def _has_one(self) -> bool:
        return bool(self._newest)

    def _take(self) -> StreamResult:
        return self._newest.popitem(last=False)[1]
