"""Bodies of requests: read whole, up to a limit of all that are under way. How long one may be, its route says (see ``route``)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgevision.kiosk.service.answers import RefusedError

if TYPE_CHECKING:
    from starlette.requests import Request

_RETRY_S = 1.0
HUNG_UP = 499  # nobody sees it but logs; the number is nginx's


class Budget:
    """Bytes that all requests together may hold. Thread-safe.

    >>> budget = Budget(100)
    >>> with budget.share() as share:
    ...     share.take(60)
    >>> budget.taken
    0
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """What one request takes; all of it comes back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            with self._lock:
                self.taken -= share.bytes

    def take(self, share: Share, count: int) -> None:
        """Raises RefusedError where there is no room."""
        with self._lock:
            if self.taken + count > self.most:
                raise RefusedError(
                    503, "the service holds as many bytes as it may; try again", retry_after_s=_RETRY_S, close=True
                )
            self.taken += count
            share.bytes += count


class Share:
    """The part of a budget that one request has."""

    def __init__(self, budget: Budget) -> None:
        self.bytes = 0
        self._budget = budget

    def take(self, count: int) -> None:
        """Take some more. Raises RefusedError where there is no room."""
        self._budget.take(self, count)


async def read_body(request: Request, share: Share) -> bytes:
    """The body. Raises RefusedError, 503, over the budget. One that is compressed, or longer than its route takes, does not come so far:
    see ``route.Entrance``."""
    parts: list[bytes] = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(HUNG_UP, "the client hung up")
        part = message.get("body", b"")
        if part:
            share.take(len(part))
            parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
