"""When two targets are told apart: a rule that may be asked after every round, and is wrong no more often for it.

Each round measures one block of either target, in an order that the harness draws anew. So if both are alike, the sign of a round's log
ratio is the toss of that coin, whatever the noise is: with memory, drift, stragglers or another program on the machine. If one takes a
fixed share longer, the same holds after that share is taken off. Wilcoxon's signed-rank interval needs no more than that.

Looking often is what breaks such intervals: the best of many looks is too good. So only some numbers of rounds are looked at, which are
fixed beforehand (``Plan``), and the error is divided among them; between two of them the answer is that of the last. The sum of the parts
bounds the chance of any wrong answer at any look, however the looks depend on each other (Bonferroni; group-sequential designs with
"alpha spending" do the same with more assumptions).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevision.bench.statistics.ranks import Floats, signed_rank_interval
from edgevision.errors import InputError

LEAST_DIFFERENCE = 0.02
FIRST_LOOK = 10


@dataclass(frozen=True)
class Plan:
    """``looks``: the numbers of rounds, ascending, at which it is looked whether it is decided. ``error``: of all of them together."""

    looks: tuple[int, ...]
    error: float = 0.05


def plan_looks(most_rounds: int = 640, error: float = 0.05) -> Plan:
    """Looks at doubling numbers of rounds from 10 to ``most_rounds``. Fewer looks leave more of the error to each: ask for no more rounds
    than there is time for.

    >>> plan_looks(100).looks
    (12, 25, 50, 100)
    """
    if most_rounds < 1 or not 0 < error < 1:
        raise InputError(f"expected at least 1 round and 0 < error < 1, got {most_rounds} and {error}")
    looks = [most_rounds]
    while looks[0] // 2 >= FIRST_LOOK:
        looks.insert(0, looks[0] // 2)
    return Plan(tuple(looks), error)


@dataclass(frozen=True)
class Decision:
    """``verdict``: "lower" (``a`` takes less than ``b``), "higher", "equal" (the difference is less than the least that counts) or
    "undecided". ``ratio``: a / b, with the limits ``low`` and ``high``, which hold at ``confidence`` over all looks together; they are 0
    and infinite before the first look. ``rounds``: how many of them this was found in.
    """

    verdict: str
    ratio: float
    low: float
    high: float
    confidence: float
    rounds: int

    @property
    def decided(self) -> bool:
        """Whether more rounds are not needed."""
        return self.verdict != "undecided"


def decide(
    ratio_history: Sequence[float],
    least_difference: float = LEAST_DIFFERENCE,
    plan: Plan | None = None,
    *,
    final: bool = False,
) -> Decision:
    """What the rounds so far say. Ask it after every round, and stop when it is decided or the budget is spent.

    ``ratio_history``: ln(a / b) of each round (``ratio.log_ratios``), all rounds from the first. ``least_difference``: what counts, as a
    share: 0.02 is 2 %. ``plan``: when it is looked; the same in all calls. ``final``: no more rounds will come, because the budget is
    spent: all of the error that is left goes into a look at every round there is. (The clock must say so, not the answer.)

    "Lower" and "higher": the interval excludes 1, and the estimate differs by at least ``least_difference``. "Equal": the interval lies within
    1 / (1 + least_difference) … 1 + least_difference. The chance that any look says "lower" or "higher" of equals, or "equal" of targets that
    differ by more, is at most ``plan.error``. The first decided look stands: later rounds do not change it.

    >>> rounds = [0.05 + wobble for wobble in (0.01, -0.02, 0.0, 0.015, -0.005, 0.02, -0.01, 0.005, -0.015, 0.012)]
    >>> decide(rounds, plan=plan_looks(20)).verdict
    'higher'
    """
    plan = plan or plan_looks()
    if not least_difference > 0:
        raise InputError(f"expected a least difference > 0, such as 0.02 for 2 %; got {least_difference}")
    logs = np.asarray(ratio_history, np.float64)
    if logs.ndim != 1 or not np.isfinite(logs).all():
        raise InputError("expected one finite logarithm of a ratio for each round")
    part, spent = plan.error / len(plan.looks), 0.0
    decision = _before_the_first_look(logs, plan)
    for look in plan.looks:
        if look > len(logs) or (final and look == len(logs)):
            break
        decision = _look(logs[:look], part, least_difference, plan)
        if decision.decided:
            return decision
        spent += part
    if final and len(logs) and plan.error - spent > part / 2:
        return _look(logs, plan.error - spent, least_difference, plan)
    return decision


def _look(logs: Floats, error: float, least_difference: float, plan: Plan) -> Decision:
    centre, low, high = signed_rank_interval(logs, error)
    counts = math.log1p(least_difference)
    if -counts < low and high < counts:
        verdict = "equal"
    elif low > 0 and centre >= counts:
        verdict = "higher"
    elif high < 0 and centre <= -counts:
        verdict = "lower"
    else:
        verdict = "undecided"
    return Decision(verdict, math.exp(centre), math.exp(low), math.exp(high), 1 - plan.error, len(logs))


def _before_the_first_look(logs: Floats, plan: Plan) -> Decision:
    ratio = math.exp(float(np.median(logs))) if len(logs) else 1.0
    return Decision("undecided", ratio, 0.0, math.inf, 1 - plan.error, 0)
