"""What the routes of the service are made with: each says who may call it, and how large a body may be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

MAX_JSON_BYTES = 1 << 20


class Scope(Enum):
    """What a token allows. ``OPEN``: needs none. ``ADMIN`` includes the others."""

    OPEN = "open"
    INFER = "infer"
    READ = "read"
    ADMIN = "admin"


def route(
    path: str, endpoint: Callable[[Request], Awaitable[Response]], *, scope: Scope, methods: Sequence[str] = ("GET",),
    max_body_bytes: int = MAX_JSON_BYTES,
) -> Route:  # fmt: skip
    """A route for callers with ``scope``. A longer body is answered with 413, before it is read where its length is announced."""
    from starlette.routing import Route

    return Route(path, endpoint, methods=list(methods))


def socket_route(path: str, endpoint: Callable[[WebSocket], Awaitable[None]], *, scope: Scope) -> WebSocketRoute:
    """A WebSocket for callers with ``scope``."""
    from starlette.routing import WebSocketRoute

    return WebSocketRoute(path, endpoint)
