"""The timers of one connection, by name, so that its end stops them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """Each name has one timer at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: dict[str, asyncio.TimerHandle] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def start(self, name: str, seconds: float, action: Callable[[], object]) -> None:
        """Call ``action`` after so long, unless it is stopped; in place of the timer that has this name now."""
        self.stop(name)

        def ring() -> None:
            self._running.pop(name, None)
            action()

        self._running[name] = self._loop.call_later(seconds, ring)

    def stop(self, name: str) -> None:
        """Stop it, if it runs."""
        timer = self._running.pop(name, None)
        if timer is not None:
            timer.cancel()

    def stop_all(self) -> None:
        """Stop every one."""
        for name in list(self._running):
            self.stop(name)
