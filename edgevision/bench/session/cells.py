"""What a run has measured so far: a cell for each target in each scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgevision.bench.record import Doubt, Figure, Result
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session.density import figures_of_density
from edgevision.bench.session.figures import figures_of
from edgevision.bench.session.options import DENSITY

COMPLETE, INTERRUPTED, FAILED, UNSUPPORTED = "complete", "interrupted", "failed", "unsupported"


@dataclass(eq=False)
class Cell:
    """One target in one scenario. ``status``: empty while it is being measured, then one of ``record.Result``; ``seconds``: a block's
    length."""

    target: str
    scenario: Scenario
    blocks: list[Block] = field(default_factory=list)
    status: str = ""
    reason: str = ""
    seconds: float = 0.0
    _figures: tuple[int, tuple[Figure, ...]] = (-1, ())

    @property
    def is_search(self) -> bool:
        """Whether its blocks are probes of a search, and not rounds."""
        return self.scenario.name == DENSITY

    @property
    def rounds(self) -> int:
        """How many rounds it was measured in."""
        return len({block.round for block in self.blocks})

    @property
    def next_round(self) -> int:
        """The number of the round that comes after those it has."""
        return max((block.round for block in self.blocks), default=-1) + 1

    def end(self, status: str, reason: str = "") -> None:
        """Nothing more is measured; what ended it first stands."""
        if not self.status:
            self.status, self.reason = status, reason

    def result(self, most_cameras: int, doubts: Sequence[Doubt] = ()) -> Result:
        """As the record has it. What is still being measured says so, and has no figures yet."""
        if not self.status:
            return Result(
                self.target, self.scenario, INTERRUPTED, "the run had not come to its end", tuple(self.blocks), (), ()
            )
        figures = self.figures(most_cameras)
        return Result(self.target, self.scenario, self.status, self.reason, tuple(self.blocks), figures, tuple(doubts))

    def figures(self, most_cameras: int) -> tuple[Figure, ...]:
        """What its blocks say; made anew only where there are more."""
        if self._figures[0] != len(self.blocks):
            if self.is_search:
                figures = figures_of_density(self.scenario, self.blocks, most_cameras)
            else:
                figures = figures_of(self.scenario, self.blocks)
            self._figures = (len(self.blocks), figures)
        return self._figures[1]
