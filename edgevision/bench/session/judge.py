"""Who is quicker, and is that known well enough to stop? Asked after every round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevision.bench.record import Comparison
from edgevision.bench.session.cells import Cell
from edgevision.bench.session.figures import HEADLINE, statistics_of
from edgevision.bench.session.options import FIXED_RATE, OFFLINE
from edgevision.bench.statistics.decision import Plan, decide
from edgevision.bench.statistics.percentiles import needed_samples
from edgevision.bench.statistics.ratio import log_ratios

DECIDED, BUDGET = "decided", "budget"


class Judge:
    """``reference``: the target that others are compared with; ``looks``: at which rounds it may be decided; ``rounds``: at least so many."""

    def __init__(self, reference: str, looks: Plan, least_difference: float, rounds: int) -> None:
        self._reference = reference
        self._looks = looks
        self._least = least_difference
        self._rounds = rounds

    def is_over(self, cells: Sequence[Cell]) -> bool:
        """Whether a scenario needs no more rounds. ``cells``: of all targets in it, those that failed too."""
        alive = [cell for cell in cells if not cell.status]
        if any(cell.rounds < self._rounds for cell in alive):
            return False
        if any(not _has_enough(cell) for cell in alive):
            return False
        return all(one.ended_by == DECIDED for one in self.comparisons(cells, first_only=True))

    def comparisons(self, cells: Sequence[Cell], *, final: bool = False, first_only: bool = False) -> list[Comparison]:
        """Each target of one scenario against the reference; where that was not measured, against the first that was.

        ``final``: no more rounds will come; ``first_only``: by the figure that decides alone.
        """
        measured = [cell for cell in cells if cell.blocks and not cell.is_search]
        if len(measured) < 2:
            return []
        base = next((cell for cell in measured if cell.target == self._reference), measured[0])
        statistics = list(statistics_of(base.scenario).items())
        found = []
        for cell in measured:
            if cell is base:
                continue
            for figure, statistic in statistics[:1] if first_only else statistics:
                logs = log_ratios(cell.blocks, base.blocks, statistic)
                decision = decide(logs, self._least, self._looks, final=final)
                found.append(
                    Comparison(
                        cell.target, base.target, cell.scenario, figure, decision.ratio, decision.low, decision.high, decision.confidence,
                        len(logs), decision.verdict, DECIDED if decision.decided else BUDGET,
                    )
                )  # fmt: skip
        return found


def _has_enough(cell: Cell) -> bool:
    """Whether there are as many requests as LoadGen's rule asks for."""
    if cell.scenario.name in (OFFLINE, FIXED_RATE):
        return True
    return int(np.sum([len(block.latency_ns) for block in cell.blocks])) >= needed_samples(HEADLINE)
