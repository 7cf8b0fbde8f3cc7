"""Results of a stream → inventory events: a tracker and a counter for each camera that has lines or zones."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.streams.inventory.stock import StockRow
from edgevision.streams.inventory.track_name import UNKNOWN, TrackName, View
from edgevision.streams.results import StreamResult
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tracking.counter import Counter
from edgevision.tracking.events import Cause, InventoryEvent
from edgevision.tracking.nested import NESTED_SHARE, nested
from edgevision.tracking.places import Line, Zone
from edgevision.tracking.tracker import Tracker, TrackerOptions
from edgevision.tracking.tracks import Tracks

Places = Sequence[Line | Zone]

_STEP_S = 0.001  # between two frames whose times are equal, or go back a little
_BACK_S = 1.0  # a clock that goes back further was set: what was followed before is over
_UNTOLD_S = 60.0  # a camera that sends frames for so long without its clock has none any more
_NAMESPACE = uuid.UUID("1b1f9a8e-7c64-5a0e-8a5e-2f6f0f8a9d34")  # of the ids of closing events; any fixed value does


@dataclass
class _Camera:
    """What follows one camera. ``time_s``: of its last frame; ``names``: of the tracks that are followed; ``crossed``: and the lines that
    each has crossed."""

    tracker: Tracker
    counter: Counter
    time_s: float | None = None
    names: dict[int, TrackName] = field(default_factory=lambda: defaultdict(TrackName))
    crossed: dict[int, list[InventoryEvent]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class _Clock:
    """A camera's own. ``offset_s``: how far it was ahead of this machine's when it was told last; ``untold_since_s``: when frames without it
    began to come."""

    offset_s: float
    untold_since_s: float | None = None


@dataclass(frozen=True)
class _Found:
    """The boxes of a result, one row each. ``classes``: the detector's; ``views``: what each row says of its product."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    views: tuple[View, ...]

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> _Found:
        views = tuple(view for view, kept in zip(self.views, rows.tolist(), strict=True) if kept)
        return _Found(self.boxes[rows], self.scores[rows], self.classes[rows], views)


class InventoryCounter:
    """Follows the products of each camera through its results, and gives an event for each that crosses a line, or comes into or
    leaves a zone. A product that crossed a line is named by the views up to then; when its track ends, by all of them: where that is
    another name, two more events take the one off and put the other on, with the crossing's time (``Cause.RENAMED``). Boxes on parts of a
    product and around several are left out, see ``nested``.

    ``places``: camera → its lines and zones, in pixels of its frames; results of other cameras give nothing. ``options``: the
    trackers'. ``now_s``: the wall clock, for cameras that tell no time of their own. After a new connection a camera tells its clock only after some
    seconds. Until then, the last known difference to this machine's clock is added. ``nested_share``: of the smaller box, see there; 1 leaves none
    out. One thread at a time uses it.
    """

    def __init__(
        self,
        places: Mapping[str, Places],
        options: TrackerOptions | None = None,
        *,
        now_s: Callable[[], float] = time.time,
        nested_share: float = NESTED_SHARE,
    ) -> None:
        self._places = {camera: tuple(some) for camera, some in places.items() if some}
        self._options = options or TrackerOptions()
        self._now_s = now_s
        self._nested_share = nested_share
        self._cameras: dict[str, _Camera] = {}
        self._clocks: dict[str, _Clock] = {}
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
        found = _found(result.result)
        found = found[~nested(found.boxes, found.scores, found.classes, self._nested_share)]
        time_s = self._captured_s(result)
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
        classes = [self._class_of(_likeliest(view)) for view in found.views]
        tracks = camera.tracker.update_arrays(found.boxes, found.scores, classes, time_s=time_s)
        events += self._told(camera, self._named(camera, tracks, found.views))
        return events

    def end(self, name: str) -> list[InventoryEvent]:
        """Stop following a camera: its tracks have their last names, and what is inside its zones leaves them, for nobody sees it any
        more. Allowed for any name."""
        camera = self._cameras.pop(name, None)
        if camera is None or camera.time_s is None:
            return []
        ended = tuple(sorted(camera.names))
        return self._told(camera, _no_tracks(ended, camera.time_s + _STEP_S, name))

    def end_all(self) -> list[InventoryEvent]:
        """The same for every camera."""
        return [event for name in list(self._cameras) for event in self.end(name)]

    def take_over(self, before: InventoryCounter) -> list[InventoryEvent]:
        """Go on where ``before`` was, with the cameras whose lines and zones are the same, and end the others: their events. With other
        options, all end. To be called before the first ``update``; ``before`` is of no use afterwards."""
        same_options = (self._options, self._nested_share) == (before._options, before._nested_share)
        events = []
        for name in list(before._cameras):
            if not same_options or self._places.get(name) != before._places[name]:
                events += before.end(name)
        self._cameras, self._names, self._clocks = before._cameras, before._names, before._clocks
        return events

    def _captured_s(self, result: StreamResult) -> float:
        """When the frame was captured, by the camera's clock where it is known."""
        seen_s = self._now_s() - result.age_s
        if result.captured_ns is not None:
            time_s = result.captured_ns / 1e9
            self._clocks[result.camera] = _Clock(time_s - seen_s)
            return time_s
        clock = self._clocks.get(result.camera)
        if clock is None:
            return seen_s
        if clock.untold_since_s is None:
            clock.untold_since_s = seen_s
        if seen_s - clock.untold_since_s > _UNTOLD_S:
            del self._clocks[result.camera]
            return seen_s
        return seen_s + clock.offset_s

    def _begin(self, name: str) -> _Camera:
        counter = Counter(self._places[name], camera=name, products=())
        return _Camera(Tracker(self._options, camera=name), counter)

    def _named(self, camera: _Camera, tracks: Tracks, views: Sequence[View]) -> Tracks:
        """The tracks, each with the class that its views have the most chances for."""
        classes = tracks.classes.copy()
        for row, (track, detection) in enumerate(zip(tracks.ids, tracks.detections.tolist(), strict=True)):
            if track is not None:
                camera.names[track].see(views[detection])
                classes[row] = self._class_of(camera.names[track].best)
        return replace(tracks, classes=classes)

    def _told(self, camera: _Camera, tracks: Tracks) -> list[InventoryEvent]:
        camera.counter.products = tuple(self._names)
        events = camera.counter.update(tracks)
        zones = {place.name for place in camera.counter.places if isinstance(place, Zone)}
        for event in events:
            if event.place not in zones:
                camera.crossed[event.track_id].append(event)
        for track in tracks.ended:
            name, crossed = camera.names.pop(track, None), camera.crossed.pop(track, [])
            if name is not None:
                events += [later for event in crossed for later in _renamed(event, name.best)]
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


