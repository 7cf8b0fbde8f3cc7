"""Frames of one place become events: the state machine that a Station, and the service's WebSocket, run on. No thread, no clock."""

from __future__ import annotations

import math
from typing import Any, Literal

from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.kiosk.events import BlockedReason, StationEvent
from edgevision.kiosk.station.blocking import Blocking
from edgevision.kiosk.station.looks import Eyes
from edgevision.kiosk.station.many_at_once import ManyAtOnce
from edgevision.kiosk.station.one_at_a_time import OneAtATime
from edgevision.kiosk.station.options import StationOptions
from edgevision.kiosk.station.place import Place, Way
from edgevision.kiosk.station.scene import Scene, Sight

State = Literal["empty", "moving", "still", "blocked"]


class Placements:
    """What lies before one camera, as events. Give it frame after frame, with the camera's time in seconds; it asks the model only where the
    answer would tell something new.

    ``model``: of ``edgevision.load``, or an object like ``looks.Asked``; used by the thread that calls ``step``. ``station``: the name in
    events. With a model that classifies, what lies there is one placement, and two products at once are one that asks. With one
    that finds boxes, alone or in a cascade, each product is a placement of its own.

    The place should be empty at first: it is learnt then, unless the model surely knows what lies there.

    Where the model fails, ``trouble`` is what it raised, and the next frame is tried anew; a placement that it fails on until time is up
    is ``Unknown``: a person is asked, rather than nobody.

    Raises InputError for a model that cannot be one.

    >>> placements = Placements(model, station="till-3")  # doctest: +SKIP
    >>> for captured in camera:  # doctest: +SKIP
    ...     for event in placements.step(captured.frame, captured.captured_s):
    ...         print(event.to_dict())
    """

    def __init__(self, model: Any, *, station: str = "station", options: StationOptions | None = None) -> None:
        self.station = station
        self.options = StationOptions() if options is None else options
        eyes = Eyes(model)
        self._scene = Scene(self.options)
        self._blocking = Blocking(station, self.options)
        self._place = Place(eyes, self._scene, station, self.options)
        self._way: Way = ManyAtOnce(self._place) if eyes.finds_boxes else OneAtATime(self._place)
        self._last_s = -math.inf
        self._learning = False
        self._moving = False
        self._anew = True  # the next still frame begins a still time

    @property
    def state(self) -> State:
        """``empty``, ``moving``, ``still`` (something lies there), or ``blocked``."""
        if self._blocking.reason is not None:
            return "blocked"
        if self._moving:
            return "moving"
        return "still" if self._place.there or self._place.placed else "empty"

    @property
    def blocked(self) -> BlockedReason | None:
        """Why nothing can be told, or None."""
        return self._blocking.reason

    @property
    def looks(self) -> int:
        """How many pictures the model was shown so far."""
        return self._place.looks

    @property
    def trouble(self) -> Exception | None:
        """What the model raised when it was asked last, or None."""
        return self._place.trouble

    def step(self, frame: Frame, at_s: float) -> list[StationEvent]:
        """What the next frame brings. ``at_s``: seconds of camera time; they never go back.

        Raises InputError for times that do, and for frames in the memory of a device.
        """
        if not (math.isfinite(at_s) and at_s >= self._last_s):
            raise InputError(f"the time of frames goes up, got {at_s!r} s after {self._last_s!r} s")
        self._last_s = at_s
        sight = self._scene.see(frame, at_s)
        events = self._blocking.tell(self._trouble(sight, at_s), at_s)
        if sight.unseen is not None or self._moving or self._blocking.reason is not None:
            return events
        self._place.there = sight.boxes or ()
        if self._learning:
            self._learning, self._place.there = False, ()
            self._scene.learn(at_s)
            return events + self._place.all_removed(at_s)
        if self._scene.knows_empty and not sight.boxes:
            return events + self._empty(at_s)
        return events + self._way.step(frame, at_s)

    def no_frame(self, at_s: float, words: str = "") -> list[StationEvent]:
        """No frame has come for longer than ``camera_s``, or none will come any more: for whoever reads the camera to say. ``words``: why, where that is known."""
        return self._blocking.tell(BlockedReason.CAMERA_GONE, max(at_s, self._last_s), words)

    def learn_empty(self) -> None:
        """The place is empty: learn it anew from the next frame that is still. What lay there before counts as removed."""
        self._learning = True

    def _trouble(self, sight: Sight, at_s: float) -> BlockedReason | None:
        """What is wrong with this frame. Notes whether something moves, and where a still time begins."""
        if sight.unseen is not None:
            self._moving, self._anew = False, True
            return sight.unseen
        still_s = at_s - sight.still_since_s
        self._moving = still_s < self.options.still_s - 1e-9
        self._place.waits_for_arm = sight.reaches_out and still_s < self.options.arm_s
        if self._moving:
            return BlockedReason.HAND
        if self._anew or sight.still_since_s != self._place.settled_s:
            self._anew = False
            self._place.settle(sight.still_since_s)
            self._way.settle()
        return None

    def _empty(self, at_s: float) -> list[StationEvent]:
        if at_s - self._place.settled_s < self.options.gone_s - 1e-9:
            return []
        return self._place.all_removed(at_s)
