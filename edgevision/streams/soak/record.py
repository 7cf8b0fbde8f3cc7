"""What a soak has measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgevision.streams.ledger import Account
from edgevision.streams.soak.arrivals import CameraArrivals
from edgevision.streams.soak.usage import Usage

Spread = Sequence[float]  # p50, p99 and greatest


@dataclass(frozen=True)
class Sample:
    """One look. ``at_s``: seconds since the start. ``served``: results of each camera so far; ``unbalanced``: cameras whose ledger was
    not exact. ``age_s``: by the runtime's account, ``clock_age_s``: by the cameras' clocks, of the results since the last look; None
    where there were none. ``waiting``: results that were served and had not arrived at the broker."""

    at_s: float
    usage: Usage
    served: Mapping[str, int]
    unbalanced: tuple[str, ...]
    age_s: Spread | None
    clock_age_s: Spread | None
    waiting: int


@dataclass
class Record:
    """All of it. ``accounts`` and ``arrivals``: of each camera, at the end. ``freezes``, ``swaps``, ``outages``: how many were
    made. ``steps``: of model swaps, by name; ``refusal``: why the last that was not made was not. ``end``: how the runtime ended, empty where all was well."""

    samples: list[Sample] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    arrivals: dict[str, CameraArrivals] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    refusal: str = ""
    freezes: int = 0
    swaps: int = 0
    outages: int = 0
    end: str = ""

    def after(self, at_s: float) -> list[Sample]:
        """The samples from then on."""
        return [sample for sample in self.samples if sample.at_s >= at_s]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "samples": [{**asdict(one), "usage": one.usage._asdict(), "unbalanced": list(one.unbalanced)} for one in self.samples],
            "accounts": {name: account.to_dict() for name, account in self.accounts.items()},
            "arrivals": {name: asdict(arrivals) for name, arrivals in self.arrivals.items()},
            "model_steps": self.steps, "refusal": self.refusal, "freezes": self.freezes, "swaps": self.swaps, "outages": self.outages, "end": self.end,
        }  # fmt: skip
