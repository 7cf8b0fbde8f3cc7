"""Inventory events: a product came or went, and a ledger that counts each event once."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, NamedTuple

from edgevision.errors import InputError

_NAMESPACE = uuid.UUID("4c8e8f6e-6e0b-5a0e-9d0c-7f6d1f0a2b51")  # of the ids of our events; any fixed value does


class Cause(Enum):
    """Why a product counts. ``CROSSED``: it was seen on both sides of the border. ``APPEARED``: it was inside when it was first seen.
    ``LOST``: it was inside when it was last seen, and the tracker gave it up. ``RENAMED``: it was counted under another name, which later views
    of it proved wrong: one such event takes that off, another puts the right one on."""

    CROSSED = "crossed"
    APPEARED = "appeared"
    LOST = "lost"
    RENAMED = "renamed"


@dataclass(frozen=True)
class InventoryEvent:
    """One product more or less at a place.

    ``event_id`` is the same when the same frames are processed again, see ``event_id_of``. ``time_s``: camera time in seconds.
    ``place``: the zone's or line's name; ``product``: the name of its class. ``delta``: +1 or −1; for a line, the direction.
    ``track_id``: the tracker's number for the product, good for as long as the tracker lives.
    """

    event_id: str
    time_s: float
    camera: str
    place: str
    product: str
    delta: int
    track_id: int
    cause: Cause

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "cause": self.cause.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InventoryEvent:
        """What ``to_dict`` made. Raises InputError that names the field which is missing or wrong."""
        _check_fields("an event", values, _EVENT_FIELDS)
        if values["delta"] not in (1, -1) or not math.isfinite(values["time_s"]):
            raise InputError(
                f"an event has a delta of 1 or -1 and a finite time_s, got {values['delta']} and {values['time_s']}"
            )
        try:
            cause = Cause(values["cause"])
        except ValueError:
            raise InputError(
                f"an event's cause is one of {[one.value for one in Cause]}, got {values['cause']!r}"
            ) from None
        fields = {name: values[name] for name in _EVENT_FIELDS}
        return cls(**{**fields, "time_s": float(values["time_s"]), "cause": cause})


_EVENT_FIELDS: dict[str, tuple[type, ...]] = {
    "event_id": (str,), "time_s": (int, float), "camera": (str,), "place": (str,), "product": (str,), "delta": (int,),
    "track_id": (int,), "cause": (str,),
}  # fmt: skip


def event_id_of(camera: str, place: str, delta: int, time_s: float, point: tuple[float, float]) -> str:
    """The id of an event: a UUID (version 5, RFC 9562) of what the camera saw.

    It is made of the camera, the place, the direction, the frame's time and the pixel where the product was. The track's
    number is no part of it: after a restart, tracks are numbered anew, and the frame that shows the crossing is the same.

    >>> event_id_of("dock", "door", 1, 12.04, (321.7, 98.2))
    'a63ba1a1-e5a5-5fd8-b40e-339e74c2fc09'
    """
    seen = (camera, place, delta, round(time_s * 1e6), math.floor(point[0]), math.floor(point[1]))
    return str(uuid.uuid5(_NAMESPACE, repr(seen)))


class Count(NamedTuple):
    """``plus`` and ``minus``: events of each direction."""

    plus: int = 0
    minus: int = 0

    @property
    def net(self) -> int:
        """What there is more than at the beginning."""
        return self.plus - self.minus


class Key(NamedTuple):
    """What is counted apart."""

    camera: str
    place: str
    product: str


class Ledger:
    """Counts events by camera, place and product; each event once, however often it comes.

    Ids are remembered for ``remember_s`` seconds of camera time, of each camera: frames may be processed again that far back.

    >>> ledger = Ledger()
    >>> event = InventoryEvent("1", 12.0, "dock", "door", "cola", +1, track_id=3, cause=Cause.CROSSED)
    >>> ledger.apply(event), ledger.apply(event)
    (True, False)
    >>> ledger.counts
    {Key(camera='dock', place='door', product='cola'): Count(plus=1, minus=0)}
    """

    def __init__(self, *, remember_s: float = 86_400.0) -> None:
        if not (math.isfinite(remember_s) and remember_s > 0):
            raise InputError(f"remember_s is a finite number of seconds over 0, got {remember_s}")
        self.remember_s = remember_s
        self._counts: dict[Key, Count] = {}
        self._seen: dict[str, dict[str, float]] = {}  # camera → event id → time, in the order they came
        self._newest: dict[str, float] = {}

    @property
    def counts(self) -> dict[Key, Count]:
        """A copy of all counts so far."""
        return dict(self._counts)

    def total(self, camera: str, place: str) -> Count:
        """All products together."""
        found = [count for key, count in self._counts.items() if key[:2] == (camera, place)]
        return Count(sum(one.plus for one in found), sum(one.minus for one in found))

    def apply(self, event: InventoryEvent) -> bool:
        """Count the event; False where it was counted before.

        Raises InputError for one that is older than the ledger remembers: nobody could tell whether it was counted.
        """
        seen = self._seen.setdefault(event.camera, {})
        if event.event_id in seen:
            return False
        newest = max(event.time_s, self._newest.get(event.camera, event.time_s))
        if event.time_s < newest - self.remember_s:
            raise InputError(
                f"event {event.event_id} is {newest - event.time_s:.0f} s older than the newest of camera {event.camera!r}, and the "
                f"ledger remembers {self.remember_s:.0f} s: it may have been counted. Make the ledger with a greater remember_s"
            )
        self._newest[event.camera] = newest
        seen[event.event_id] = event.time_s
        self._forget(seen, newest - self.remember_s)
        key = Key(event.camera, event.place, event.product)
        count = self._counts.get(key, Count())
        if event.delta > 0:
            self._counts[key] = Count(count.plus + 1, count.minus)
        else:
            self._counts[key] = Count(count.plus, count.minus + 1)
        return True

    def apply_all(self, events: Iterable[InventoryEvent]) -> int:
        """Count several; how many were new."""
        return sum(self.apply(event) for event in events)

    @staticmethod
    def _forget(seen: dict[str, float], before_s: float) -> None:
        """Drop ids from the front, oldest arrivals first, up to the first that is young enough."""
        old = []
        for event_id, time_s in seen.items():
            if time_s >= before_s:
                break
            old.append(event_id)
        for event_id in old:
            del seen[event_id]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: all that a ledger is, to go on after a restart."""
        return {
            "remember_s": self.remember_s,
            "counts": [{**key._asdict(), **count._asdict()} for key, count in self._counts.items()],
            "seen": {camera: dict(ids) for camera, ids in self._seen.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Ledger:
        """What ``to_dict`` made. Raises InputError that names the field which is missing or wrong."""
        _check_fields("a ledger", values, {"remember_s": (int, float), "counts": (list,), "seen": (dict,)})
        ledger = cls(remember_s=float(values["remember_s"]))
        for row in values["counts"]:
            _check_fields("a ledger's count", row, _COUNT_FIELDS)
            ledger._counts[Key(row["camera"], row["place"], row["product"])] = Count(row["plus"], row["minus"])
        for camera, ids in values["seen"].items():
            _check_fields(f"what a ledger saw of camera {camera!r}", ids, dict.fromkeys(ids, (int, float)))
            ledger._seen[camera] = {event_id: float(time_s) for event_id, time_s in ids.items()}
            ledger._newest[camera] = max(ledger._seen[camera].values())
        return ledger


_COUNT_FIELDS: dict[str, tuple[type, ...]] = {
    "camera": (str,), "place": (str,), "product": (str,), "plus": (int,), "minus": (int,),
}  # fmt: skip


def _check_fields(what: str, values: Any, fields: Mapping[str, tuple[type, ...]]) -> None:
    if not isinstance(values, Mapping):
        raise InputError(f"{what} is an object with the fields {list(fields)}, got {type(values).__name__}")
    for name, types in fields.items():
        value = values.get(name)
        if not isinstance(value, types) or isinstance(value, bool):
            expected = " or ".join(one.__name__ for one in types)
            raise InputError(f"{what} needs {name!r} as {expected}, got {value!r}")
