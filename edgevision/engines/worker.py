"""One thread that does what it is given, in order."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

_Job = tuple[Future[None], Callable[[], object]]


class Worker:
    """A daemon thread, which the end of the program does not wait for (``concurrent.futures`` would). It sleeps where
    there is nothing to do, and ends with ``close``, or when nobody has the worker any more.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
        self._thread.start()
        weakref.finalize(self, self._jobs.put, None)

    def submit(self, job: Callable[[], object], future: Future[None]) -> Future[None]:
        """Do ``job`` after what was submitted before. ``future``, new, is given back; it raises what ``job`` raises."""
        self._jobs.put((future, job))
        return future

    def close(self, timeout_s: float) -> bool:
        """Finish what was submitted, waiting at most ``timeout_s`` seconds. Whether it is finished.

        Called by a job itself, it cannot wait, and does not.
        """
        self._jobs.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (item := jobs.get()) is not None:
        future, job = item
        if not future.set_running_or_notify_cancel():
            continue
        try:
            job()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)
        del item, future, job  # or the last one would be kept until the next comes
