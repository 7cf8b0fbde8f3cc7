"""Threads that decode pictures beside those that run the model."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class DecodeThreads:
    """Runs calls in at most ``most`` daemon threads, which are started as they are needed. Thread-safe.

    ``idle``: threads that wait for a call.

    Those of ``concurrent.futures`` would keep a program alive whose decoder hangs.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self.idle = 0
        self._stopping = False

    def submit(self, call: Callable[[], None]) -> None:
        """Have a call made. It must not raise. After ``stop`` nothing is done."""
        with self._changed:
            if self._stopping:
                return
            self._calls.append(call)
            self._start_one()
            self._changed.notify()

    def one_more(self) -> None:
        """A thread is at something else, for a while or for ever: there may be one more in its place."""
        with self._changed:
            self.most += 1
            self._start_one()

    def one_less(self) -> None:
        """It came back."""
        with self._changed:
            self.most -= 1

    def stop(self) -> list[threading.Thread]:
        """Forget what was not begun, and end the threads: these, to be waited for."""
        with self._changed:
            self._stopping = True
            self._calls.clear()
            self._changed.notify_all()
            return list(self._threads)

    def _start_one(self) -> None:
        """Where calls wait for a thread, and there may be another one. With the lock held."""
        if not self._stopping and self.idle < len(self._calls) and len(self._threads) < self.most:
            thread = threading.Thread(target=self._work, name="edgevision-decode", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call()
            del call  # it holds a picture

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self.idle += 1
            while not self._calls and not self._stopping:
                self._changed.wait()
            self.idle -= 1
            return None if self._stopping else self._calls.popleft()
