"""Density searches under way: which number of cameras is tried next, and where a search begins."""

from __future__ import annotations

import math

from edgevision.bench.session.cells import Cell
from edgevision.bench.session.density import Found, search, verdict

MOST_START = 32  # cameras that a search begins with


def first_cameras(request_s: float, fps: float) -> int:
    """Half of what a target's latency lets hope for, as a power of two: the search need not begin at one camera. ``request_s``: 0 where
    it is not known.

    >>> first_cameras(0.002, 15), first_cameras(0.5, 15), first_cameras(0.0, 15)
    (16, 1, 32)
    """
    hoped = 0.5 / max(request_s * fps, 1e-9)
    return min(MOST_START, 1 << max(0, min(12, int(math.log2(max(1.0, hoped))))))


class Search:
    """A search under way: ``cameras`` to be tried next; ``found``: None until it ended."""

    def __init__(self, cell: Cell, start: int, most: int) -> None:
        self.cell = cell
        self.found: Found | None = None
        self._asking = search(start, most)
        self.cameras = next(self._asking)
        self.advance()  # what a record tells already need not be asked again

    def advance(self) -> None:
        """On to the next number that the probes so far say nothing of."""
        while (held := verdict(self.cell.scenario, self.cell.blocks, self.cameras)) is not None:
            try:
                self.cameras = self._asking.send(held)
            except StopIteration as end:
                self.found = end.value
                return
