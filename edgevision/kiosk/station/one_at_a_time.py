"""A model that classifies: whatever lies in the place is one placement."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.frames import Frame
from edgevision.kiosk.events import StationEvent
from edgevision.kiosk.station.looks import Box, Look, part_of, windows
from edgevision.kiosk.station.place import Place
from edgevision.kiosk.station.placing import Placing

# A classifier sees what changed through two windows at once, and in the next frame through two others: what it says of a product should
# not hang on how it is cut out, and different cuts are less alike than frames.
_MARGINS = ((0.08, 0.25), (0.16, 0.4))
_MOST_THINGS = 4  # that a classifier is asked about in one frame; more is no placement, but a heap


class OneAtATime:
    """Two products at once are one placement that asks: the parts that lie apart are asked about one by one."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._unannounced: Placing | None = None  # it may be a hand alone
        self._turn = 0

    def settle(self) -> None:
        """What was looked at before the movement is not told any more."""
        self._unannounced = None

    def step(self, frame: Frame, at_s: float) -> list[StationEvent]:
        """See ``Way``."""
        place = self._place
        if not place.scene.knows_empty and not self._is_known_at_first(frame, at_s):
            return place.all_removed(at_s) if place.scene.knows_empty else []
        boxes = place.there[:_MOST_THINGS]
        placing = self._current(boxes, at_s)
        if place.is_settled(placing, at_s):
            self._absorb(placing, at_s)
            return []
        placing.box = _around(boxes)
        shown = self._shown(frame, boxes)
        looks = place.look([one for part in shown for one in part])
        if looks is not None:
            placing.add(_per_thing(looks, [len(part) for part in shown]))
        events: list[StationEvent] = []
        if not place.placed and (not place.waits_for_arm or placing.sure_of is not None):
            events.append(place.announce(placing, at_s))
        if not place.placed:
            return []
        return events + place.answer(placing, frame, at_s)

    def _current(self, boxes: Sequence[Box], at_s: float) -> Placing:
        """The placement that there is, or one that is to be announced."""
        if self._place.placed:
            return self._place.placed[0]
        if self._unannounced is None:
            self._unannounced = self._place.new(_around(boxes), at_s)
        return self._unannounced

    def _shown(self, frame: Frame, boxes: Sequence[Box]) -> list[list[Frame]]:
        """For each thing that lies there, what the classifier is shown of it."""
        if not boxes or (not self._place.options.crop and len(boxes) == 1):
            return [[frame]]
        margins = _MARGINS[self._turn % len(_MARGINS)]
        self._turn += 1
        return [
            [part_of(frame, window) for window in windows(box, frame.width, frame.height, margins)] for box in boxes
        ]

    def _absorb(self, placing: Placing, at_s: float) -> None:
        """What is unknown and was never moved for long becomes part of the place; it counts as removed with the next frames."""
        if placing.told == frozenset() and at_s - self._place.settled_s > self._place.options.absorb_s:
            self._place.scene.learn(at_s)

    def _is_known_at_first(self, frame: Frame, at_s: float) -> bool:
        """Whether a product lies there before any empty place was learnt; else, after a while, the place is learnt."""
        place = self._place
        if place.placed and place.placed[0].evidence:
            return True  # it has not moved since it was looked at
        if at_s - place.settled_s < place.options.learn_s - 1e-9:
            return False
        looks = place.look([frame])
        if looks is None:
            return False
        ((look,),) = looks
        if look.known and look.predictions[0].score >= place.options.cover:
            return True
        place.scene.learn(at_s)
        return False


def _per_thing(looks: Sequence[list[Look]], counts: Sequence[int]) -> list[list[Look]]:
    """The looks at each thing; ``counts``: how many pictures were shown of each."""
    found, begin = [], 0
    for count in counts:
        found.append([one for seen in looks[begin : begin + count] for one in seen])
        begin += count
    return found


def _around(boxes: Sequence[Box]) -> Box | None:
    """The box that holds all; None where there are none."""
    if not boxes:
        return None
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)
