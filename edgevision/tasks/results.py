"""The words results are made of: labels, and what ``predict`` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevision.errors import InputError


@dataclass(frozen=True)
class Label:
    """A class the model knows. ``id`` is the user's number for it; its place in the list is the output's index."""

    id: int
    name: str


@dataclass(frozen=True)
class FrameId:
    """Which frame a result belongs to: what the source knew of it."""

    camera: str | None = None
    sequence: int | None = None
    captured_ns: int | None = None


@dataclass(frozen=True)
class Timing:
    """Milliseconds spent on the batch this frame ran in; ``batch`` frames shared it."""

    preprocess_ms: float
    infer_ms: float
    decode_ms: float
    batch: int = 1


@dataclass(frozen=True)
class Prediction:
    """One class. ``score`` is the softmax probability after the stored temperature, 0…1."""

    id: int
    name: str
    score: float


@dataclass(frozen=True)
class Classification:
    """What a frame shows: the best classes, best first. ``known`` is False for what the model does not recognise
    (best score under the stored threshold): an empty tray, a product that is not listed. ``top`` is empty only where the model knows no
    class at all, as of a gallery without examples."""

    top: tuple[Prediction, ...]
    known: bool
    timing: Timing
    frame: FrameId = FrameId()

    @property
    def best(self) -> Prediction:
        """The class with the best score, known or not. Raises InputError where ``top`` is empty; ``known`` is False then."""
        if not self.top:
            raise InputError("the answer names no class: the gallery has no examples now; look at known first")
        return self.top[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "top": [fields_of(one) for one in self.top],
            "known": self.known,
            "timing": fields_of(self.timing),
            "frame": fields_of(self.frame),
        }


def fields_of(flat: Any) -> dict[str, Any]:
    """The fields of a dataclass that holds plain values alone: as ``dataclasses.asdict``, which copies each value, in a tenth of the time.

    >>> fields_of(Label(7, "apple"))
    {'id': 7, 'name': 'apple'}
    """
    return dict(vars(flat))
