"""``guarded(app, settings)``: any ASGI app, reached only as the settings allow.

In this order: the host's name, the page's origin, a browser's question beforehand, the length of the body; then the app, whose routes ask for
a token (``route.Entrance``). Every answer carries the security headers, and an app's failure is told as an id that stands in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from edgevision.kiosk.service.access.addresses import check_address
from edgevision.kiosk.service.access.asgi import App, Message, Receive, Request, Send, request_id
from edgevision.kiosk.service.access.body_limit import with_bounded_body
from edgevision.kiosk.service.access.callers import Callers, without_token
from edgevision.kiosk.service.access.failures import Failures
from edgevision.kiosk.service.access.hosts import check_host, own_names
from edgevision.kiosk.service.access.log_lines import Throttle
from edgevision.kiosk.service.access.origins import OriginRules, listed_origins
from edgevision.kiosk.service.access.refusals import WEBSOCKET_DENIED, Refusal, send_refusal
from edgevision.kiosk.service.access.security_headers import completed, security_headers
from edgevision.kiosk.service.access.settings import AccessSettings
from edgevision.kiosk.service.access.tokens import Token, TokenBook
from edgevision.kiosk.service.route import GATE, Scope, entrance_of

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

DEVICE = "edgevision.device"  # where a request holds the name of the token that let it in, for the log
_STARTS = {"http.response.start", f"{WEBSOCKET_DENIED}.start"}
_MOST_HELD_BYTES = 1 << 16
_log = logging.getLogger("edgevision.kiosk.access")
_log.addFilter(Throttle())


def guarded(app: App, settings: AccessSettings, *, now_s: Callable[[], float] = time.monotonic) -> App:
    """``app`` behind its door. Its routes are made with ``route`` and ``socket_route``, which say who may call them.

    Raises InputError where the settings do not allow the address (``check_address``) or the tokens cannot be read, ValueError for a
    route that says no scope: it would be open to everybody.

    >>> app = guarded(make_app(service), AccessSettings(tokens=Path("tokens.json")))
    """
    check_address(settings)
    if settings.tokens is not None:
        check_routes(getattr(app, "routes", ()))
    return _Guard(app, settings, now_s)


def check_routes(routes: Iterable[BaseRoute]) -> None:
    """Raise ValueError for a route that says no scope."""
    for one in routes:
        inner = getattr(one, "routes", None)
        if inner:
            check_routes(inner)
        elif entrance_of(one) is None:
            raise ValueError(f"{one!r} says no scope; make it with edgevision.kiosk.service.route")


class _RevokedError(Exception):
    """Raised inside an app whose caller's token was taken back."""


