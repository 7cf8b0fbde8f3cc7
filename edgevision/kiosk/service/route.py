"""What the routes of the service are made with: each says who may call it, and how large a body may be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from edgevision.kiosk.service.access.asgi import App, Receive, Request, Send
from edgevision.kiosk.service.access.body_limit import compressed, with_bounded_body
from edgevision.kiosk.service.access.refusals import Refusal, send_refusal

if TYPE_CHECKING:
    from starlette import requests
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route, WebSocketRoute
    from starlette.websockets import WebSocket

MAX_JSON_BYTES = 1 << 20
GATE = "edgevision.gate"  # where a guarded app's requests hold the function that a route asks


class Scope(Enum):
    """What a token allows. ``OPEN``: needs none. ``ADMIN`` includes the others."""

    OPEN = "open"
    INFER = "infer"
    READ = "read"
    ADMIN = "admin"


Gate = Callable[[Scope], Refusal | None]  # None: come in


class Entrance:
    """A route's app behind its door: first who may call it, then how long the body is, and that it is not compressed, then the route.

    Without ``guarded`` around the app there is no gate, and everybody may call everything: so it is in tests, and in an app of
    your own that keeps its own door.
    """

    def __init__(self, app: App, scope: Scope, max_body_bytes: int) -> None:
        self._app = app
        self.scope = scope
        self.max_body_bytes = max_body_bytes

    async def __call__(self, request: Request, receive: Receive, send: Send) -> None:
        """One request."""
        gate: Gate | None = request.get(GATE)
        refusal = gate(self.scope) if gate is not None else None
        if refusal is None and request["type"] == "http":
            refusal = compressed(request)
        if refusal is not None:
            await send_refusal(refusal, request, send)
        elif request["type"] == "http":
            await with_bounded_body(self._app, self.max_body_bytes, request, receive, send)
        else:
            await self._app(request, receive, send)


def route(
    path: str, endpoint: Callable[[requests.Request], Awaitable[Response]], *, scope: Scope, methods: Sequence[str] = ("GET",),
    max_body_bytes: int = MAX_JSON_BYTES,
) -> Route:  # fmt: skip
    """A route for callers with ``scope``. A longer body is answered with 413, before it is read where its length is announced."""
    from starlette.middleware import Middleware
    from starlette.routing import Route

    door = Middleware(Entrance, scope=scope, max_body_bytes=max_body_bytes)
    return Route(path, endpoint, methods=list(methods), middleware=[door])


def socket_route(path: str, endpoint: Callable[[WebSocket], Awaitable[None]], *, scope: Scope) -> WebSocketRoute:
    """A WebSocket for callers with ``scope``."""
    from starlette.middleware import Middleware
    from starlette.routing import WebSocketRoute

    return WebSocketRoute(path, endpoint, middleware=[Middleware(Entrance, scope=scope, max_body_bytes=0)])


def entrance_of(one: BaseRoute) -> Entrance | None:
    """The door of a route, with its scope and body limit; None where it was not made with ``route`` or ``socket_route``."""
    app = getattr(one, "app", None)
    return app if isinstance(app, Entrance) else None
