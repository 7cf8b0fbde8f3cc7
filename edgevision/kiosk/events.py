"""What a Station tells: that a product was placed, what it is or may be, that it is gone, or why nothing can be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, ClassVar

from edgevision.frames import ImageArray
from edgevision.tasks.results import Prediction


class BlockedReason(Enum):
    """Why a Station cannot see."""

    DARK = "dark"  # too little light
    COVERED = "covered"  # the lens is covered, or so near to something that nothing is sharp
    HAND = "hand"  # something moves over the place for longer than placing a product takes
    CAMERA_GONE = "camera-gone"  # no frames come


@dataclass(frozen=True, eq=False)
class StationEvent:
    """Base of all events. ``station``: its name. ``at_s``: when it happened, in seconds of camera time."""

    kind: ClassVar[str]
    station: str
    at_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without pictures."""
        return {"event": self.kind, "station": self.station, "at_s": self.at_s}


@dataclass(frozen=True, eq=False)
class PlacementEvent(StationEvent):
    """Of one placement. ``placement`` counts them, from 1: all events of one have the same."""

    placement: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without pictures."""
        return {**super().to_dict(), "placement": self.placement}


@dataclass(frozen=True, eq=False)
class Placed(PlacementEvent):
    """Something was placed, and what it is is being found out. Exactly one ``Recognised``, ``Unsure`` or ``Unknown`` follows, unless it is
    removed before."""

    kind = "placed"


@dataclass(frozen=True, eq=False)
class Answer(PlacementEvent):
    """What was found out. ``picture``: the product, H×W×3 uint8 BGR. ``waited_s``: from when it lay still."""

    picture: ImageArray
    waited_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without pictures."""
        return {**super().to_dict(), "waited_s": self.waited_s}


@dataclass(frozen=True, eq=False)
class Recognised(Answer):
    """It is ``product``; its ``score`` is the probability of that after all frames. ``alternatives``: the next likely ones, best first."""

    kind = "recognised"
    product: Prediction
    alternatives: tuple[Prediction, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without pictures."""
        told = [asdict(one) for one in self.alternatives]
        return {**super().to_dict(), "product": asdict(self.product), "alternatives": told}


@dataclass(frozen=True, eq=False)
class Unsure(Answer):
    """Ask the shopper: it is most likely one of ``choices``, best first."""

    kind = "unsure"
    choices: tuple[Prediction, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without pictures."""
        return {**super().to_dict(), "choices": [asdict(one) for one in self.choices]}


@dataclass(frozen=True, eq=False)
class Unknown(Answer):
    """Something lies there that the model does not know."""

    kind = "unknown"


@dataclass(frozen=True, eq=False)
class Removed(PlacementEvent):
    """It is gone."""

    kind = "removed"


@dataclass(frozen=True, eq=False)
class Blocked(StationEvent):
    """Nothing can be told for ``reason``, until ``Unblocked``. ``words``: the same in plain English."""

    kind = "blocked"
    reason: BlockedReason
    words: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**super().to_dict(), "reason": self.reason.value, "words": self.words}


@dataclass(frozen=True, eq=False)
class Unblocked(StationEvent):
    """The Station sees again."""

    kind = "unblocked"
