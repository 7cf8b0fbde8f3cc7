"""One thread that does what it is given, in order."""

from __future__ import annotations

import _thread
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

_Job = tuple[Future[None], Callable[[], object]]


class Worker:
    """A thread that the end of the program does not wait for (it would for one of ``concurrent.futures``). It sleeps where
    there is nothing to do, and ends with ``close``, or when nobody has the worker any more.

    It is started by the C function below ``threading.Thread``, whose ``start`` waits: an exception of a signal handler
    would leave that half done.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._ended = threading.Lock()  # held until the thread has ended
        self._ended.acquire()
        weakref.finalize(self, self._jobs.put, None)
        self._thread = _thread.start_new_thread(_work, (self._jobs, self._ended))

    def submit(self, job: Callable[[], object], future: Future[None]) -> Future[None]:
        """Do ``job`` after what was submitted before. ``future``, new, is given back; it raises what ``job`` raises."""
        self._jobs.put((future, job))
        return future

    def close(self, timeout_s: float) -> bool:
        """Finish what was submitted, waiting at most ``timeout_s`` seconds. Whether it is finished.

        Called by a job itself, it cannot wait, and does not. Called once.
        """
        self._jobs.put(None)
        return self._thread != threading.get_ident() and self._ended.acquire(timeout=timeout_s)


def _work(jobs: SimpleQueue[_Job | None], ended: threading.Lock) -> None:
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
    ended.release()
