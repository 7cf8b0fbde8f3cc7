"""Closing what may be in use: by ``close``, and when the program ends.

Two things that go wrong with engines in C++ and Python threads:

- A signal handler runs between any two steps of the main thread. It may raise there, and it may close what that thread is
  using. So nothing here takes a lock, and who leaves does it by one C function, which nothing can come before.
- A thread that is inside C++ when the interpreter ends is torn out of it, and C++ aborts the process.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from edgevision.fork import after_fork_in_child

CLOSE_TIMEOUT_S = 10.0  # how long close() waits for what is running
_EXIT_TIMEOUT_S = 5.0  # the same for all together, when the program ends
_PAUSE_S = 0.002


class Closable(Protocol):
    """What ``close_at_exit`` takes."""

    def refuse(self) -> None:
        """Begin nothing new. Returns at once."""

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Wait for what is running, at most ``timeout_s`` seconds, and give everything back."""


class Visit:
    """One use of something, by the thread that made this."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class Visits:
    """The uses of something that are under way, so that closing can wait for them.

    >>> visits, visit = Visits(), Visit()
    >>> try:
    ...     if visits.enter(visit):
    ...         pass  # use it
    ... finally:
    ...     visits.leave(visit)  # first of all: it is a C function, and no signal handler can come before it

    A visit is entered within ``try``, so that an exception at any point leads to ``leave``; leaving twice is allowed.
    """

    def __init__(self) -> None:
        self.closed = False
        self.given_up = False
        self._inside: set[Visit] = set()
        self.leave = self._inside.discard

    def enter(self, visit: Visit) -> bool:
        """Count ``visit``. False where it came too late: then it has to leave at once."""
        self._inside.add(visit)  # before the look at ``closed``: whoever closes looks here after writing there
        return not self.closed

    def close(self, timeout_s: float) -> bool:
        """Let nobody enter any more, and wait until all have left. Whether nobody is inside now.

        Gives up after ``timeout_s`` seconds. Does not wait for visits of the calling thread, which cannot go on before
        this returns. Whoever leaves last then finds ``given_up``, and has to finish what closing is for; not else, for a
        thread that frees an engine while the program ends aborts it.
        """
        self.closed = True
        if self.wait(timeout_s):
            return True
        self.given_up = True
        return self.is_empty  # looked at last: whoever leaves does that first, and then looks at ``given_up``

    def wait(self, timeout_s: float) -> bool:
        """As ``close``, but others may enter meanwhile and afterwards."""
        return wait_until_left(lambda: [visit.thread for visit in tuple(self._inside)], timeout_s)

    def forget(self) -> None:
        """In a child of ``fork``: the threads inside are not here."""
        self._inside.clear()

    @property
    def is_empty(self) -> bool:
        """Whether nobody is inside."""
        return not self._inside


def wait_until_left(threads_inside: Callable[[], list[int]], timeout_s: float) -> bool:
    """Wait until ``threads_inside`` names no thread but the calling one, at most ``timeout_s`` seconds.

    It gives the identifier of a thread for each use. Whether it names none at all now.
    """
    me, deadline = threading.get_ident(), time.monotonic() + timeout_s
    while True:
        inside = threads_inside()
        if all(thread == me for thread in inside):
            return not inside
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_S)


_closables: weakref.WeakSet[Closable] = weakref.WeakSet()


def close_at_exit(closable: Closable) -> None:
    """Have it closed when the program ends, unless it is gone by then. Daemon threads may be using it still."""
    _closables.add(closable)


def _close_all() -> None:
    deadline = time.monotonic() + _EXIT_TIMEOUT_S
    open_now = list(_closables)
    for closable in open_now:
        closable.refuse()
    for closable in open_now:
        closable.close(max(0.0, deadline - time.monotonic()))


atexit.register(_close_all)


def _forget_those_of_the_parent() -> None:
    _closables.clear()  # its threads are not here to be waited for


after_fork_in_child(_forget_those_of_the_parent)
