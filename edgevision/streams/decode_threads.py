"""Threads that decode pictures beside those that run the model."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from edgevision.closing import CLOSE_TIMEOUT_S, close_at_exit
from edgevision.fork import tell_after_fork


class DecodeThreads:
    """Makes calls, at most ``most`` at once, in daemon threads, which are started as they are needed and stay. Thread-safe.

    ``idle``: threads that wait for a call.

    Those of ``concurrent.futures`` would keep a program alive whose decoder hangs. These are waited for when the program ends, but not for ever:
    one that is torn out of C++ aborts it.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self.idle = 0
        self._busy = 0
        self._stopping = False
        close_at_exit(self)
        tell_after_fork(self)

    def submit(self, call: Callable[[], None]) -> None:
        """Have a call made. What it raises is told as of any thread, and harms no other call. After ``stop`` nothing is done.

        Raises RuntimeError where the system gives no thread and there is none: the call is not made then.
        """
        with self._changed:
            if self._stopping:
                return
            self._calls.append(call)
            try:
                self._see_to_calls()
            except RuntimeError:
                self._calls.remove(call)
                raise

    def one_more(self) -> None:
        """A call is at something else, for a while or for ever: there may be one more in its place."""
        with self._changed:
            self.most += 1
            self._see_to_calls()

    def one_less(self) -> None:
        """It came back. Until one of the calls returns, there is one too many."""
        with self._changed:
            self.most -= 1

    def stop(self) -> list[threading.Thread]:
        """Forget what was not begun, and end the threads: these, to be waited for."""
        with self._changed:
            self._stopping = True
            self._calls.clear()
            self._changed.notify_all()
            return list(self._threads)

    def refuse(self) -> None:
        """See ``Closable``."""
        self.stop()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Stop, and wait for the threads."""
        deadline_s = time.monotonic() + timeout_s
        for thread in self.stop():
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline_s - time.monotonic()))

    def after_fork(self) -> None:
        """In a child of ``fork``: another thread of the parent may have held the lock, and no thread is here. Nothing is done any more."""
        self._changed = threading.Condition()
        self._threads = []
        self._stopping = True

    def _see_to_calls(self) -> None:
        """Wake a thread, or start one, where a call waits that may be made now. With the lock held."""
        may_begin = 0 if self._stopping else min(len(self._calls), self.most - self._busy)
        if may_begin <= 0:
            return
        if self.idle < may_begin:
            self._start_one()
        self._changed.notify()

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._work, name="edgevision-decode", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more: the calls wait for those that are there
            if not self._threads:
                raise
            return
        self._threads.append(thread)
        self.idle += 1  # so that the next look knows of it

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            del call  # it holds a picture
            with self._changed:
                self._busy -= 1
                self.idle += 1

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._stopping and not (self._calls and self._busy < self.most):
                self._changed.wait()
            if self._stopping:
                return None
            self.idle -= 1
            self._busy += 1
            return self._calls.popleft()
