"""Which web pages may call the service: its own, and those that are listed.

A browser sends a page's requests to any server, with the name of the page's own server in the header Origin. Pages of others are refused
where a request changes something or opens a WebSocket, and cannot read the other answers: those carry no permission to (CORS).
Programs send no Origin, and need none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from edgevision.errors import InputError
from edgevision.kiosk.service.access.asgi import Request, header_values
from edgevision.kiosk.service.access.hosts import HostName
from edgevision.kiosk.service.access.refusals import Refusal

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}
_ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS = "authorization, content-type, edgevision-deadline-ms, idempotency-key, inference-header-content-length, last-event-id, x-request-id"
_SHOWN_HEADERS = "inference-header-content-length, retry-after, x-request-id"
_PREFLIGHT_S = 600

Origin = tuple[str, str, int]  # scheme, host, port


def parse_origin(text: str) -> Origin | None:
    """Scheme, host and port; None for anything but ``http://host[:port]`` and ``https://host[:port]``.

    >>> parse_origin("https://Shop.example")
    ('https', 'shop.example', 443)
    """
    scheme, colon, rest = text.partition("://")
    name = HostName.parse(rest)
    if not colon or name is None or scheme not in _PORTS:
        return None
    return scheme, name.host, _PORTS[scheme] if name.port is None else name.port


def listed_origins(texts: Iterable[str], option: str = "--allow-origin") -> frozenset[Origin]:
    """The origins that an ``option`` lists. Raises InputError for a text that is none."""
    found = set()
    for text in texts:
        origin = parse_origin(text.lower())
        if origin is None:
            shown = urlsplit(text).netloc or text
            raise InputError(
                f"{option} is such as https://shop.example, without path, got {text!r}; try https://{shown}"
            )
        found.add(origin)
    return frozenset(found)


class OriginRules:
    """Decides by the header Origin. ``allowed``: pages of other servers that may call this one."""

    def __init__(self, allowed: Collection[Origin]) -> None:
        self._allowed = frozenset(allowed)

    def check(self, request: Request) -> Refusal | None:
        """None where the request may go on."""
        values = header_values(request, b"origin")
        changes = request["type"] == "websocket" or request["method"] not in _READING
        if not values or (not changes and not self._is_preflight(request)):
            return None
        if len(values) == 1 and self._is_known(parse_origin(values[0]), request):
            return None
        return Refusal(
            403, "a page of another server may not do this; start the service with --allow-origin to let one in"
        )

    def permission(self, request: Request) -> list[tuple[bytes, bytes]]:
        """The headers that let a listed page read the answer; for others none."""
        if not self._allowed:
            return []
        headers = [(b"vary", b"origin")]
        values = header_values(request, b"origin")
        if len(values) == 1 and parse_origin(values[0]) in self._allowed:
            headers.append((b"access-control-allow-origin", values[0].encode("latin-1")))
            headers.append((b"access-control-expose-headers", _SHOWN_HEADERS.encode()))
        return headers

    def preflight(self, request: Request) -> list[tuple[bytes, bytes]] | None:
        """The headers of the answer (204) to a browser that asks beforehand; None for other requests."""
        if not self._is_preflight(request):
            return None
        told = (
            ("access-control-allow-methods", _ALLOWED_METHODS),
            ("access-control-allow-headers", _ALLOWED_HEADERS),
            ("access-control-max-age", str(_PREFLIGHT_S)),
        )
        return [(name.encode(), value.encode()) for name, value in told]

    def _is_known(self, origin: Origin | None, request: Request) -> bool:
        return origin is not None and (origin in self._allowed or origin == _own_origin(request))

    def _is_preflight(self, request: Request) -> bool:
        asks = header_values(request, b"access-control-request-method")
        return request["type"] == "http" and request["method"] == "OPTIONS" and bool(asks)


def _own_origin(request: Request) -> Origin | None:
    scheme = "https" if request.get("scheme") in {"https", "wss"} else "http"
    values = header_values(request, b"host")
    return parse_origin(f"{scheme}://{values[0]}") if len(values) == 1 else None
