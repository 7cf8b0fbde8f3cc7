"""Slots of an engine, lent to one batch at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgevision.engines import Slot
from edgevision.errors import EdgeVisionError
from edgevision.preprocess import Prepared


@dataclass(eq=False)
class PooledSlot:
    """A slot of a pool. ``padding``: by place in the batch, whose padding is written there already."""

    slot: Slot
    padding: dict[int, Prepared] = field(default_factory=dict)


class SlotPool:
    """At most ``capacity`` slots, made when they are first needed; whoever finds none waits for one."""

    def __init__(self, make: Callable[[], Slot], capacity: int) -> None:
        self._make = make
        self._capacity = capacity
        self._made = 0
        self._free: list[PooledSlot] = []
        self._closed = False
        self._changed = threading.Condition()

    def take(self) -> PooledSlot:
        """A slot, to be given back by ``give_back``. Raises EdgeVisionError once the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free or self._made < self._capacity)
            if self._closed:
                raise EdgeVisionError("the model is closed; load it again to predict")
            if self._free:
                return self._free.pop()
            slot = PooledSlot(self._make())
            self._made += 1
            return slot

    def give_back(self, slot: PooledSlot) -> None:
        """The slot is free for the next batch."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    @contextmanager
    def slot(self) -> Iterator[PooledSlot]:
        """A slot for the time of the block. Raises EdgeVisionError once the pool is closed."""
        slot = self.take()
        try:
            yield slot
        finally:
            self.give_back(slot)

    def close(self) -> None:
        """Refuse further use, and wait until every slot has come back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._free) == self._made)
            self._free.clear()
            self._made = 0
