"""Items that wait for a sink: in the order they came, and each kind with room of its own."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

from edgevision.streams.results import StreamResult
from edgevision.streams.sinks.base import KINDS, Item, Kind, kind_of

STATES = 1000  # changes of state that wait at most
EVENTS = 100_000  # inventory events; some 50 MB, days of a busy shop


class Lanes:
    """A queue with a bound for each kind of item: however many results come, they push out no event. Not thread-safe.

    ``results``: how many results wait at most, of which the newest ``pictures`` keep theirs (None: all): pictures are large. Where a
    kind has no room, its own oldest item is dropped.

    >>> lanes = Lanes(results=1)
    >>> lanes.put(result), lanes.put(event), lanes.put(newer)  # doctest: +SKIP
    (None, None, 'result')
    >>> lanes.take() is event, lanes.take() is newer  # doctest: +SKIP
    (True, True)
    """

    def __init__(self, results: int, pictures: int | None = None) -> None:
        self._pictures = results if pictures is None else pictures
        self._room: dict[Kind, int] = {**dict.fromkeys(KINDS, STATES), "result": results, "event": EVENTS}
        self._lanes: dict[Kind, deque[tuple[int, Item]]] = {kind: deque() for kind in KINDS}
        self._next = 0  # counts up in the order in which items come

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def put(self, item: Item) -> Kind | None:
        """Add an item. The kind of the one that was dropped for it, if any."""
        kind = kind_of(item)
        lane = self._lanes[kind]
        full = len(lane) == self._room[kind]
        if full:
            lane.popleft()
        lane.append((self._next, item))
        self._next += 1
        if len(lane) > self._pictures:
            number, older = lane[-1 - self._pictures]
            if isinstance(older, StreamResult) and older.frame is not None:
                lane[-1 - self._pictures] = (number, replace(older, frame=None))
        return kind if full else None

    def take(self) -> Item:
        """The oldest item of all. Raises IndexError where there is none."""
        waiting = [lane for lane in self._lanes.values() if lane]
        if not waiting:
            raise IndexError("nothing waits")
        return min(waiting, key=lambda lane: lane[0][0]).popleft()[1]

    def clear(self) -> Counter[str]:
        """Drop everything. How many there were of each kind."""
        counts: Counter[str] = Counter({kind: len(lane) for kind, lane in self._lanes.items() if lane})
        for lane in self._lanes.values():
            lane.clear()
        return counts
