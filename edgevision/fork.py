"""What a child of ``fork`` must know: it has its parent's memory and none of its threads.

Whoever waits for one of those waits for ever, and the destructors of engines do.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol


class Forked(Protocol):
    """What ``tell_after_fork`` takes."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""


_to_tell: weakref.WeakSet[Forked] = weakref.WeakSet()


def tell_after_fork(forked: Forked) -> None:
    """Have its ``after_fork`` called in every child of ``fork``, unless it is gone by then."""
    _to_tell.add(forked)


def at_fork(call: Callable[[], None]) -> None:
    """Have a function called in every child of ``fork``."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)


def never_free(thing: object) -> None:
    """Leak ``thing`` on purpose: its destructor would wait for threads that a child of ``fork`` does not have."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _tell_all() -> None:
    for forked in list(_to_tell):
        forked.after_fork()


at_fork(_tell_all)
