"""No more of a request's body is taken than is allowed, whether its length was announced or not; and none that is compressed."""

from __future__ import annotations

from edgevision.kiosk.service.access.asgi import App, Message, Receive, Request, Send, header_values
from edgevision.kiosk.service.access.refusals import Refusal, send_refusal

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


class _TooLongError(Exception):
    """Raised inside the app, where it waits for the body."""


def announced_length(request: Request) -> int | None:
    """What Content-Length says; None where there is none, or no number (a server refuses that before)."""
    values = header_values(request, b"content-length")
    return int(values[0]) if len(values) == 1 and values[0].isascii() and values[0].isdigit() else None


def too_long(limit: int) -> Refusal:
    """What a longer body than ``limit`` bytes is answered with."""
    return Refusal(413, f"the body is longer than the {limit} bytes allowed here; send less")


def compressed(request: Request) -> Refusal | None:
    """What a request with a compressed body is answered with: what comes out of it has no limit. None for other requests."""
    if request["method"] in _WITHOUT_BODY:
        return None
    named = (one.strip().lower() for value in header_values(request, b"content-encoding") for one in value.split(","))
    found = next((one for one in named if one not in ("", "identity")), None)
    if found is None:
        return None
    return Refusal(415, f"expected a body without Content-Encoding, got {found[:80]!r}; send it as it is")


async def with_bounded_body(app: App, limit: int, request: Request, receive: Receive, send: Send) -> None:
    """Run ``app`` on a request whose body has at most ``limit`` bytes.

    A longer one is answered with 413: before anything of it is read where its length was announced, else where the limit is passed.
    """
    length = announced_length(request)
    if length is not None and length > limit:
        await send_refusal(too_long(limit), request, send)
        return
    taken = 0
    started = False

    async def bounded_receive() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _TooLongError
        return message

    async def watched_send(message: Message) -> None:
        nonlocal started
        if taken <= limit:  # an app that caught our error may have its own answer: ours counts
            started = started or message["type"] == "http.response.start"
            await send(message)

    try:
        await app(request, bounded_receive, watched_send)
    except _TooLongError:
        if started:
            raise
    if taken > limit and not started:
        await send_refusal(too_long(limit), request, send)
