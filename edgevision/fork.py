"""What a child of ``fork`` must know: it has its parent's memory and none of its threads.

Whoever waits for one of those waits for ever, and the destructors of engines do.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Forked(Protocol):
    """What ``tell_after_fork`` takes."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""


_to_tell: weakref.WeakSet[Forked] = weakref.WeakSet()


def tell_after_fork(forked: Forked) -> None:
    """Have its ``after_fork`` called in every child of ``fork``, unless it is gone by then."""
    _to_tell.add(forked)


@dataclass(frozen=True)
class _Hold:
    take: Callable[[], object]
    release: Callable[[], object]


_waits: list[Callable[[], object]] = []
_holds: list[_Hold] = []


def after_fork_in_child(call: Callable[[], object]) -> None:
    """Have a function called in every child of ``fork``."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)


def wait_before_fork(call: Callable[[], object]) -> None:
    """Have a function called before every ``fork``, by the thread that forks: it waits for what others do."""
    _waits.append(call)


def hold_over_fork(take: Callable[[], object], release: Callable[[], object]) -> None:
    """Have a lock taken before every ``fork`` and released in the parent. Its child renews it."""
    _holds.append(_Hold(take, release))


def _before() -> None:
    for wait in _waits:  # first: those that are waited for may need the locks
        wait()
    for hold in _holds:
        hold.take()


def _after_in_parent() -> None:
    for hold in reversed(_holds):
        hold.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent)


def never_free(thing: object) -> None:
    """Leak ``thing`` on purpose: its destructor would wait for threads that a child of ``fork`` does not have."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _tell_all() -> None:
    for forked in list(_to_tell):
        forked.after_fork()


after_fork_in_child(_tell_all)
