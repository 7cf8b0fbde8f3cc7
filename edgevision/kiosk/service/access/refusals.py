"""What is answered before a route, or in its place: a status and one sentence, as ``{"error": "…"}``."""

from __future__ import annotations

import json
from dataclasses import dataclass

from edgevision.kiosk.service.access.asgi import Request, Send

WEBSOCKET_DENIED = "websocket.http.response"  # the extension of ASGI for answering a WebSocket's request with a status


@dataclass(frozen=True)
class Refusal:
    """``status``: of HTTP, 400 or above. ``more``: further values beside ``error``. ``headers``: further headers."""

    status: int
    error: str
    more: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The JSON text, ASCII alone."""
        return json.dumps({"error": self.error, **dict(self.more)}).encode()

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """As ASGI has them, those of the body included. The connection ends: what is left of the request is not read."""
        pairs = (
            ("content-type", "application/json"), ("content-length", str(len(self.body))), ("connection", "close"), *self.headers,
        )  # fmt: skip
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


async def send_refusal(refusal: Refusal, request: Request, send: Send) -> None:
    """Answer a request of HTTP, or refuse a WebSocket that is not open yet."""
    prefix = "http.response"
    if request["type"] == "websocket":
        if WEBSOCKET_DENIED not in request.get("extensions", {}):
            await send(
                {"type": "websocket.close", "code": 1008, "reason": refusal.error[:120]}
            )  # the server answers 403
            return
        prefix = WEBSOCKET_DENIED
    await send({"type": f"{prefix}.start", "status": refusal.status, "headers": refusal.all_headers()})
    await send({"type": f"{prefix}.body", "body": refusal.body})
