"""Waiting in a loop of asyncio for what other threads bring."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol, TypeVar

_T_co = TypeVar("_T_co", covariant=True)


class Told(Protocol[_T_co]):
    """Where things wait for a reader, and the reader for things."""

    def get_or_tell(self, tell: Callable[[], None]) -> _T_co | None:
        """The next one, or None: then ``tell`` is called once, by some thread, when it is time to try again."""

    def forget(self, tell: Callable[[], None]) -> None:
        """Whoever waits for ``tell`` waits no more."""


async def next_of(source: Told[_T_co]) -> _T_co:
    """The next one; the loop runs meanwhile. Raises what ``get_or_tell`` raises."""
    import asyncio  # slow to import, and most readers are no loop's

    loop = asyncio.get_running_loop()
    while True:
        ready = asyncio.Event()

        def tell(ready: asyncio.Event = ready) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ready.set)

        found = source.get_or_tell(tell)
        if found is not None:
            return found
        try:
            await ready.wait()
        finally:  # also where it is cancelled, as asyncio.wait_for does
            source.forget(tell)
