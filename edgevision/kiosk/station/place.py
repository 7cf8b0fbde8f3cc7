"""What one placement at a time and many at once have in common: the placements there are, and how they are asked about and told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edgevision.frames import Frame
from edgevision.kiosk.events import StationEvent
from edgevision.kiosk.station.looks import Box, Eyes, Look
from edgevision.kiosk.station.options import StationOptions
from edgevision.kiosk.station.placing import Placing
from edgevision.kiosk.station.scene import Scene


class Way(Protocol):
    """How frames that are still, with something there, become events."""

    def settle(self) -> None:
        """Something moved, and lies still again."""

    def step(self, frame: Frame, at_s: float) -> list[StationEvent]:
        """The next frame of a place that is still and not known to be empty."""


class Place:
    """The state of one place. ``placed``: what lies there and was told; ``there``: what is not the empty place, in pixels, the largest
    first; ``settled_s``: since when it has been still. ``waits_for_arm``: something reaches out of the picture, and may go away soon."""

    def __init__(self, eyes: Eyes, scene: Scene, station: str, options: StationOptions) -> None:
        self.scene = scene
        self.options = options
        self.placed: list[Placing] = []
        self.there: Sequence[Box] = ()
        self.settled_s = 0.0
        self.waits_for_arm = False
        self.looks = 0
        self.trouble: Exception | None = None
        self._eyes = eyes
        self._station = station
        self._count = 0

    def look(self, frames: Sequence[Frame]) -> list[list[Look]] | None:
        """For each frame, what the model sees in it; None where it failed."""
        self.looks += len(frames)
        try:
            found = self._eyes.look(frames)
        except Exception as error:  # of somebody's model: the Station goes on, and asks a person
            self.trouble = error
            return None
        self.trouble = None
        return found

    def new(self, box: Box | None, at_s: float) -> Placing:
        """A placement that nobody was told of yet."""
        return Placing(self._station, self.options, self._eyes.classes, box, self.settled_s, first_seen_s=at_s)

    def announce(self, placing: Placing, at_s: float) -> StationEvent:
        """Tell of it."""
        self._count += 1
        self.placed.append(placing)
        return placing.place(self._count, at_s)

    def answer(self, placing: Placing, frame: Frame, at_s: float) -> list[StationEvent]:
        """Its answer where it is due; or where it has one already, and is surely another product by now, the end of it and a new one."""
        if self.waits_for_arm and placing.sure_of is None:
            return []  # a question may be needless once the hand is away
        if not placing.answered:
            event = placing.answer(frame, at_s)
            return [] if event is None else [event]
        if at_s - placing.since_s < self.options.unknown_s or not placing.is_another():
            return []
        self.placed.remove(placing)
        other = self.new(placing.box, at_s)
        other.evidence, other.frames = placing.evidence, placing.frames
        events = [placing.removed(at_s), self.announce(other, at_s)]
        return [*events, *self.answer(other, frame, at_s)]

    def is_settled(self, placing: Placing, at_s: float) -> bool:
        """Whether more looks at a placement would tell nothing new."""
        if placing.told_since_s == placing.since_s:
            return True  # it has not moved since its answer
        return placing.answered and at_s - self.settled_s > self.options.patience_s

    def all_removed(self, at_s: float) -> list[StationEvent]:
        """Nothing lies there any more."""
        gone, self.placed = self.placed, []
        return [placing.removed(at_s) for placing in gone]

    def settle(self, settled_s: float) -> None:
        """Something moved, and everything has lain still since ``settled_s``."""
        self.settled_s = settled_s
        for placing in self.placed:
            placing.begin(settled_s)
