"""What the WebSockets of the service share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

PROTOCOL = "edgevision"  # beside it, a browser sends its token as a subprotocol, which is never sent back
SEND_S = 20.0  # who takes nothing for so long is cut off
TRY_LATER = 1013  # of RFC 6455's registry: "Try Again Later"
_MOST_REASON_BYTES = 123  # that a close frame holds


async def accept(websocket: WebSocket) -> None:
    """Accept it, with our subprotocol where the client offers it."""
    offered = websocket.scope.get("subprotocols", ())
    await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close it, if it is not closed already."""
    short = reason.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")
    with contextlib.suppress(RuntimeError, OSError, asyncio.TimeoutError):
        await asyncio.wait_for(websocket.close(code, short), SEND_S)


async def until_disconnected(receive: Callable[[], Awaitable[MutableMapping[str, Any]]], kind: str) -> None:
    """Wait until the client is gone; whatever it sends until then is passed over."""
    while (await receive())["type"] != kind:
        pass
