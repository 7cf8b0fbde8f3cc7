"""A few threads that work while somebody else goes on: a user interface, or an event loop."""

from __future__ import annotations

import _thread
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from edgevision.errors import BusyError, EdgeVisionError

_T = TypeVar("_T")

MAX_WAITING = 256  # jobs that no thread has begun; each holds a picture, and its answer is older than the one before


class Background:
    """At most ``threads`` threads, started when they are first needed. They sleep where there is nothing to do, and end with
    ``close``, or when nobody has this any more. The end of the program does not wait for them.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._started = 0
        self._queue = _Queue()
        weakref.finalize(self, self._queue.end).atexit = False  # the threads sleep, and are gone with the program

    @property
    def waiting(self) -> int:
        """Jobs that no thread has begun."""
        return len(self._queue.jobs)

    def submit(self, job: Callable[[], _T]) -> Future[_T]:
        """Do ``job`` in a thread, after those that were submitted before. Where its future is cancelled before its turn, it is forgotten.

        Raises BusyError where ``MAX_WAITING`` wait already, EdgeVisionError after ``close``.
        """
        queue, future = self._queue, Future[_T]()
        with queue.lock:
            if queue.ended:
                raise EdgeVisionError("the model is closed; load it again to predict")
            if self.waiting >= MAX_WAITING:
                raise BusyError(
                    f"{MAX_WAITING} calls wait for the model already; send no more than it answers, "
                    "or give them a deadline_s, so that those which come too late are refused"
                )
            future.add_done_callback(queue.forget)
            queue.jobs.append((future, job))
            if len(queue.jobs) > queue.idle and self._started < self._most:
                # The C function below ``threading.Thread``: its ``start`` waits, which a signal handler's exception would leave half done.
                _thread.start_new_thread(_work, (queue,))
                self._started += 1
            queue.wake.notify()
        return future

    def close(self) -> None:
        """Take no more; do what was submitted, then end the threads. Returns at once."""
        self._queue.end()


class _Queue:
    """What the threads have; not the ``Background`` itself, which could never be freed then.

    ``idle``: threads that wait. The lock is taken again by a signal handler that closes a model while its thread holds it.
    """

    def __init__(self) -> None:
        self.jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self.lock = threading.RLock()
        self.wake = threading.Condition(self.lock)
        self.idle = 0
        self.ended = False

    def next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """Wait for a job; None: the end."""
        with self.lock:
            while not self.jobs:
                if self.ended:
                    return None
                self.idle += 1
                self.wake.wait()
                self.idle -= 1
            return self.jobs.popleft()

    def forget(self, future: Future[Any]) -> None:
        """Drop a job that nobody wants any more, and the picture that it holds."""
        with self.lock:
            for item in self.jobs:
                if item[0] is future:
                    self.jobs.remove(item)
                    return

    def end(self) -> None:
        with self.lock:
            self.ended = True
            self.wake.notify_all()


def _work(queue: _Queue) -> None:
    while (item := queue.next()) is not None:
        future, job = item
        if future.set_running_or_notify_cancel():
            try:
                result = job()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        del item, future, job  # or the last one would be kept until the next comes