class _Guard:
    def __init__(self, app: App, settings: AccessSettings, now_s: Callable[[], float]) -> None:
        self._app = app
        self._limits = settings.limits
        self._now_s = now_s
        self._hosts = own_names(settings.host, settings.host_names)
        self._origins = OriginRules(listed_origins(settings.allow_origins))
        listed_origins(settings.allow_frames, "--allow-frame")  # a text that is none could change the policy
        self._headers = security_headers(settings)
        self._callers: Callers | None = None
        if settings.tokens is not None:
            self._callers = Callers(TokenBook(settings.tokens), Failures(settings.failures), now_s)

    async def __call__(self, request: Request, receive: Receive, send: Send) -> None:
        if request["type"] not in {"http", "websocket"}:
            await self._app(request, receive, send)
            return
        visit = _Visit(self, request, receive, send)
        refusal = check_host(request, self._hosts) or self._origins.check(request)
        if refusal is not None:
            await send_refusal(refusal, request, visit.send)
            return
        permitted = self._origins.preflight(request)
        if permitted is not None:
            await visit.send({"type": "http.response.start", "status": 204, "headers": permitted})
            await visit.send({"type": "http.response.body", "body": b""})
            return
        await visit.run()

    # ---- for a visit ----

    def headers_for(self, request: Request, own: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return completed(own, self._headers) + self._origins.permission(request)

    def enter(self, request: Request, scope: Scope) -> tuple[Token | None, Refusal | None]:
        return (None, None) if self._callers is None else self._callers.enter(request, scope)

    def still_holds(self, token: Token) -> bool:
        return self._callers is None or self._callers.still_holds(token)

    async def run_app(self, request: Request, receive: Receive, send: Send) -> None:
        if request["type"] == "http":
            await with_bounded_body(self._app, self._limits.body_bytes, request, receive, send)
        else:
            await self._app(request, receive, send)

    @property
    def now_s(self) -> float:
        return self._now_s()

    @property
    def token_check_s(self) -> float:
        return self._limits.token_check_s


class _Visit:
    """One request on its way through: what the app sends passes here."""

    def __init__(self, guard: _Guard, request: Request, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._request = request
        self._receive = receive
        self._send = send
        self._token: Token | None = None
        self._checked_s = 0.0
        # An answer with 500 waits: an exception may follow, and then the text is not for others.
        self._held: list[Message] = []
        self._held_bytes = 0
        self._accepted = False
        self._answered = False
        self._closed = False

    async def run(self) -> None:
        """Run the app; what it raises is logged, and told as an id."""
        request = self._request
        request[GATE] = self._gate
        try:
            await self._guard.run_app(request, self._watched_receive, self.send)
        except _RevokedError:
            await self._end_revoked()
        except Exception as error:
            await self._tell_failure(error)
        else:
            await self._release()

    def _gate(self, scope: Scope) -> Refusal | None:
        token, refusal = self._guard.enter(self._request, scope)
        without_token(self._request)
        if token is not None:
            self._token = token
            self._checked_s = self._guard.now_s
            self._request[DEVICE] = token.name
        return refusal

    # ---- messages ----

    async def send(self, message: Message) -> None:
        """From the app to the server, with the security headers."""
        self._check_token()
        kind = message["type"]
        if kind == "websocket.accept":
            self._accepted = True
        elif kind == "websocket.close":
            self._closed = True
        elif kind in _STARTS:
            message = {**message, "headers": self._guard.headers_for(self._request, message.get("headers", []))}
            self._answered = True
            if message["status"] == 500:
                self._held.append(message)
                return
        if self._held:
            self._held.append(message)
            self._held_bytes += len(message.get("body", b""))
            if self._held_bytes > _MOST_HELD_BYTES:
                await self._release()
            return
        await self._send(message)

    async def _watched_receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self._check_token()
        elif message["type"] == "websocket.disconnect":
            self._closed = True
        return message

    async def _release(self) -> None:
        held, self._held = self._held, []
        for message in held:
            await self._send(message)

    # ---- what ends it ----

    def _check_token(self) -> None:
        """A long answer ends when its token is taken back."""
        if self._token is None or self._guard.now_s - self._checked_s < self._guard.token_check_s:
            return
        self._checked_s = self._guard.now_s
        if not self._guard.still_holds(self._token):
            raise _RevokedError

    async def _end_revoked(self) -> None:
        token, self._token = self._token, None
        _log.warning("cut off %s: its token was revoked", token.name if token is not None else "a caller")
        if self._request["type"] == "websocket" and self._accepted and not self._closed:
            await self._send({"type": "websocket.close", "code": 1008, "reason": "the token was revoked"})
        elif not self._answered:
            await send_refusal(Refusal(401, "the token was revoked"), self._request, self.send)

    async def _tell_failure(self, error: Exception) -> None:
        from starlette.requests import ClientDisconnect
        from starlette.websockets import WebSocketDisconnect

        self._token = None  # the answer goes out in any case
        if isinstance(error, (ClientDisconnect, WebSocketDisconnect)):
            return
        number = request_id(self._request)
        _log.error("request %s failed", number, exc_info=error)
        began = self._answered and not self._held
        self._held = []
        answer = Refusal(500, "internal error", more=(("id", number),))
        if self._request["type"] == "websocket" and self._accepted:
            if not self._closed:
                await self._send({"type": "websocket.close", "code": 1011, "reason": f"internal error {number}"})
        elif not began:
            headers = self._guard.headers_for(self._request, answer.all_headers())
            prefix = "http.response" if self._request["type"] == "http" else WEBSOCKET_DENIED
            if prefix == WEBSOCKET_DENIED and WEBSOCKET_DENIED not in self._request.get("extensions", {}):
                await self._send({"type": "websocket.close", "code": 1011, "reason": "internal error"})
                return
            await self._send({"type": f"{prefix}.start", "status": answer.status, "headers": headers})
            await self._send({"type": f"{prefix}.body", "body": answer.body})
