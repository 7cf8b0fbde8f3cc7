"""Tracks of one camera → events: who crossed which line, who came into and left which zone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgevision.errors import InputError
from edgevision.tracking.events import Cause, InventoryEvent, event_id_of
from edgevision.tracking.places import Line, Point, Zone
from edgevision.tracking.tracks import Tracks

_Step = tuple[tuple[float, ...], float, Sequence[Line | Zone]]  # a box, when, and the places that look at it


@dataclass
class _Stay:
    """Where one track is to one place. ``side``: 1 right of the line or inside the zone, −1 on the other side, None until it was seen
    beyond the margin. ``since_s``: when it was first seen beyond the margin on the other side, without coming back."""

    side: int | None = None
    since_s: float | None = None
    product: str | None = None  # that a zone took in: the same leaves it, whatever the detector says by then
    point: Point | None = None  # for a line: the last one that was not on it,
    through: bool = False  # and whether the way led through the line when it last changed sides

    def settles(self, side: int | None, time_s: float, settle_s: float) -> bool:
        """Whether the track has come over to another side, for good. ``side``: where it is beyond the margin, None within it."""
        if side is None or side == self.side:
            self.since_s = None
            return False
        self.since_s = time_s if self.since_s is None else self.since_s
        if time_s - self.since_s < settle_s:
            return False
        self.side, self.since_s = side, None
        return True


@dataclass
class _Memory:
    """One track: where it is to each place, where it was seen last, whether under the id that it has now, and when it ended."""

    stays: dict[str, _Stay] = field(default_factory=dict)
    box: tuple[float, ...] = ()
    met: bool = False
    ended_s: float = math.inf


class Counter:
    """Counts the confirmed tracks of one camera at lines and in zones, by events. Make one for each camera.

    ``places``: lines and zones with different names, in pixels of that camera's frames. ``products``: the name of each class.
    ``remember_s``: for how long a track that ended can still be told to have come back, see ``identify``.

    A line gives an event when a track is seen on both sides, and the way leads through it. A zone's events add up to what is inside:
    +1 when a track comes in or is first seen inside, −1 when it leaves or ends inside. A track's way begins where it was first
    seen, before it was confirmed; for lines, where it came from in a time without frames (``Tracks.came_from``).

    >>> from edgevision.tracking import Tracker
    >>> tracker = Tracker()
    >>> counter = Counter([Line("door", (100, 100), (100, 0))], camera="dock", products=["cola"])
    >>> for frame in range(10):  # ten frames a second, from the left to the right
    ...     box = [30 + 10 * frame, 20, 70 + 10 * frame, 80]
    ...     for event in counter.update(tracker.update_arrays([box], [0.9], [0], time_s=frame / 10)):
    ...         print(event.time_s, event.place, event.product, event.delta, event.cause.value)
    0.6 door cola 1 crossed
    """

    def __init__(
        self, places: Sequence[Line | Zone], *, camera: str, products: Sequence[str], remember_s: float = 60.0
    ) -> None:
        names = [place.name for place in places]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InputError(
                f"each line and zone of a camera has a name of its own, got {sorted(twice)} more than once"
            )
        self.places = tuple(places)
        self.camera = camera
        self.products = tuple(products)
        self.remember_s = remember_s
        self._memories: dict[int, _Memory] = {}

    def update(self, tracks: Tracks) -> list[InventoryEvent]:
        """The events of one frame. Raises InputError for tracks of another camera, and for classes without a name."""
        if tracks.camera is not None and tracks.camera != self.camera:
            raise InputError(
                f"this counter is for camera {self.camera!r}, got tracks of {tracks.camera!r}; make one for each"
            )
        confirmed = [
            (row, identity, self._product(int(tracks.classes[row])))
            for row, identity in enumerate(tracks.ids)
            if identity is not None
        ]
        events = []
        for row, identity, product in confirmed:
            memory = self._memories.setdefault(identity, _Memory())
            now = (tuple(tracks.boxes[row].tolist()), tracks.time_s, self.places)
            steps = [now] if memory.met else [*self._beginning(tracks, row), now]
            memory.met = True
            for box, time_s, places in steps:
                memory.box = box
                for place in places:
                    event = self._look(memory, place, identity, product, time_s)
                    if event is not None:
                        events.append(event)
        for identity in tracks.ended:
            events += self._end(identity, tracks.time_s)
        self._memories = {
            identity: one for identity, one in self._memories.items() if tracks.time_s - one.ended_s <= self.remember_s
        }
        return events

    def _beginning(self, tracks: Tracks, row: int) -> list[_Step]:
        """Where a track was before it had an id: where it came from, which is a guess and for lines alone, and where it was first seen."""
        first_s = tracks.time_s - float(tracks.ages_s[row])
        first: _Step = (tuple(tracks.first_boxes[row].tolist()), first_s, self.places)
        if tracks.came_from is None or np.array_equal(tracks.came_from[row], tracks.first_boxes[row]):
            return [first]
        lines = tuple(one for one in self.places if isinstance(one, Line))
        return [(tuple(tracks.came_from[row].tolist()), first_s, lines), first]

    def identify(self, track_id: int, earlier_id: int) -> None:
        """Tell that a new track is a product that was followed before, under an id that ended: by its looks, or its barcode.

        It goes on where the earlier one was: what counted does not count again. To be called before ``update`` is given the first
        tracks with the new id. Raises InputError where that is too late, and for an earlier id that is still followed or was forgotten.
        """
        if track_id in self._memories:
            raise InputError(f"track {track_id} was counted already; call identify before update sees its id")
        if earlier_id not in self._memories or self._memories[earlier_id].ended_s == math.inf:
            ended = sorted(key for key, one in self._memories.items() if one.ended_s < math.inf)
            raise InputError(
                f"expected the id of a track that ended in the last {self.remember_s:g} s, got {earlier_id}; these did: {ended}"
            )
        memory = self._memories.pop(earlier_id)
        memory.met, memory.ended_s = False, math.inf
        self._memories[track_id] = memory

    def _look(
        self, memory: _Memory, place: Line | Zone, identity: int, product: str, time_s: float
    ) -> InventoryEvent | None:
        stay = memory.stays.setdefault(place.name, _Stay())
        point = place.anchor.of(memory.box)
        if isinstance(place, Line):
            return self._at_line(stay, place, point, identity, product, time_s)
        return self._at_zone(stay, place, point, identity, product, time_s)

    def _at_line(
        self, stay: _Stay, line: Line, point: Point, identity: int, product: str, time_s: float
    ) -> InventoryEvent | None:
        offset = line.offset(point)
        if stay.point is not None and offset * line.offset(stay.point) < 0:
            stay.through = line.passed_within(stay.point, point)
        if offset != 0:
            stay.point = point
        side = _beyond(offset, line.margin_px)
        if stay.side is None:
            stay.side = side
            return None
        if not stay.settles(side, time_s, line.settle_s) or side is None or not stay.through:
            return None
        return self._event(line, point, identity, product, side, Cause.CROSSED, time_s)

    def _at_zone(
        self, stay: _Stay, zone: Zone, point: Point, identity: int, product: str, time_s: float
    ) -> InventoryEvent | None:
        side = _beyond(zone.depth(point), zone.margin_px)
        if stay.side is None and side == -1:
            stay.side, stay.since_s = side, None
            return None
        first = stay.side is None
        if not stay.settles(side, time_s, zone.settle_s):
            return None
        if side == 1:
            stay.product = product
            cause = Cause.APPEARED if first else Cause.CROSSED
            return self._event(zone, point, identity, product, 1, cause, time_s)
        return self._event(zone, point, identity, stay.product or product, -1, Cause.CROSSED, time_s)

    def _end(self, identity: int, time_s: float) -> list[InventoryEvent]:
        """The track was given up: it leaves every zone that it was in."""
        memory = self._memories.get(identity)
        if memory is None:
            return []
        memory.ended_s = time_s
        events = []
        for zone in (place for place in self.places if isinstance(place, Zone)):
            stay = memory.stays.get(zone.name)
            if stay is not None and stay.side == 1 and stay.product is not None:
                point = zone.anchor.of(memory.box)
                events.append(self._event(zone, point, identity, stay.product, -1, Cause.LOST, time_s))
                memory.stays[zone.name] = _Stay()
        return events

    def _product(self, kind: int) -> str:
        if kind >= len(self.products):
            raise InputError(
                f"a track has class {kind}, and the counter knows {len(self.products)} products; give the names of all the "
                "model's labels, in their order"
            )
        return self.products[kind]

    def _event(
        self, place: Line | Zone, point: Point, identity: int, product: str, delta: int, cause: Cause, time_s: float
    ) -> InventoryEvent:
        return InventoryEvent(
            event_id_of(self.camera, place.name, delta, time_s, point),
            time_s, self.camera, place.name, product, delta, identity, cause,
        )  # fmt: skip


def _beyond(distance: float, margin: float) -> int | None:
    """1 or −1 where the distance is greater than the margin, on that side; None within it."""
    if abs(distance) <= margin:
        return None
    return 1 if distance > 0 else -1
