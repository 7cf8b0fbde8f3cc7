"""Where the frames of one camera wait for the model."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from edgevision.streams.captured import Captured
from edgevision.streams.fates import Fate
from edgevision.streams.options import Service


def _nobody(wake: bool) -> None:
    return None


class Mailbox:
    """The waiting frames of one camera, as its mode wants: the newest alone, or a queue. Thread-safe; nothing here blocks
    but ``wait_for_room``.

    ``settle``: called, by the thread that puts or closes, with the sequence and fate of each frame that is dropped, and before the one
    it is dropped for can be taken: so the result of that one tells of it. It must be quick, and not call the mailbox.
    ``accepted``: called, by the thread that puts, after each frame that was let in, with what ``put`` was given for ``wake``.

    >>> mailbox = Mailbox(Service(), settle=print)
    >>> mailbox.put(first)  # doctest: +SKIP
    True
    >>> mailbox.put(second)  # doctest: +SKIP
    0 Fate.SUPERSEDED
    True
    """

    def __init__(
        self, service: Service, settle: Callable[[int, Fate], None], accepted: Callable[[bool], None] = _nobody
    ) -> None:
        self.service = service
        self._settle = settle
        self._accepted = accepted
        self._waiting: deque[Captured] = deque()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._want_room = 0  # threads that wait for it
        self._due_s: float | None = None  # when the fps limit lets in the next frame; None: at once
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, captured: Captured, *, wake: bool = True) -> bool:
        """Let a frame in; whether it was. Never blocks. ``wake``: False where the caller lends its thread next (``Batcher.lend``);
        else the frame may lie for ever."""
        with self._lock:
            if self._closed:
                self._settle(captured.sequence, Fate.STOPPED)
                return False
            if not self._is_due(captured.received_s):
                self._settle(captured.sequence, Fate.SKIPPED)
                return False
            self._make_room()
            self._waiting.append(captured)
        self._accepted(wake)
        return True

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
            if self._want_room:
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
            self._want_room += 1
            try:
                return self._room.wait_for(
                    lambda: self._closed or len(self._waiting) < self.service.mode.depth, timeout_s
                )
            finally:
                self._want_room -= 1

    def close(self) -> None:
        """Let nothing in any more, and drop what waits."""
        with self._lock:
            self._closed = True
            while self._waiting:
                self._settle(self._waiting.popleft().sequence, Fate.STOPPED)
            self._room.notify_all()

    def _is_due(self, now_s: float) -> bool:
        """Whether the fps limit lets in a frame now. It holds on average: after a late frame the next may come early."""
        if self.service.fps is None:
            return True
        due_s = now_s if self._due_s is None else self._due_s
        if now_s < due_s:
            return False
        self._due_s = max(due_s + 1.0 / self.service.fps, now_s)
        return True

    def _make_room(self) -> None:
        if len(self._waiting) < self.service.mode.depth:
            return
        fate = Fate.SUPERSEDED if self.service.mode.name == "latest" else Fate.OVERFLOW
        self._settle(self._waiting.popleft().sequence, fate)
