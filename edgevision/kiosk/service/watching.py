"""What becomes of every request: one ASGI layer that looks, and those who are told."""

from __future__ import annotations

import re
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from edgevision.kiosk.service.access.asgi import REQUEST

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OTHER = "other"  # route of what no route takes, and method of what is none of HTTP's
DEVICE = "edgevision.device"  # where the scope of a request holds the name of the device that its token belongs to
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
SOCKET = "WEBSOCKET"
HUNG_UP = 499  # no answer was begun when the client went; the number is nginx's
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_HEADER = b"x-request-id"
_ENDLESS = (b"text/event-stream", b"multipart/x-mixed-replace")
_ERRORS = 50  # that are remembered


@dataclass(frozen=True)
class Seen:
    """One request that is over. ``route``: its path with names in place of values, such as ``/v1/products/{id}/picture``; a query is never
    part of it. ``status``: of HTTP; of a WebSocket 101, or what it was refused with. ``seconds``: until the last byte was handed over; ``endless``:
    that says how long a client listened or looked, and not how quick the service was."""

    request: str
    device: str | None
    method: str
    route: str
    status: int
    seconds: float
    bytes_in: int
    bytes_out: int
    endless: bool = False


class Watch:
    """Around an app: measures each request, tells ``told`` when it is over, and gives it an id, in the header ``X-Request-ID`` and, for
    whoever tells of a failure, in the scope.

    A client's own id is kept where it is 1 to 64 letters, digits, ``-`` and ``_``. ``in_flight``: requests that are under way.
    """

    def __init__(self, app: App, told: Sequence[Callable[[Seen], None]]) -> None:
        self.in_flight = 0
        self._app = app
        self._told = tuple(told)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        one = _Request(scope, receive, send)
        self.in_flight += 1
        try:
            await self._app(scope, one.receive, one.send)
        except Exception:
            one.status = one.status or 500
            raise
        finally:
            self.in_flight -= 1
            seen = one.seen()
            for tell in self._told:
                tell(seen)


class _Request:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.status = 0
        self._scope = scope
        self._receive = receive
        self._send = send
        self._began_s = time.perf_counter()
        self._bytes_in = self._bytes_out = 0
        self._endless = scope["type"] == "websocket"
        self._id = _id_of(scope)
        scope[REQUEST] = self._id.decode("ascii")

    async def receive(self) -> Message:
        message = await self._receive()
        self._bytes_in += _length(message)
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            self._endless |= any(
                name == b"content-type" and value.startswith(_ENDLESS) for name, value in message.get("headers", ())
            )
            message = {**message, "headers": [*message.get("headers", ()), (_HEADER, self._id)]}
        elif kind == "websocket.accept":
            self.status = 101
            message = {**message, "headers": [*message.get("headers", ()), (_HEADER, self._id)]}
        elif kind == "websocket.close" and not self.status:
            self.status = 403  # what a server answers where a WebSocket is closed before it was accepted
        self._bytes_out += _length(message)
        await self._send(message)

    def seen(self) -> Seen:
        scope = self._scope
        method = SOCKET if scope["type"] == "websocket" else scope["method"]
        return Seen(
            request=self._id.decode("ascii"),
            device=scope.get(DEVICE),
            method=method if method in METHODS or method == SOCKET else OTHER,
            route=getattr(scope.get("route"), "path", OTHER),
            status=self.status or HUNG_UP,
            seconds=time.perf_counter() - self._began_s,
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            endless=self._endless,
        )


def _id_of(scope: Scope) -> bytes:
    """The client's id where it is one, else a new one."""
    for name, value in scope.get("headers", ()):
        if name == _HEADER and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return secrets.token_hex(8).encode()


def _length(message: Message) -> int:
    return len(message.get("body") or message.get("bytes") or message.get("text") or b"")


class ErrorsSeen:
    """The last errors, for the operator, and how many requests there were. Each error with its time, never with what a client sent.

    >>> errors = ErrorsSeen()
    >>> errors.note("the camera is gone")
    >>> errors.last[0]["words"]
    'the camera is gone'
    """

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self._last: deque[dict[str, Any]] = deque(maxlen=_ERRORS)

    @property
    def last(self) -> list[dict[str, Any]]:
        """The newest first."""
        return list(reversed(tuple(self._last)))

    def see(self, seen: Seen) -> None:
        """Count a request; remember it where the service failed."""
        self.requests += 1
        if seen.status >= 500:
            self.failed += 1
            words = f"{seen.method} {seen.route} was answered with {seen.status}"
            self._last.append({"at": _now(), "words": words, "request": seen.request})

    def note(self, words: str) -> None:
        """Remember something that went wrong elsewhere."""
        self._last.append({"at": _now(), "words": words, "request": None})


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
