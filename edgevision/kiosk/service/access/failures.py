"""Wrong tokens cost time: each address waits longer after each."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from edgevision.kiosk.service.access.addresses import ip_of
from edgevision.kiosk.service.access.settings import FailureOptions

_MOST_DOUBLINGS = 30


@dataclass
class _Record:
    count: int
    last_s: float
    blocked_until_s: float


class Failures:
    """Counts wrong tokens by address. Times are of one clock that never goes back, in seconds.

    Memory is bounded: the addresses that failed last are kept. IPv6 addresses count by their /64, which one machine has whole.
    """

    def __init__(self, options: FailureOptions) -> None:
        self._options = options
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def wait_s(self, address: str, now_s: float) -> float:
        """How long the address has still to wait; 0: it need not."""
        record = self._records.get(_place(address))
        return 0.0 if record is None else max(0.0, record.blocked_until_s - now_s)

    def add(self, address: str, now_s: float) -> int:
        """Count one more; returns how many there are."""
        options = self._options
        place = _place(address)
        record = self._records.pop(place, None)
        if record is None or now_s - record.last_s > options.forget_s:
            record = _Record(0, now_s, now_s)
        record.count += 1
        record.last_s = now_s
        beyond = record.count - options.free
        if beyond > 0:
            wait_s = min(options.longest_s, options.first_s * 2.0 ** min(beyond - 1, _MOST_DOUBLINGS))
            record.blocked_until_s = now_s + wait_s
        self._records[place] = record
        while len(self._records) > options.addresses:
            self._records.popitem(last=False)
        return record.count


def _place(address: str) -> str:
    """What one machine cannot change about its address."""
    ip = ip_of(address.partition("%")[0])
    if ip is None or ip.version == 4:
        return address if ip is None else str(ip)
    return ip.exploded[:19]  # four groups of four: 64 bits
