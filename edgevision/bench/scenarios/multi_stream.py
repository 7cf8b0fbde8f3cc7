"""MultiStream, as LoadGen defines it: queries of several frames, the next when the last is answered as a whole. What a rig of cameras
that are triggered together feels. It is not cameras at a fixed rate: that is ``fixed_rate``."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.scenarios.checks import Checker
from edgevision.bench.scenarios.clock import now_ns, quiet, whole_ns
from edgevision.bench.scenarios.measured import (
    Switches,
    ask_once,
    block_of,
    integers,
    most_of,
    parameter,
    seconds_of,
    stage_arrays,
    taken,
)  # fmt: skip
from edgevision.bench.scenarios.order import batches, order
from edgevision.bench.targets.base import Target
from edgevision.bench.targets.interruption import INTERRUPTION

NAME = "multi-stream"
SAMPLES = 8  # frames of a query, as LoadGen's rules have it


def run(target: Target, workload: Any, scenario: Scenario, round: int, name: str) -> Block:
    """A block of queries. Parameters: ``samples``, frames of a query; ``batch``, the most that the target is given at once: a larger
    query is asked in parts, one after the other."""
    frames = workload.frames
    samples = int(parameter(scenario, "samples", 1))
    batch = min(samples, int(parameter(scenario, "batch", 1)))
    seconds, most = seconds_of(scenario), most_of(scenario)
    queries, table = batches(frames, order(len(frames), scenario.seed, samples * 64), samples)
    parts = [[query[at : at + batch] for at in range(0, samples, batch)] for query in queries]
    latency = integers(most)
    rows: list[dict[str, int]] = []
    checker = Checker(target, frames, seconds)
    answer, clock = target.answer, now_ns
    with quiet():
        told = ask_once(target, parts[-1][0])
        began = clock()
        end = began + whole_ns(seconds)
        switches = Switches(most)
        look = check = n = 0
        for n, query in zip(range(most), cycle(parts)):
            stages: dict[str, int] | None = {} if told else None
            start = clock()
            for part in query:
                results = answer(part, stages)
            stop = clock()
            latency[n] = stop - start
            if stages is not None:
                rows.append(stages)
            if stop < look:
                continue
            look = switches.look(n)
            if stop >= end or INTERRUPTION.asked:
                break
            if stop >= check:
                last = table[n % len(table), samples - len(query[-1]) :]
                check = checker.look(n, last.tolist(), results, stop)
                look = switches.look(n)
        ended = clock()
    n += 1
    return block_of(
        name, scenario, round, began, ended, taken(latency, n), np.full(n, -1, np.int64),
        switched=switches.marks(n), stages=stage_arrays(rows, told), wrong=tuple(checker.wrong),
    )  # fmt: skip
