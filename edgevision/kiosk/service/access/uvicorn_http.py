"""uvicorn's protocol for HTTP/1.1 with h11, with bounds: on heads, on times, and on what is read after an answer."""

from __future__ import annotations

import asyncio
import logging
from functools import cache, partial
from typing import Any

from edgevision.kiosk.service.access.connections import Lease
from edgevision.kiosk.service.access.heads import Head, check_bytes, check_head
from edgevision.kiosk.service.access.log_lines import Throttle
from edgevision.kiosk.service.access.refusals import Refusal
from edgevision.kiosk.service.access.security_headers import completed, security_headers
from edgevision.kiosk.service.access.settings import AccessSettings, Limits
from edgevision.kiosk.service.access.timers import Timers
from edgevision.kiosk.service.access.transports import LingeringTransport
from edgevision.kiosk.service.access.uvicorn_known import check_methods
from edgevision.kiosk.service.access.uvicorn_websocket import websocket_class

_log = logging.getLogger("edgevision.kiosk.requests")
_log.addFilter(Throttle())
_TICKS = 4  # how often in ``body_pause_s`` a body's progress is looked at
_OVERRIDDEN = (
    "connection_made", "connection_lost", "data_received", "eof_received", "pause_writing", "resume_writing", "handle_websocket_upgrade",
    "send_400_response", "on_response_complete", "shutdown", "_unset_keepalive_if_required", "_unsupported_upgrade_warning",
)  # fmt: skip
_FREE_CHUNKS = 256
_LEAST_CHUNK_BYTES = 64  # on average, of a body in more chunks than those
_HEADERS = security_headers(AccessSettings())


