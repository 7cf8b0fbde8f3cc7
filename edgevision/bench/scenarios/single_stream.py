"""SingleStream, as LoadGen defines it: one frame at a time, the next when the last is answered. What one camera or one click feels."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.scenarios.checks import Checker
from edgevision.bench.scenarios.clock import now_ns, quiet, whole_ns
from edgevision.bench.scenarios.measured import (
    Switches,
    ask_once,
    block_of,
    integers,
    most_of,
    seconds_of,
    stage_arrays,
    taken,
)  # fmt: skip
from edgevision.bench.scenarios.order import asked, order
from edgevision.bench.targets.base import Target
from edgevision.bench.targets.interruption import INTERRUPTION

NAME = "single-stream"


def run(target: Target, workload: Any, scenario: Scenario, round: int, name: str) -> Block:
    """A block of single requests. Parameters: those of every scenario."""
    frames = workload.frames
    places = order(len(frames), scenario.seed)
    requests = [[frames[place]] for place in places.tolist()]
    seconds, most = seconds_of(scenario), most_of(scenario)
    latency = integers(most)
    rows: list[dict[str, int]] = []
    checker = Checker(target, frames, seconds)
    answer, clock = target.answer, now_ns
    with quiet():
        told = ask_once(target, requests[-1])
        stages: dict[str, int] | None = {} if told else None
        began = clock()
        end = began + whole_ns(seconds)
        switches = Switches(most)
        look = check = n = 0
        # What is not the target's own is kept to four steps a request; the rest is done once in LOOK_NS.
        for n, request in zip(range(most), cycle(requests)):
            start = clock()
            results = answer(request, stages)
            stop = clock()
            latency[n] = stop - start
            if stages is not None:
                rows.append(stages)
                stages = {}
            if stop < look:
                continue
            look = switches.look(n)
            if stop >= end or INTERRUPTION.asked:
                break
            if stop >= check:
                check = checker.look(n, [int(places[n % len(places)])], results, stop)
                look = switches.look(n)
        ended = clock()
    n += 1
    return block_of(
        name, scenario, round, began, ended, taken(latency, n), asked(places, n),
        switched=switches.marks(n), stages=stage_arrays(rows, told), wrong=tuple(checker.wrong),
    )  # fmt: skip
