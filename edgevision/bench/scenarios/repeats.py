"""Every frame twice: as one that was never seen before, and then again. It tells a target that answers from a cache from one that works."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.scenarios.clock import now_ns, quiet, whole_ns
from edgevision.bench.scenarios.measured import ask_once, block_of, parameter, seconds_of
from edgevision.bench.scenarios.order import asked, never_seen, order
from edgevision.bench.targets.base import Target
from edgevision.bench.targets.interruption import INTERRUPTION

NAME = "repeats"
PAIRS = 40


def run(target: Target, workload: Any, scenario: Scenario, round: int, name: str) -> Block:
    """A block of pairs: requests 0, 2, 4, … are of new frames, 1, 3, 5, … of the same again at once. No figure is made of it.

    Parameters: ``pairs``, how many at most. New frames are copies of the workload's that differ in a few bits, made outside the clock.
    """
    frames = workload.frames
    pairs = int(parameter(scenario, "pairs", 1)) if "pairs" in scenario.parameters else PAIRS
    places = asked(order(len(frames), scenario.seed), pairs)
    mark = int(np.random.default_rng(scenario.seed).integers(0, 1 << 31)) ^ (round & 0xFFFF)
    latency: list[int] = []
    with quiet():
        ask_once(target, [frames[int(places[0])]])
        began = now_ns()
        end = began + whole_ns(seconds_of(scenario))
        for number, place in enumerate(places.tolist()):
            request = [never_seen(frames[place], (mark + number) & 0xFFFF_FFFF)]
            for _ in range(2):
                start = now_ns()
                target.answer(request, None)
                latency.append(now_ns() - start)
            if now_ns() >= end or INTERRUPTION.asked:
                break
        ended = now_ns()
    n = len(latency)
    return block_of(
        name, scenario, round, began, ended, np.asarray(latency, np.int64), np.repeat(places, 2)[:n].astype(np.int64)
    )
