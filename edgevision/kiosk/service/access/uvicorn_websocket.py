"""uvicorn's protocol for WebSockets with wsproto, with bounds: on the time of a message, on empty parts, on what is not read."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from edgevision.kiosk.service.access.connections import Lease
from edgevision.kiosk.service.access.settings import Limits
from edgevision.kiosk.service.access.timers import Timers
from edgevision.kiosk.service.access.transports import BoundedTransport

_MOST_EMPTY_PARTS = 64  # of one message


@cache
def websocket_class() -> Any:
    """The class of an open WebSocket's protocol. uvicorn and wsproto are optional: they are imported here, and not with this module."""
    from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
    from wsproto import events
    from wsproto.connection import ConnectionState
    from wsproto.utilities import LocalProtocolError

    class GuardedWebSocket(WSProtocol):
        """One WebSocket. The length of messages is bounded by uvicorn (``ws_max_size``), part by part as they come."""

        def __init__(
            self,
            config: Any,
            server_state: Any,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
            *,
            limits: Limits,
            lease: Lease,
        ) -> None:
            super().__init__(config, server_state, app_state, _loop)
            self._limits = limits
            self._lease = lease
            self._asked = False
            self._empty_parts = 0
            self._timers = Timers(self.loop)

        # ---- what asyncio calls ----

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(BoundedTransport(transport, self._timers, self._limits.write_s))  # type: ignore[arg-type]

        def connection_lost(self, exc: Exception | None) -> None:
            self._timers.stop_all()
            self._lease.release()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._asked and not self.handshake_complete:  # wsproto would keep it all
                self.transport.abort()
                return
            self._asked = True
            super().data_received(data)
            if self.transport.is_closing() or self.buffer.value is None:
                self._timers.stop("message")
            elif "message" not in self._timers:
                self._timers.start("message", self._limits.message_s, self.transport.abort)

        def pause_writing(self) -> None:
            """What is not read piles up here; so nothing is taken either, such as pings that ask for answers."""
            super().pause_writing()
            self.transport.pause_reading()
            self._timers.start("write", self._limits.write_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._timers.stop("write")
            if not self.read_paused and not self.transport.is_closing():
                self.transport.resume_reading()

        # ---- what uvicorn calls ----

        def handle_message(self, event: events.TextMessage | events.BytesMessage) -> None:
            self._empty_parts = 0 if event.message_finished else self._empty_parts + (not event.data)
            if self._empty_parts > _MOST_EMPTY_PARTS:
                self.transport.abort()
                return
            super().handle_message(event)

        def handle_ping(self, event: events.Ping) -> None:
            if self.writable.is_set():  # else answers would pile up
                super().handle_ping(event)

        def handle_close(self, event: events.CloseConnection) -> None:
            if (
                self.conn.state is ConnectionState.OPEN and not self.transport.is_closing()
            ):  # not asked for: frames that are none
                try:
                    self.transport.write(self.conn.send(events.CloseConnection(code=event.code, reason=event.reason)))
                except LocalProtocolError:
                    self.transport.abort()
            super().handle_close(event)

    return GuardedWebSocket
