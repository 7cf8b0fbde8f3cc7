"""The protocol of a new connection: it is counted, agrees on TLS within a bound of time, and only then becomes uvicorn's.

uvicorn itself counts no connections before TLS is agreed, and gives that a minute: a few hundred silent ones would take every file handle.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from edgevision.kiosk.service.access.connections import Connections, Lease
from edgevision.kiosk.service.access.log_lines import Throttle
from edgevision.kiosk.service.access.settings import Limits
from edgevision.kiosk.service.access.tls_contexts import FreshContext
from edgevision.kiosk.service.access.uvicorn_http import http_class

_log = logging.getLogger("edgevision.kiosk.connections")
_log.addFilter(Throttle())


def front_protocol(limits: Limits, context: FreshContext | None) -> type[asyncio.Protocol]:
    """The class to give uvicorn as ``http``. All connections that it makes are counted together."""

    class Front(_Front):
        _limits = limits
        _context = context
        _connections = Connections(limits)

    return Front


class _Front(asyncio.Protocol):
    _limits: Limits
    _context: FreshContext | None
    _connections: Connections

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._made_of = (config, server_state, app_state)
        self._loop = _loop or asyncio.get_running_loop()
        self._waiting = server_state.connections  # uvicorn closes what is in there when it stops
        self._transport: asyncio.Transport | None = None
        self._lease: Lease | None = None
        self._early: list[bytes] = []  # what came with the last bytes of the handshake
        self._lost = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else "unknown"
        self._lease = self._connections.open(address)
        if self._lease is None:
            _log.warning("cut off a connection from %s: there are too many", address)
            transport.abort()
        elif self._context is None:
            self._hand_over(transport)
        else:
            self._waiting.add(self)
            # It begins before the first byte can come: the loop runs what is ready, and the first step of this is, before what it reads.
            self._task = self._loop.create_task(self._agree_on_tls(transport, self._context))

    def data_received(self, data: bytes) -> None:
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._waiting.discard(self)
        if self._lease is not None:
            self._lease.release()

    def shutdown(self) -> None:
        """Called by the server when it stops: nothing has begun yet."""
        if self._transport is not None:
            self._transport.abort()

    async def _agree_on_tls(self, transport: asyncio.Transport, context: FreshContext) -> None:
        secured = None
        with contextlib.suppress(OSError, asyncio.TimeoutError):  # ssl.SSLError is an OSError
            secured = await self._loop.start_tls(
                transport, self, context.context(), server_side=True, ssl_handshake_timeout=self._limits.handshake_s
            )
        self._waiting.discard(self)
        if secured is None or self._lost or secured.is_closing():
            transport.abort()
            if self._lease is not None:
                self._lease.release()
            return
        self._hand_over(secured)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        assert self._lease is not None
        config, server_state, app_state = self._made_of
        protocol = http_class()(config, server_state, app_state, self._loop, limits=self._limits, lease=self._lease)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._early:
            protocol.data_received(data)
        self._early.clear()
