"""Where a Station's events wait for whoever reads them: a loop, an ``async for``, or a timer of a user interface."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from edgevision.kiosk.events import StationEvent
from edgevision.streams.outlet import Ended

KEPT = 1000  # events that nobody has read; a day of a till that nobody listens to must not fill the memory


class EventQueue:
    """Thread-safe. Putting never blocks: where ``KEPT`` events wait, the oldest is dropped and counted in ``lost``."""

    def __init__(self) -> None:
        self.lost = 0
        self._waiting: deque[StationEvent] = deque()
        self._changed = threading.Condition()
        self._tell: list[Callable[[], None]] = []
        self._over = False

    def put(self, event: StationEvent) -> None:
        """Add an event."""
        with self._changed:
            if len(self._waiting) >= KEPT:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(event)
            self._notify()

    def get(self) -> StationEvent:
        """The next one; blocks until there is one. Raises Ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            return self._take()

    def all(self) -> list[StationEvent]:
        """All that wait, at once."""
        with self._changed:
            found = list(self._waiting)
            self._waiting.clear()
            return found

    def get_or_tell(self, tell: Callable[[], None]) -> StationEvent | None:
        """The next one, or None: then ``tell`` is called once, by some thread, when it is time to try again. Raises Ended."""
        with self._changed:
            if self._waiting or self._over:
                return self._take()
            self._tell.append(tell)
            return None

    def forget(self, tell: Callable[[], None]) -> None:
        """Whoever waits for ``tell`` waits no more."""
        with self._changed:
            if tell in self._tell:
                self._tell.remove(tell)

    def end(self) -> None:
        """Let readers end after what waits."""
        with self._changed:
            self._over = True
            self._notify()

    def _take(self) -> StationEvent:
        if not self._waiting:
            raise Ended
        return self._waiting.popleft()

    def _notify(self) -> None:
        self._changed.notify_all()
        tell, self._tell = self._tell, []
        for one in tell:
            one()