def _renamed(event: InventoryEvent, product: str) -> list[InventoryEvent]:
    """The events that make the stock as if ``event`` had been of ``product``: none where it is. The same again for the same frames."""
    if event.product == product:
        return []
    return [
        replace(
            event,
            event_id=str(uuid.uuid5(_NAMESPACE, repr((event.event_id, name, delta)))),
            product=name, delta=delta, cause=Cause.RENAMED,
        )
        for name, delta in ((event.product, -event.delta), (product, event.delta))
    ]  # fmt: skip


def _found(result: Any) -> _Found:
    """The columns of what a model says of a frame."""
    if isinstance(result, Detections):
        pairs = zip(result.names, result.scores.tolist(), strict=True)
        views = tuple(View({name: 1.0}, score) for name, score in pairs)
        return _Found(result.boxes, result.scores, result.classes, views)
    if isinstance(result, Products):
        boxes = result.detections
        answers = zip(result.results, boxes.scores.tolist(), strict=True)
        views = tuple(View(_chances(answer), score, answer.known) for answer, score in answers)
        return _Found(boxes.boxes, boxes.scores, boxes.classes, views)
    raise InputError(
        f"lines and zones need a model that finds boxes, got a {type(result).__name__}; stream a detector, or a detector --then a classifier"
    )


def _chances(answer: Any) -> dict[str, float]:
    """Name → chance of a ``Classification``. Classes of one name are one product."""
    chances: dict[str, float] = {}
    for one in answer.top:
        chances[one.name] = chances.get(one.name, 0.0) + one.score
    return chances


def _likeliest(view: View) -> str:
    """What the tracker takes the view for; only ``class_aware`` ones look at it."""
    return max(view.chances, key=view.chances.__getitem__) if view.is_known and view.chances else UNKNOWN


def _no_tracks(ended: tuple[int, ...], time_s: float, camera: str) -> Tracks:
    boxes, whole = np.empty((0, 4), np.float32), np.empty(0, np.int64)
    return Tracks((), boxes, np.empty(0, np.float32), whole, np.empty(0), boxes, whole, ended, time_s, camera)
