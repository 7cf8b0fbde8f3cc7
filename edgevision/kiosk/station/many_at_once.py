"""A model that finds boxes, alone or in a cascade: each product is a placement of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevision.frames import Frame
from edgevision.kiosk.events import StationEvent
from edgevision.kiosk.station.looks import Box, Look, overlap
from edgevision.kiosk.station.place import Place
from edgevision.kiosk.station.placing import Placing
from edgevision.tracking.assignment import assign

_SAME = 0.3  # overlap of boxes that are one product's
_LOOKS_AFTER_S = 0.4  # it is asked for so long after each movement: a box that one frame lacks, the next may have
_CONFIRM = 2  # frames that show a box before it is a placement: detectors see things for one frame


class ManyAtOnce:
    """Boxes of one frame and the next belong together where they overlap."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._candidates: list[Placing] = []  # boxes that were seen, and not often enough yet

    def settle(self) -> None:
        """Boxes from before the movement confirm nothing."""
        self._candidates = []

    def step(self, frame: Frame, at_s: float) -> list[StationEvent]:
        """See ``Way``."""
        place = self._place
        if not self._must_look(at_s):
            return []
        looks = place.look([frame])
        if looks is None:
            return self._strangers(frame, [], at_s)
        (seen,) = looks
        if not place.scene.knows_empty and not seen and at_s - place.settled_s >= place.options.learn_s - 1e-9:
            place.scene.learn(at_s)
        found = self._matched(seen, at_s)
        events = self._missed([one for one in place.placed if one not in found], at_s)
        events += self._confirmed(found, at_s)
        for placing in list(place.placed):
            if placing.missing_since_s is None and not place.is_settled(placing, at_s):
                events += place.answer(placing, frame, at_s)
        return events + self._strangers(frame, seen, at_s)

    def _must_look(self, at_s: float) -> bool:
        """Whether the detector can tell something new."""
        place, options = self._place, self._place.options
        still_s = at_s - place.settled_s
        if still_s <= max(_LOOKS_AFTER_S, options.gone_s, options.patience_s) + options.still_s:
            return True
        if not place.scene.knows_empty and not place.placed:
            return True  # until it has seen nothing for once
        return bool(self._candidates) or any(
            not one.answered or one.missing_since_s is not None for one in place.placed
        )

    def _matched(self, seen: Sequence[Look], at_s: float) -> list[Placing]:
        """Give each placement and candidate its box of this frame; what is left are new candidates. Those with a box."""
        known = [*self._place.placed, *self._candidates]
        pairs = _pairs(known, seen)
        for placing, look in pairs:
            placing.box, placing.missing_since_s = look.box, None
            placing.add([[look]])
        taken = [look for _, look in pairs]
        new = []
        for look in seen:
            if not any(look is other for other in taken):
                candidate = self._place.new(look.box, at_s)
                candidate.add([[look]])
                new.append(candidate)
        found = [placing for placing, _ in pairs]
        self._candidates = [*(one for one in self._candidates if one in found), *new]
        return found + new

    def _confirmed(self, found: Sequence[Placing], at_s: float) -> list[StationEvent]:
        """Candidates that are placements now."""
        events: list[StationEvent] = []
        for candidate in list(self._candidates):
            if candidate in found and candidate.evidence[0].looks >= _CONFIRM:
                self._candidates.remove(candidate)
                if not self._was_moved(candidate):
                    events.append(self._place.announce(candidate, at_s))
        return events

    def _was_moved(self, candidate: Placing) -> bool:
        """Whether a box that is new is a placement that is missing: its product was pushed elsewhere. Then it is that again."""
        best = candidate.evidence[0].posterior()[0]
        for placing in self._place.placed:
            if placing.missing_since_s is not None and placing.told is not None and best.id in placing.told:
                placing.box, placing.missing_since_s = candidate.box, None
                placing.evidence, placing.frames = candidate.evidence, candidate.frames
                return True
        return False

    def _missed(self, missing: Sequence[Placing], at_s: float) -> list[StationEvent]:
        """Placements without a box in this frame: gone after a while."""
        events: list[StationEvent] = []
        for placing in missing:
            if placing.told == frozenset() and self._is_there(placing.box):
                continue  # unknown: no box shows it, the changed place does
            if placing.missing_since_s is None:
                placing.missing_since_s = at_s
            if at_s - placing.missing_since_s >= self._place.options.gone_s - 1e-9:
                self._place.placed.remove(placing)
                events.append(placing.removed(at_s))
        return events

    def _is_there(self, box: Box | None) -> bool:
        """Whether something that is not the empty place lies in ``box``."""
        return box is not None and any(overlap(box, other) > 0 for other in self._place.there)

    def _strangers(self, frame: Frame, seen: Sequence[Look], at_s: float) -> list[StationEvent]:
        """What lies there and no box shows is unknown, when time is up."""
        place = self._place
        if place.waits_for_arm or at_s - place.settled_s < place.options.patience_s:
            return []
        shown = [one.box for one in (*seen, *place.placed) if one.box is not None]
        events: list[StationEvent] = []
        for box in place.there:
            if not any(overlap(box, other) > 0 for other in shown):
                placing = place.new(box, at_s)
                events.append(place.announce(placing, at_s))
                events += place.answer(placing, frame, at_s)
        return events


def _pairs(known: Sequence[Placing], seen: Sequence[Look]) -> list[tuple[Placing, Look]]:
    """Which look is at which placement: boxes that overlap most."""
    if not known or not seen:
        return []
    similarity = np.array(
        [[0.0 if a.box is None or b.box is None else overlap(a.box, b.box) for b in seen] for a in known]
    )
    return [(known[row], seen[column]) for row, column in assign(similarity, _SAME).tolist()]
