"""Where the frames of one camera wait for the model."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from edgevision.streams.captured import Captured
from edgevision.streams.fates import Fate
from edgevision.streams.options import Service


class Drop(NamedTuple):
    """A frame that will not be served, and why."""

    sequence: int
    fate: Fate


def _nobody() -> None:
    return None


class Mailbox:
    """The waiting frames of one camera, as its mode wants: the newest alone, or a queue. Thread-safe; nothing here blocks
    but ``wait_for_room``.

    ``accepted``: called, by the thread that puts, after each frame that was let in.

    >>> mailbox = Mailbox(Service())
    >>> mailbox.put(first)  # doctest: +SKIP
    ()
    >>> mailbox.put(second)  # doctest: +SKIP
    (Drop(sequence=0, fate=<Fate.SUPERSEDED: 'superseded'>),)
    """

    def __init__(self, service: Service, accepted: Callable[[], None] = _nobody) -> None:
        self.service = service
        self._accepted = accepted
        self._waiting: deque[Captured] = deque()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._due_s: float | None = None  # when the fps limit lets in the next frame; None: at once
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, captured: Captured) -> tuple[Drop, ...]:
        """Let a frame in. Never blocks. What was dropped for it, or that it was dropped itself: the caller settles those."""
        with self._lock:
            if self._closed:
                return (Drop(captured.sequence, Fate.STOPPED),)
            if not self._is_due(captured.received_s):
                return (Drop(captured.sequence, Fate.SKIPPED),)
            dropped = self._make_room()
            self._waiting.append(captured)
        self._accepted()
        return dropped

    def waiting(self) -> tuple[Captured, ...]:
        """Those that wait now, the oldest first."""
        with self._lock:
            return tuple(self._waiting)

    def take(self) -> Captured | None:
        """The oldest that waits, or None."""
        with self._lock:
            if not self._waiting:
                return None
            taken = self._waiting.popleft()
            self._room.notify_all()
            return taken

    def remove(self, captured: Captured) -> bool:
        """Take this one out; False where it is not waiting any more."""
        with self._lock:
            if captured not in self._waiting:
                return False
            self._waiting.remove(captured)
            self._room.notify_all()
            return True

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until a frame can be let in without dropping another, or the mailbox is closed. False after ``timeout_s``.

        For sources that can wait: files and folders.
        """
        with self._lock:
            return self._room.wait_for(lambda: self._closed or len(self._waiting) < self.service.mode.depth, timeout_s)

    def close(self) -> tuple[Drop, ...]:
        """Let nothing in any more. What was waiting: the caller settles it."""
        with self._lock:
            self._closed = True
            dropped = tuple(Drop(one.sequence, Fate.STOPPED) for one in self._waiting)
            self._waiting.clear()
            self._room.notify_all()
        return dropped

    def _is_due(self, now_s: float) -> bool:
        """Whether the fps limit lets in a frame now. It holds on average: after a late frame the next may come early."""
        if self.service.fps is None:
            return True
        due_s = now_s if self._due_s is None else self._due_s
        if now_s < due_s:
            return False
        self._due_s = max(due_s + 1.0 / self.service.fps, now_s)
        return True

    def _make_room(self) -> tuple[Drop, ...]:
        if len(self._waiting) < self.service.mode.depth:
            return ()
        fate = Fate.SUPERSEDED if self.service.mode.name == "latest" else Fate.OVERFLOW
        return (Drop(self._waiting.popleft().sequence, fate),)
