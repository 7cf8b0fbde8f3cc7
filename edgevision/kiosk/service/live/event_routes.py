"""``GET /v1/events``, as server-sent events, and ``WS /v1/events``."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.live.hub import EventsHub, HubClosedError, HubFullError, Message, Subscription
from edgevision.kiosk.service.live.sockets import SEND_S, TRY_LATER, accept, close, until_disconnected
from edgevision.kiosk.service.route import Scope, route, socket_route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

HEARTBEAT_S = 15.0  # a connection that is gone is noticed, and none between here and there takes it for dead
_RETRY_MS = 2000  # when a browser tries again
_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
_HEARTBEAT = '{"event":"heartbeat"}'
_ID = re.compile(r"[0-9a-f]{1,32}-\d{1,18}", re.ASCII)
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def event_routes(hub: EventsHub, *, heartbeat_s: float = HEARTBEAT_S, send_s: float = SEND_S) -> list[BaseRoute]:
    """The routes that tell what happens. ``heartbeat_s``: something is sent at least so often. ``send_s``: a subscriber who takes
    nothing for so many seconds is cut off."""

    async def stream(request: Request) -> Response:
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        pictures = _wants_pictures(request.query_params.get("pictures"))
        _check_id(after)
        if request.method == "HEAD":
            return _head()
        try:
            subscription = hub.subscribe(after)
        except HubFullError as error:
            raise RefusedError(503, str(error), retry_after_s=10.0) from None
        except HubClosedError as error:
            raise RefusedError(503, str(error), retry_after_s=5.0) from None
        answer: Any = _EventStream(subscription, pictures, heartbeat_s, send_s)
        return answer  # type: ignore[no-any-return]

    async def socket(websocket: WebSocket) -> None:
        await accept(websocket)
        after = websocket.query_params.get("after")
        try:
            _check_id(after)
            pictures = _wants_pictures(websocket.query_params.get("pictures"))
        except RefusedError as error:
            await close(websocket, 1008, str(error))
            return
        try:
            subscription = hub.subscribe(after)
        except HubFullError as error:
            await close(websocket, TRY_LATER, str(error))
            return
        except HubClosedError as error:
            await close(websocket, 1012, str(error))
            return
        with subscription:
            await _tell(websocket, subscription, pictures, heartbeat_s, send_s)

    return [
        route("/v1/events", stream, scope=Scope.READ, max_body_bytes=0),
        socket_route("/v1/events", socket, scope=Scope.READ),
    ]


class _EventStream:
    """The answer of ``GET /v1/events``: an ASGI app, as Starlette takes for a response."""

    background = None

    def __init__(self, subscription: Subscription, pictures: bool, heartbeat_s: float, send_s: float) -> None:
        self._subscription = subscription
        self._pictures = pictures
        self._heartbeat_s = heartbeat_s
        self._send_s = send_s

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        with self._subscription:
            telling = asyncio.ensure_future(self._tell(send))
            gone = asyncio.ensure_future(until_disconnected(receive, "http.disconnect"))
            try:
                await asyncio.wait({telling, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                telling.cancel()
                gone.cancel()
                await asyncio.gather(telling, gone, return_exceptions=True)

    async def _tell(self, send: Send) -> None:
        with contextlib.suppress(asyncio.TimeoutError, OSError):  # the subscriber takes nothing any more
            await self._send(send, {"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await self._write(send, f"retry: {_RETRY_MS}\n\n")
            with contextlib.suppress(HubClosedError):
                while True:
                    message = await self._subscription.get(self._heartbeat_s)
                    await self._write(send, ":\n\n" if message is None else as_event(message, self._pictures))
            await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send, text: str) -> None:
        await self._send(send, {"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        await asyncio.wait_for(send(message), self._send_s)


def as_event(message: Message, pictures: bool) -> str:
    """The message as a server-sent event; its JSON has no line breaks.

    >>> as_event(Message(7, "1f-7", "removed", '{"event":"removed"}', ""), True)
    'id: 1f-7\\nevent: removed\\ndata: {"event":"removed"}\\n\\n'
    """
    place = f"id: {message.id}\n" if message.id else ""
    return f"{place}event: {message.kind}\ndata: {message.shown(pictures)}\n\n"


async def _tell(
    websocket: WebSocket, subscription: Subscription, pictures: bool, heartbeat_s: float, send_s: float
) -> None:
    async def tell() -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            while True:
                message = await subscription.get(heartbeat_s)
                text = _HEARTBEAT if message is None else message.shown(pictures)
                await asyncio.wait_for(websocket.send_text(text), send_s)

    telling = asyncio.ensure_future(tell())
    gone = asyncio.ensure_future(until_disconnected(websocket.receive, "websocket.disconnect"))
    try:
        await asyncio.wait({telling, gone}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done() and isinstance(telling.exception(), HubClosedError):
            await close(websocket, 1012, "the service ends")
    finally:
        telling.cancel()
        gone.cancel()
        await asyncio.gather(telling, gone, return_exceptions=True)


def _check_id(after: str | None) -> None:
    if after and _ID.fullmatch(after) is None:
        raise RefusedError(400, "Last-Event-ID (or after) is the id of an event, as it came with it")


def _wants_pictures(given: str | None) -> bool:
    if given not in (None, "yes", "no"):
        raise RefusedError(400, "pictures is yes or no")
    return given != "no"


def _head() -> Response:
    from starlette.responses import Response

    return Response(headers={name.decode(): value.decode() for name, value in _HEADERS})
