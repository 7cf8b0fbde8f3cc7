"""One placement from ``Placed`` to ``Removed``: its evidence, and when that is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgevision.frames import Frame
from edgevision.kiosk.events import Placed, PlacementEvent, Recognised, Removed, Unknown, Unsure
from edgevision.kiosk.station.evidence import Evidence
from edgevision.kiosk.station.looks import Box, Look, picture_of
from edgevision.kiosk.station.options import StationOptions
from edgevision.tasks.results import Prediction

_ALTERNATIVES = 3
_FRAMES = 2  # that show it before it is recognised: one may be blurred, or a finger's shadow lie on it
_MOSTLY = 0.75  # share of looks that have to know the product before it counts as recognised


@dataclass(eq=False)
class Placing:
    """What is known of one placement. ``number``: 0 until it was announced. ``box``: where it lies, pixels; None: all of the picture.

    ``evidence``: one for each thing that lies there; more than one of what the model takes for one. ``since_s``: since when it has lain still.
    ``told``: the ids that the answer named, None until there is one; empty for ``Unknown``. ``told_since_s``: what ``since_s`` was then.
    """

    station: str
    options: StationOptions
    classes: int
    box: Box | None
    since_s: float
    number: int = 0
    told: frozenset[int] | None = None
    told_since_s: float | None = None
    missing_since_s: float | None = None
    first_seen_s: float = 0.0
    evidence: list[Evidence] = field(default_factory=list)
    frames: int = 0  # that the evidence is of

    def begin(self, since_s: float) -> None:
        """It lies still anew: what was seen before it moved says nothing of now."""
        self.since_s = since_s
        self.evidence = []
        self.frames = 0
        self.missing_since_s = None

    def add(self, looks: Sequence[Sequence[Look]]) -> None:
        """Add what was seen: for each thing that lies there, the looks at it."""
        if len(looks) != len(self.evidence):
            self.evidence = [Evidence(self.classes, self.options.alike) for _ in looks]
            self.frames = 0
        self.frames += 1
        for evidence, seen in zip(self.evidence, looks, strict=True):
            for one in seen:
                evidence.add(one.predictions, one.known)

    @property
    def answered(self) -> bool:
        """Whether its answer was given."""
        return self.told is not None

    @property
    def sure_of(self) -> Prediction | None:
        """The one product that the odds are enough for, if there is one."""
        if len(self.evidence) != 1 or self.frames < _FRAMES:
            return None
        return _sure(self.evidence[0], self.options)

    def place(self, number: int, at_s: float) -> Placed:
        """Announce it."""
        self.number = number
        return Placed(self.station, at_s, number)

    def removed(self, at_s: float) -> Removed:
        """It is gone."""
        return Removed(self.station, at_s, self.number)

    def answer(self, frame: Frame, at_s: float) -> PlacementEvent | None:
        """The answer, as soon as the evidence is enough or time is up; else None."""
        waited_s = at_s - self.since_s
        up = waited_s >= self.options.patience_s
        best = self.sure_of
        if best is not None:
            others = tuple(self.evidence[0].posterior()[1 : 1 + _ALTERNATIVES])
            self._tell([best])
            return Recognised(self.station, at_s, self.number, picture_of(frame, self.box), waited_s, best, others)
        strange = all(one.known == 0 for one in self.evidence)
        if strange and (waited_s >= self.options.unknown_s or up):
            return self._unknown(frame, at_s, waited_s)
        several = len(self.evidence) > 1 and all(_settled(one, self.options) for one in self.evidence)
        if not up and not several:
            return None
        choices = self._choices()
        if not choices:
            return self._unknown(frame, at_s, waited_s)
        self._tell(choices)
        return Unsure(self.station, at_s, self.number, picture_of(frame, self.box), waited_s, choices)

    def is_another(self) -> bool:
        """Whether what lies there now is surely something else than what was answered."""
        best = self.sure_of
        return self.told is not None and best is not None and best.id not in self.told

    def _tell(self, products: Sequence[Prediction]) -> None:
        self.told, self.told_since_s = frozenset(one.id for one in products), self.since_s

    def _unknown(self, frame: Frame, at_s: float, waited_s: float) -> Unknown:
        self._tell([])
        return Unknown(self.station, at_s, self.number, picture_of(frame, self.box), waited_s)

    def _choices(self) -> tuple[Prediction, ...]:
        """What to offer, best first; nothing where most looks know nothing."""
        known = [one for one in self.evidence if one.known_share >= 0.5]
        if not known:
            return ()
        most = self.options.most_choices
        if len(known) == 1:
            return _covering(known[0].posterior(), self.options.cover, most)
        turns = [one.posterior() for one in known]
        found: dict[int, Prediction] = {}
        for rank in range(most):  # the best of each, then the second of each
            for one in turns:
                if rank < len(one):
                    found.setdefault(one[rank].id, one[rank])
            if len(found) >= max(2, len(turns)):
                break
        return tuple(list(found.values())[:most])


def _sure(evidence: Evidence, options: StationOptions) -> Prediction | None:
    if not evidence.looks or evidence.known_share < _MOSTLY:
        return None
    best = evidence.posterior()[0]
    return best if best.score >= options.sure else None


def _settled(evidence: Evidence, options: StationOptions) -> bool:
    return _sure(evidence, options) is not None


def _covering(posterior: Sequence[Prediction], cover: float, most: int) -> tuple[Prediction, ...]:
    """The fewest of the most likely that hold ``cover`` together, at least two."""
    total, count = 0.0, 0
    for one in posterior[:most]:
        total += one.score
        count += 1
        if total >= cover:
            break
    return tuple(posterior[: max(2, count)])
