"""uvicorn's protocol for WebSockets with wsproto, with bounds: on the time of a message, on empty parts, on what is not read."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from edgevision.kiosk.service.access.connections import Lease
from edgevision.kiosk.service.access.settings import Limits
from edgevision.kiosk.service.access.timers import Timers
from edgevision.kiosk.service.access.transports import BoundedTransport
from edgevision.kiosk.service.access.uvicorn_known import check_methods

_OVERRIDDEN = (
    "connection_made", "connection_lost", "data_received", "pause_writing", "resume_writing", "handle_message", "handle_ping", "handle_close",
)  # fmt: skip
_MOST_EMPTY_PARTS = 64  # of one message


@cache
def websocket_class() -> Any:
    """The class of an open WebSocket's protocol. uvicorn and wsproto are optional: they are imported here, and not with this module."""
    from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
    from wsproto import events
    from wsproto.connection import ConnectionState

    check_methods(WSProtocol, _OVERRIDDEN)

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
            super().connection_lost(exc)
            self._timers.stop_all()
            self._lease.release()

        def data_received(self, data: bytes) -> None:
            if self._asked and not self.handshake_complete:  # wsproto would keep it all
                self.transport.abort()
                return
            self._asked = True
            super().data_received(data)
            if self.buffer.value is not None and "message" not in self._timers and not self.transport.is_closing():
                self._timers.start("message", self._limits.message_s, self.transport.abort)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._timers.start("write", self._limits.write_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._timers.stop("write")

        # ---- what uvicorn calls ----

        def handle_message(self, event: events.TextMessage | events.BytesMessage) -> None:
            self._empty_parts = 0 if event.message_finished else self._empty_parts + (not event.data)
            if self._empty_parts > _MOST_EMPTY_PARTS:
                self.transport.abort()
                return
            if event.message_finished:
                self._timers.stop("message")
            super().handle_message(event)

        def handle_ping(self, event: events.Ping) -> None:
            if self.writable.is_set():  # else the other side reads nothing, and answers would pile up
                super().handle_ping(event)

        def handle_close(self, event: events.CloseConnection) -> None:
            still_open = (
                self.conn.state is ConnectionState.OPEN
            )  # the parser gave up: the other side has not asked to close
            if still_open and not self.transport.is_closing():
                self.transport.write(self.conn.send(events.CloseConnection(code=event.code, reason=event.reason)))
            super().handle_close(event)

    return GuardedWebSocket
