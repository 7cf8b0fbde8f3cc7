"""Who is calling: the token of a request, whether it holds, and what it allows."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable

from edgevision.kiosk.service.access.asgi import Request, header_values
from edgevision.kiosk.service.access.failures import Failures
from edgevision.kiosk.service.access.refusals import Refusal
from edgevision.kiosk.service.access.tokens import MAX_TOKEN_CHARACTERS, Token, TokenBook, digest_of
from edgevision.kiosk.service.route import Scope

SUBPROTOCOL = (
    "edgevision.token."  # a browser cannot set a WebSocket's headers: the token is one of the protocols that it offers
)
_CHALLENGE = (("www-authenticate", 'Bearer realm="edgevision"'),)
_MOST_KNOWN = 1024
_log = logging.getLogger("edgevision.kiosk.access")


class UnclearTokenError(Exception):
    """Several tokens, or something that is none."""


def token_of(request: Request) -> str | None:
    """The token that a request brings; None where it brings none. Raises UnclearTokenError."""
    found = []
    for value in header_values(request, b"authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() != "bearer":
            raise UnclearTokenError
        found.append(token.strip())
    if request["type"] == "websocket":
        found += [
            one.removeprefix(SUBPROTOCOL) for one in request.get("subprotocols", []) if one.startswith(SUBPROTOCOL)
        ]
    if not found:
        return None
    if len(set(found)) != 1 or not found[0] or len(found[0]) > MAX_TOKEN_CHARACTERS:
        raise UnclearTokenError
    return found[0]


def without_token(request: Request) -> None:
    """Take the token out of the protocols that a WebSocket offers, so that the app neither chooses nor logs it."""
    if request["type"] == "websocket":
        request["subprotocols"] = [one for one in request.get("subprotocols", []) if not one.startswith(SUBPROTOCOL)]


class Callers:
    """Lets callers in by their tokens. ``now_s``: a clock in seconds that never goes back."""

    def __init__(self, book: TokenBook, failures: Failures, now_s: Callable[[], float]) -> None:
        self._book = book
        self._failures = failures
        self._now_s = now_s
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()  # (address, digest) that were right before

    def still_holds(self, token: Token) -> bool:
        """Whether the token was not revoked meanwhile."""
        return self._book.find(token.digest) is not None

    def enter(self, request: Request, scope: Scope) -> tuple[Token | None, Refusal | None]:
        """The caller's token, or the answer that refuses it.

        While an address waits after wrong tokens, its tokens are not even looked at: but for those that were right from there before, so
        that one device with an old token does not lock out the others behind the same address.
        """
        if scope is Scope.OPEN:
            return None, None
        address = _address(request)
        try:
            text = token_of(request)
        except UnclearTokenError:
            return None, Refusal(
                400, "expected one token, as the header Authorization: Bearer TOKEN", headers=_CHALLENGE
            )
        if text is None:
            return None, Refusal(
                401, "this needs a token, as the header Authorization: Bearer TOKEN", headers=_CHALLENGE
            )
        digest = digest_of(text)
        wait_s = self._failures.wait_s(address, self._now_s())
        if wait_s > 0 and (address, digest) not in self._known:
            seconds = str(math.ceil(wait_s))
            return None, Refusal(
                429,
                f"too many wrong tokens came from your address; wait {seconds} s",
                headers=(("retry-after", seconds),),
            )
        token = self._book.find(digest)
        if token is None:
            count = self._failures.add(address, self._now_s())
            _log.warning("a wrong token from %s, number %d", address, count)
            return None, Refusal(401, "the token is not known, or was revoked", headers=_CHALLENGE)
        self._remember(address, digest)
        if not token.allows(scope):
            return None, Refusal(403, f"the token of {token.name} may not do this; it needs the scope {scope.value}")
        return token, None

    def _remember(self, address: str, digest: str) -> None:
        self._known[address, digest] = None
        self._known.move_to_end((address, digest))
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def _address(request: Request) -> str:
    client = request.get("client")
    return "unknown" if client is None else str(client[0])