@cache
def http_class() -> Any:
    """The class of a connection's protocol. uvicorn is an optional package: it is imported here, and not with this module."""
    import h11
    from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

    check_methods(H11Protocol, _OVERRIDDEN)

    class CheckedConnection(h11.Connection):
        """The parser, which also refuses what ``heads`` refuses. ``refusal``: why the last error was raised."""

        def __init__(self, limits: Limits) -> None:
            super().__init__(h11.SERVER, limits.header_bytes)
            self._limits = limits
            self.refusal: Refusal | None = None
            self.wants_no_body = False
            self._chunks = 0
            self._chunk_bytes = 0

        def next_event(self) -> Any:
            if self.refusal is not None:
                raise h11.RemoteProtocolError(self.refusal.error)
            if self.their_state is h11.IDLE:
                self._refuse(check_bytes(self.trailing_data[0], self._limits))
            try:
                event = super().next_event()
            except h11.RemoteProtocolError as error:
                hint = error.error_status_hint
                self.refusal = Refusal(
                    hint if 400 <= hint < 500 else 400, f"this is no proper HTTP/1.1: {str(error).partition(':')[0]}"
                )
                raise
            if isinstance(event, h11.Data):
                self._count(event)
            elif isinstance(event, h11.Request):
                self._chunks = self._chunk_bytes = 0
                self.wants_no_body = event.method == b"HEAD"
                head = Head(bytes(event.method), bytes(event.target), bytes(event.http_version), list(event.headers))
                self._refuse(check_head(head, self._limits))
                if head.wants_websocket and self.trailing_data[0]:
                    self._refuse(Refusal(400, "a WebSocket's messages may begin when it is open"))
            return event

        def _count(self, data: h11.Data) -> None:
            """Each chunk costs more time than its bytes: with chunks of one byte, a small body keeps the service busy for seconds."""
            self._chunks += data.chunk_start
            self._chunk_bytes += len(data.data)
            if self._chunks > _FREE_CHUNKS and self._chunk_bytes < self._chunks * _LEAST_CHUNK_BYTES:
                self._refuse(Refusal(400, f"the chunks have fewer than {_LEAST_CHUNK_BYTES} bytes"))

        def _refuse(self, refusal: Refusal | None) -> None:
            if refusal is not None:
                self.refusal = refusal
                raise h11.RemoteProtocolError(refusal.error, refusal.status)

    class GuardedHttp(H11Protocol):
        """One connection. ``lease``: its place among all, given back when it ends."""

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
            self.logger = _log
            self.conn: CheckedConnection = CheckedConnection(limits)
            self.ws_protocol_class = partial(websocket_class(), limits=limits, lease=lease)  # type: ignore[assignment]
            self._raw: asyncio.Transport | None = None
            self._timers = Timers(self.loop)
            self._body_due_s = 0.0
            self._linger_bytes = 0

        # ---- what asyncio calls ----

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._raw = transport
            self.transport = LingeringTransport(  # type: ignore[assignment]
                transport, self._timers, self._limits.write_s, self._is_being_sent_to, self._linger
            )
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop_timers()
            self._lease.release()

        def data_received(self, data: bytes) -> None:
            if self._lingers:
                self._linger_bytes -= len(data)
                if self._linger_bytes < 0:
                    self._abort()
                return
            if self.transport.is_closing():
                return
            self._earn(len(data))
            super().data_received(data)
            self._watch()

        def eof_received(self) -> None:
            """The other side sends no more. What it began must be whole: half a head or body is an end, not a request."""
            state = self.conn.their_state
            if self._lingers or state is h11.SEND_BODY or (state is h11.IDLE and self.conn.trailing_data[0]):
                self._abort()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._timers.start("write", self._limits.write_s, self._abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._timers.stop("write")

        # ---- what uvicorn calls ----

        def _unsupported_upgrade_warning(self) -> None:
            """Such a request is served as HTTP/1.1, which is what its sender expects (curl offers h2c so)."""

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._stop_timers()
            assert self._raw is not None
            self.transport, self._raw = self._raw, None  # all that follows is the WebSocket's
            super().handle_websocket_upgrade(event)

        def send_400_response(self, msg: str) -> None:
            """Called for whatever the parser refused."""
            self._refuse(self.conn.refusal or Refusal(400, msg))

        def on_response_complete(self) -> None:
            unread = self.conn.their_state is h11.SEND_BODY
            super().on_response_complete()
            if unread:  # nobody wants the rest: uvicorn would read it, without end
                self._unset_keepalive_if_required()
                self.transport.close()
            self._watch()

        def shutdown(self) -> None:
            if self._lingers:
                self._abort()
            else:
                super().shutdown()

        # ---- bounds ----

        def _watch(self) -> None:
            """Set the timers that fit to what the other side has to do now."""
            if self._raw is None or self.transport.is_closing():
                self._timers.stop("head")
                self._timers.stop("body")
                return
            state = self.conn.their_state
            if state is not h11.IDLE:
                self._timers.stop("head")
            elif "head" not in self._timers and self.timeout_keep_alive_task is None:
                self._timers.start("head", self._limits.header_s, self._head_is_late)
            if state is not h11.SEND_BODY:
                self._timers.stop("body")
            elif "body" not in self._timers:
                self._body_due_s = self.loop.time() + self._limits.body_pause_s
                self._timers.start("body", self._tick_s, self._look_at_body)

        def _head_is_late(self) -> None:
            if self.conn.their_state is not h11.IDLE:
                return
            if self.conn.trailing_data[0]:
                self._refuse(Refusal(408, "the headers took too long"))
            else:
                self.transport.close()

        @property
        def _tick_s(self) -> float:
            return self._limits.body_pause_s / _TICKS

        def _earn(self, count: int) -> None:
            """Bytes that came put the cut off, never by more than one pause: a quick start is no licence to dawdle."""
            latest_s = self.loop.time() + self._limits.body_pause_s
            self._body_due_s = min(latest_s, self._body_due_s + count / self._limits.body_bytes_per_s)

        def _look_at_body(self) -> None:
            if self.conn.their_state is not h11.SEND_BODY or self.transport.is_closing():
                return
            cycle = self.cycle
            if self.flow.read_paused or (cycle is not None and cycle.waiting_for_100_continue):
                self._body_due_s += self._tick_s  # it is we who are slow
            elif self.loop.time() >= self._body_due_s:
                self._refuse(
                    Refusal(408, f"the body came slower than {self._limits.body_bytes_per_s:.0f} bytes a second")
                )
                return
            self._timers.start("body", self._tick_s, self._look_at_body)

        # ---- ends ----

        def _refuse(self, refusal: Refusal) -> None:
            """Refuse what is no request, or no longer one, and end the connection."""
            self._stop_timers()
            cycle = self.cycle
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
                if cycle.response_started:
                    self._abort()
                    return
            if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
                self._abort()
                return
            _log.info(
                "refused a request from %s: %d %s",
                self.client[0] if self.client else "?",
                refusal.status,
                refusal.error,
            )
            headers = completed([*self.server_state.default_headers, *refusal.all_headers()], _HEADERS)
            response = h11.Response(status_code=refusal.status, headers=headers, reason=STATUS_PHRASES[refusal.status])
            body = b"" if self.conn.wants_no_body else refusal.body
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _is_being_sent_to(self) -> bool:
            """Whether the other side may still be sending: a body, or what was refused."""
            return self.conn.their_state in {h11.SEND_BODY, h11.ERROR} or self.conn.refusal is not None

        @property
        def _lingers(self) -> bool:
            return isinstance(self.transport, LingeringTransport) and self.transport.lingers

        def _linger(self, transport: asyncio.Transport) -> None:
            """Throw away what comes for a moment, then close."""
            self._stop_timers()
            if transport.can_write_eof():
                transport.write_eof()
            transport.resume_reading()
            self._linger_bytes = self._limits.body_bytes
            self._timers.start("linger", self._limits.linger_s, self._abort)

        def _abort(self) -> None:
            self._stop_timers()
            if self._raw is not None:
                self._raw.abort()

        def _stop_timers(self) -> None:
            self._unset_keepalive_if_required()
            self._timers.stop_all()

    return GuardedHttp
