"""The types of ASGI, which is how a server and an app talk: a dictionary for a request, and two functions for its messages."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Request = MutableMapping[str, Any]  # ASGI calls it scope
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Request, Receive, Send], Awaitable[None]]

REQUEST = "edgevision.request"  # where a request holds its id


def request_id(request: Request) -> str:
    """The id of a request, for its answer and the log: what ``watching.Watch`` gave it, else a new one."""
    return str(request.setdefault(REQUEST, secrets.token_hex(8)))


def header_values(request: Request, name: bytes) -> list[str]:
    """The values of all headers of that name (in small letters), in their order."""
    return [value.decode("latin-1") for key, value in request["headers"] if key.lower() == name]
