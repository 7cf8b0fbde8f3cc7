from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.bench.statistics.decision import Plan, decide, plan_looks
from edgevision.errors import InputError


def noise(rounds: int, seed: int) -> np.ndarray:
    """Log ratios of equals on a bad machine: it wanders with a memory of 20 rounds, has stragglers, and who is first is tossed."""
    rng = np.random.default_rng(seed)
    wander = np.zeros(2 * rounds)
    for i in range(1, 2 * rounds):
        wander[i] = 0.97 * wander[i - 1] + 0.03 * rng.normal()
    blocks = wander + 0.02 * rng.standard_t(2, 2 * rounds) + 0.001 * np.arange(2 * rounds)
    return np.asarray(rng.choice([-1, 1], rounds) * (blocks[::2] - blocks[1::2]))


def first_verdict(logs: np.ndarray, plan: Plan) -> str:
    """As a session uses it: asked after every round, until it is decided or the budget is spent."""
    for rounds in range(1, len(logs) + 1):
        decision = decide(logs[:rounds].tolist(), plan=plan, final=rounds == len(logs))
        if decision.decided:
            break
    return decision.verdict


def test_looks_double_and_end_with_the_budget():
    assert plan_looks(100).looks == (12, 25, 50, 100)
    assert plan_looks(19).looks == (19,)
    assert plan_looks(3).looks == (3,)


def test_asking_after_every_round_is_wrong_in_5_of_100_at_most():
    plan = plan_looks(80)
    verdicts = [first_verdict(noise(80, seed), plan) for seed in range(120)]
    assert sum(verdict in ("lower", "higher") for verdict in verdicts) <= 6


@pytest.mark.parametrize(("slowdown", "verdict"), [(0.05, "higher"), (-0.05, "lower")])
def test_a_difference_is_found_on_a_bad_machine(slowdown, verdict):
    plan = plan_looks(160)
    verdicts = [first_verdict(noise(160, 1000 + seed) + math.log1p(slowdown), plan) for seed in range(60)]
    assert verdicts.count(verdict) >= 57
    assert not {"lower", "higher"} - {verdict} & set(verdicts)


def test_a_difference_that_counts_is_not_called_equal():
    """2 % exactly is the hardest: at most 5 of 100 may be called equal."""
    verdicts = [first_verdict(noise(80, 5000 + seed) + math.log(1.02), plan_looks(80)) for seed in range(80)]
    assert verdicts.count("equal") <= 4


def test_equals_are_called_equal_in_the_end():
    assert decide((0.2 * noise(320, 1)).tolist()).verdict == "equal"


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "equal"), (0.01, "equal"), (0.03, "higher"), (-0.03, "lower")])
def test_verdicts_without_noise(shift, verdict):
    wobble = np.tile([0.001, -0.001, 0.002, -0.002], 10)
    decision = decide((wobble + shift).tolist(), plan=plan_looks(40))
    assert decision.verdict == verdict
    assert decision.low <= math.exp(shift) <= decision.high
    assert decision.rounds == 10  # the first look
    assert decision.confidence == 0.95


def test_a_decision_stands_whatever_comes_later():
    early = decide([0.05 + 0.001 * i for i in range(10)], plan=plan_looks(40))
    assert early.verdict == "higher"
    assert decide([0.05 + 0.001 * i for i in range(10)] + [-0.2] * 30, plan=plan_looks(40)) == early


def test_between_looks_nothing_changes():
    logs = noise(39, 3).tolist()
    plan = plan_looks(40)
    assert decide(logs[:19], plan=plan) == decide(logs[:10], plan=plan)
    assert decide(logs[:39], plan=plan) == decide(logs[:20], plan=plan)
    assert decide(logs[:39], plan=plan, final=True).rounds == 39  # unless no more will come


def test_before_the_first_look():
    decision = decide([0.1, 0.1])
    assert (decision.verdict, decision.rounds, decision.low, decision.high) == ("undecided", 0, 0.0, math.inf)
    assert decision.ratio == pytest.approx(math.exp(0.1))
    assert decide([]).ratio == 1.0


def test_rounds_after_the_last_look_are_not_looked_at():
    logs = [0.0, 0.1] * 20
    assert decide(logs, plan=Plan((10, 20))) == decide(logs[:20], plan=Plan((10, 20)))
    assert decide(logs, plan=Plan((10, 20)), final=True).rounds == 20


@pytest.mark.parametrize(
    "call",
    [lambda: decide([math.nan]), lambda: decide([0.1], 0), lambda: plan_looks(0), lambda: plan_looks(10, error=5)],
)
def test_wrong_input_is_refused(call):
    with pytest.raises(InputError, match="expected"):
        call()
