"""Slots of an engine, lent to one batch at a time: first come, first served."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edgevision.calls.deadline import Deadline
from edgevision.closing import wait_until_left
from edgevision.engines import Slot
from edgevision.errors import EdgeVisionError
from edgevision.preprocess import Prepared

_CLOSED = "the model is closed; load it again to predict"
_PATIENCE_S = 0.1  # how long a waiter sleeps before it looks by itself, in case the call was lost (see SlotPool)


@dataclass(eq=False)
class PooledSlot:
    """A slot of a pool. ``padding``: by place in the batch, whose padding is written there already. ``thread``: which
    one it was lent to last."""

    slot: Slot
    padding: dict[int, Prepared] = field(default_factory=dict)
    thread: int = 0


class SlotPool:
    """At most ``capacity`` slots, made when they are first needed; whoever finds none waits in a queue.

    >>> slot = pool.take()  # doctest: +SKIP
    >>> try:
    ...     run(slot)
    ... finally:
    ...     pool.give_back(slot)
    ...     pool.call_next()

    A signal handler may raise at any point of the main thread, between ``take`` and ``try`` too. Such a slot is nobody's,
    and Python frees it: so the pool holds lent slots weakly, counts those that still live, and makes another. For the
    same reason ``give_back`` is a C function, and who waits looks again now and then.
    """

    def __init__(self, make: Callable[[], Slot], capacity: int) -> None:
        self._make = make
        self._capacity = capacity
        self._free: deque[PooledSlot] = deque()
        self._alive: tuple[weakref.ref[PooledSlot], ...] = ()
        self._making = threading.RLock()  # of the thread that makes one; a signal handler may need one meanwhile
        self._queue: deque[_Waiter] = deque()  # who waits, the first to come first
        self._closed = False
        self.give_back = self._free.append

    def take(self, deadline: Deadline | None = None) -> PooledSlot:
        """A slot, to be given back. Raises EdgeVisionError once the pool is closed, DeadlineError where ``deadline`` passes before."""
        if deadline is not None:
            deadline.check("its picture was read")
        if self._queue or (slot := self._take_now()) is None:
            return self._wait(deadline)
        return slot

    def call_next(self) -> None:
        """Call the thread that has waited longest, if there is one."""
        with contextlib.suppress(IndexError):  # nobody waits
            self._queue[0].call()

    def refuse(self) -> None:
        """Lend no more; who waits is told so."""
        self._closed = True
        for waiter in self._queue.copy():
            waiter.call()

    def close(self, timeout_s: float) -> bool:
        """Lend no more, and wait until every slot has come back. Whether all have.

        Gives up after ``timeout_s`` seconds, and does not wait for slots of the calling thread: see ``wait_until_left``.
        """
        self.refuse()
        return wait_until_left(self._threads_with_slots, timeout_s)

    def drop(self) -> None:
        """Give up the memory of a closed pool."""
        self._free.clear()

    def _take_now(self) -> PooledSlot | None:
        """A free slot, or a new one; None where all are lent. Whoever is in the queue goes before."""
        me = threading.get_ident()
        try:
            slot = self._free.pop()
        except IndexError:
            return self._make_another(me)
        slot.thread = me
        if self._closed:  # looked at last: whoever closes writes there first, and then counts the slots
            self.give_back(slot)
            raise EdgeVisionError(_CLOSED)
        return slot

    def _make_another(self, thread: int) -> PooledSlot | None:
        with self._making:
            if self._closed:
                raise EdgeVisionError(_CLOSED)
            alive = tuple(reference for reference in self._alive if reference() is not None)
            if len(alive) >= self._capacity:
                return None
            slot = PooledSlot(self._make(), thread=thread)
            self._alive = (*alive, weakref.ref(slot))
            return slot

    def _wait(self, deadline: Deadline | None) -> PooledSlot:
        waiter = _Waiter(threading.get_ident())
        try:
            self._queue.append(waiter)
            while True:
                if self._is_next(waiter) and (slot := self._take_now()) is not None:
                    return slot
                if self._closed:
                    raise EdgeVisionError(_CLOSED)
                left_s = None if deadline is None else deadline.left_s()
                if deadline is not None:
                    deadline.check("others were before it")
                waiter.wait(_PATIENCE_S if left_s is None else min(left_s, _PATIENCE_S))
        finally:
            try:  # noqa: SIM105 - suppress() is a function of Python's, and an exception could come before it
                self._queue.remove(waiter)
            except ValueError:  # interrupted before it was there
                pass
            if self._free:
                self.call_next()

    def _is_next(self, waiter: _Waiter) -> bool:
        """Whether nobody waits before ``waiter``, but for its own thread, where a signal handler interrupted that."""
        for other in self._queue.copy():
            if other is waiter:
                return True
            if other.thread != waiter.thread:
                return False
        return False

    def _threads_with_slots(self) -> list[int]:
        alive = [slot for reference in self._alive if (slot := reference()) is not None]
        free = {id(slot) for slot in self._free.copy()}
        return [slot.thread for slot in alive if id(slot) not in free]


class _Waiter:
    """A thread in the queue. ``call`` ends ``wait``."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self._bell = threading.Lock()
        self._bell.acquire()

    def wait(self, timeout_s: float) -> None:
        """Until called, at most ``timeout_s`` seconds."""
        self._bell.acquire(timeout=timeout_s)

    def call(self) -> None:
        """May be called more than once."""
        with contextlib.suppress(RuntimeError):  # it was called already
            self._bell.release()
