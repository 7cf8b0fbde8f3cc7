"""How many connections are open, altogether and from each address."""

from __future__ import annotations

from collections import Counter

from edgevision.kiosk.service.access.addresses import ip_of
from edgevision.kiosk.service.access.settings import Limits


class Connections:
    """Counts them. For one event loop: nothing here is locked."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self.total = 0

    def open(self, address: str) -> Lease | None:
        """A place for one more connection, to be released when it ends; None where there is none left.

        Programs of this machine, and a proxy on it, share one address: they may have all places.
        """
        ip = ip_of(address)
        each = self._limits.connections if ip is not None and ip.is_loopback else self._limits.connections_each
        if self.total >= self._limits.connections or self._by_address[address] >= each:
            self._forget(address)
            return None
        self.total += 1
        self._by_address[address] += 1
        return Lease(self, address)

    def end(self, address: str) -> None:
        """One of them has ended."""
        self.total -= 1
        self._by_address[address] -= 1
        self._forget(address)

    def _forget(self, address: str) -> None:
        if self._by_address[address] <= 0:
            del self._by_address[address]


class Lease:
    """One connection's place."""

    def __init__(self, connections: Connections, address: str) -> None:
        self._connections = connections
        self._address = address
        self._released = False

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if not self._released:
            self._released = True
            self._connections.end(self._address)
