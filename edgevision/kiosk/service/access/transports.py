"""Transports whose ``close`` comes to an end, whatever the other side does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edgevision.kiosk.service.access.timers import Timers


class BoundedTransport:
    """A transport whose ``close`` gives the other side ``write_s`` to take what was written. asyncio waits for ever."""

    def __init__(self, transport: asyncio.Transport, timers: Timers, write_s: float) -> None:
        self._transport = transport
        self._timers = timers
        self._write_s = write_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Take nothing more, send what is left, and end."""
        if not self._transport.is_closing():
            self._transport.close()
            self._timers.start("close", self._write_s, self._transport.abort)


class LingeringTransport(BoundedTransport):
    """One that first reads on for a moment where the other side is still sending, and throws that away.

    A connection that is closed with bytes unread is reset, and the other side may lose the answer that says why. ``is_being_sent_to``
    says whether it may be so; ``linger`` is then called once, and aborts in the end.
    """

    def __init__(
        self, transport: asyncio.Transport, timers: Timers, write_s: float, is_being_sent_to: Callable[[], bool],
        linger: Callable[[asyncio.Transport], None],
    ) -> None:  # fmt: skip
        super().__init__(transport, timers, write_s)
        self._is_being_sent_to = is_being_sent_to
        self._linger = linger
        self.lingers = False

    def is_closing(self) -> bool:
        """Whether ``close`` was called, or the other side has gone."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Take nothing more, send what is left, and end."""
        if self.is_closing():
            return
        if self._is_being_sent_to():
            self.lingers = True
            self._linger(self._transport)
        else:
            super().close()
