"""Who is quicker, and is that known well enough to stop? Asked after every round."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.bench.record import Comparison
from edgevision.bench.scenarios.base import Block
from edgevision.bench.session.cells import Cell
from edgevision.bench.session.figures import HEADLINE, statistics_of
from edgevision.bench.session.options import FIXED_RATE, OFFLINE
from edgevision.bench.statistics.decision import Decision, Plan, decide
from edgevision.bench.statistics.percentiles import needed_samples
from edgevision.bench.statistics.ratio import Statistic, log_ratios

DECIDED, BUDGET = "decided", "budget"


class Judge:
    """``reference``: the target that others are compared with; ``looks``: at which rounds it may be decided; ``rounds``: at least so many."""

    def __init__(self, reference: str, looks: Plan, least_difference: float, rounds: int) -> None:
        self._reference = reference
        self._looks = looks
        self._least = least_difference
        self._rounds = rounds
        self._values: dict[tuple[int, str], float] = {}  # by a block's id: the cells keep all blocks alive
        self._decisions: dict[tuple[str, str, str], tuple[int, Decision]] = {}

    def is_over(self, cells: Sequence[Cell]) -> bool:
        """Whether a scenario needs no more rounds. ``cells``: of all targets in it, those that failed too."""
        alive = [cell for cell in cells if not cell.status]
        if any(cell.rounds < self._rounds or not self._has_enough(cell) for cell in alive):
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
        return [
            self._comparison(cell, base, figure, statistic, final)
            for cell in measured
            if cell is not base
            for figure, statistic in (statistics[:1] if first_only else statistics)
        ]

    def _comparison(self, cell: Cell, base: Cell, figure: str, statistic: Statistic, final: bool) -> Comparison:
        logs = log_ratios(cell.blocks, base.blocks, lambda block: self._value(block, figure, statistic))
        decision = self._decision(cell, figure, logs, final)
        return Comparison(
            cell.target, base.target, cell.scenario, figure, decision.ratio, decision.low, decision.high, decision.confidence, len(logs),
            decision.verdict, DECIDED if decision.decided else BUDGET,
        )  # fmt: skip

    def _decision(self, cell: Cell, figure: str, logs: Sequence[float], final: bool) -> Decision:
        """Between two looks the answer is that of the last: it is not made again."""
        look = max((look for look in self._looks.looks if look <= len(logs)), default=0)
        key = (cell.target, cell.scenario.name, figure)
        if final or self._decisions.get(key, (-1, None))[0] != look:
            self._decisions[key] = (look, decide(logs, self._least, self._looks, final=final))
        return self._decisions[key][1]

    def _value(self, block: Block, figure: str, statistic: Statistic) -> float:
        """The statistic of a block, made once: it is asked for after every round."""
        key = (id(block), figure)
        if key not in self._values:
            self._values[key] = statistic(block)
        return self._values[key]

    def _has_enough(self, cell: Cell) -> bool:
        """Whether there are as many requests as LoadGen's rule asks for."""
        if cell.scenario.name in (OFFLINE, FIXED_RATE):
            return True
        return sum(len(block.latency_ns) for block in cell.blocks) >= needed_samples(HEADLINE)
