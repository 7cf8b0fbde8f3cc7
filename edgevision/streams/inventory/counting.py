"""Results of a stream → inventory events: a tracker and a counter for each camera that has lines or zones."""

from __future__ import annotations

import time
import uuid
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.errors import InputError
from edgevision.streams.inventory.stock import StockRow
from edgevision.streams.results import StreamResult
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tracking.counter import Counter
from edgevision.tracking.events import Cause, InventoryEvent
from edgevision.tracking.places import Line, Zone
from edgevision.tracking.tracker import Tracker, TrackerOptions
from edgevision.tracking.tracks import Tracks

Places = Sequence[Line | Zone]

UNKNOWN = "unknown"  # the product of a box that the second model does not know
# Of such a view in the vote of its track, against 1 of a view that is known. The threshold of the second model refuses many views of products
# that it knows (turned, blurred, half covered), and lets few of others pass. So a name wins that was seen in one view of ten; less may be
# those few, and the track stays unknown. A track that was never known has no other vote.
UNKNOWN_WEIGHT = 0.1
_STEP_S = 0.001  # between two frames whose times are equal, or go back a little
_BACK_S = 1.0  # a clock that goes back further was set: what was followed before is over
_NAMESPACE = uuid.UUID("1b1f9a8e-7c64-5a0e-8a5e-2f6f0f8a9d34")  # of the ids of closing events; any fixed value does


@dataclass
class _Camera:
    """What follows one camera. ``time_s``: of its last frame; ``inside``: (place, product, track) → how often it is in there."""

    tracker: Tracker
    counter: Counter
    time_s: float | None = None
    inside: Tally[tuple[str, str, int]] = field(default_factory=Tally)


class InventoryCounter:
    """Follows the products of each camera through its results, and gives an event for each that crosses a line, or comes into or
    leaves a zone.

    ``places``: camera → its lines and zones, in pixels of its frames; results of other cameras give nothing. ``options``: the
    trackers'. ``now_s``: the wall clock, for cameras that tell no time of their own. One thread at a time uses it.
    """

    def __init__(
        self,
        places: Mapping[str, Places],
        options: TrackerOptions | None = None,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._places = {camera: tuple(some) for camera, some in places.items() if some}
        self._options = options
        self._now_s = now_s
        self._cameras: dict[str, _Camera] = {}
        self._names: list[str] = []  # of products, in the order they were first seen: the classes that trackers get
        for camera, some in self._places.items():
            Counter(some, camera=camera, products=())  # raises InputError for two places with one name

    @property
    def places(self) -> Mapping[str, Places]:
        """Camera → its lines and zones."""
        return dict(self._places)

    def update(self, result: StreamResult) -> list[InventoryEvent]:
        """The events of one result. Those of a camera come in their order. Raises InputError for results without boxes."""
        if result.camera not in self._places:
            return []
        boxes, scores, names = _columns(result.result)
        classes = [self._class_of(UNKNOWN if name is None else name) for name in names]
        time_s = self._now_s() - result.age_s if result.captured_ns is None else result.captured_ns / 1e9
        events = []
        camera = self._cameras.get(result.camera)
        if camera is not None and camera.time_s is not None and time_s < camera.time_s - _BACK_S:
            events += self.end(result.camera)
            camera = None
        if camera is None:
            camera = self._cameras[result.camera] = self._begin(result.camera)
        elif camera.time_s is not None:
            time_s = max(time_s, camera.time_s + _STEP_S)
        camera.time_s = time_s
        camera.counter.products = tuple(self._names)
        weights = [UNKNOWN_WEIGHT if name is None else 1.0 for name in names]
        tracks = camera.tracker.update_arrays(boxes, scores, classes, time_s=time_s, weights=weights)
        events += self._told(camera, tracks)
        return events

    def end(self, name: str) -> list[InventoryEvent]:
        """Stop following a camera: what is inside its zones leaves them, for nobody sees it any more. Allowed for any name."""
        camera = self._cameras.pop(name, None)
        if camera is None or camera.time_s is None:
            return []
        ended = sorted({track for (_, _, track), count in camera.inside.items() if count > 0})
        return self._told(camera, _no_tracks(tuple(ended), camera.time_s + _STEP_S, name))

    def end_all(self) -> list[InventoryEvent]:
        """The same for every camera."""
        return [event for name in list(self._cameras) for event in self.end(name)]

    def _begin(self, name: str) -> _Camera:
        counter = Counter(self._places[name], camera=name, products=())
        return _Camera(Tracker(self._options, camera=name), counter)

    @staticmethod
    def _told(camera: _Camera, tracks: Tracks) -> list[InventoryEvent]:
        events = camera.counter.update(tracks)
        for event in events:
            camera.inside[event.place, event.product, event.track_id] += event.delta
        return events

    def _class_of(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)


def closing_events(rows: Iterable[StockRow], at_s: float) -> list[InventoryEvent]:
    """Events that empty zones which an earlier run left full, when it was killed: nobody follows what was in them any more.

    ``rows``: the stock of zones, not of lines. What is still there is seen again, and counted as ``appeared``. Asked twice
    for the same stock, the events have the same ids: they count once.
    """
    events = []
    for row in rows:
        for place in range(row.net):
            seen = (row.camera, row.place, row.product, round(row.last_s * 1e6), row.plus, row.minus, place)
            identity = str(uuid.uuid5(_NAMESPACE, repr(seen)))
            events.append(
                InventoryEvent(identity, at_s, row.camera, row.place, row.product, -1, 0, Cause.LOST)
            )  # fmt: skip
    return events


def _columns(result: Any) -> tuple[Any, Any, Sequence[str | None]]:
    """Boxes, scores, and the name of each product; None for one that the second model does not know."""
    if isinstance(result, Detections):
        return result.boxes, result.scores, result.names
    if isinstance(result, Products):
        names = [one.best.name if one.known else None for one in result.results]
        return result.detections.boxes, result.detections.scores, names
    raise InputError(
        f"lines and zones need a model that finds boxes, got a {type(result).__name__}; stream a detector, or a detector --then a classifier"
    )


def _no_tracks(ended: tuple[int, ...], time_s: float, camera: str) -> Tracks:
    boxes, whole = np.empty((0, 4), np.float32), np.empty(0, np.int64)
    return Tracks((), boxes, np.empty(0, np.float32), whole, np.empty(0), boxes, whole, ended, time_s, camera)
