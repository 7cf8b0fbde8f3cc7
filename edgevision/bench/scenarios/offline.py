"""Offline, as LoadGen defines it: all frames are there from the start, and the target takes them in batches as large as it may. How
many frames a second a machine manages that nobody waits for."""

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

NAME = "offline"


def run(target: Target, workload: Any, scenario: Scenario, round: int, name: str) -> Block:
    """A block of batches, one after the other; a request is a batch. Parameters: ``batch``, frames of each.

    Nothing is looked at while it runs: ``wall_ns`` is the target's work, with about a microsecond a batch of ours. The last batch is
    compared when the clock has stopped.
    """
    frames = workload.frames
    size = int(parameter(scenario, "batch", 1))
    seconds, most = seconds_of(scenario), most_of(scenario)
    requests, table = batches(frames, order(len(frames), scenario.seed, size * 64), size)
    latency = integers(most)
    rows: list[dict[str, int]] = []
    checker = Checker(target, frames, seconds)
    answer, clock = target.answer, now_ns
    with quiet():
        told = ask_once(target, requests[-1])
        began = clock()
        end = began + whole_ns(seconds)
        switches = Switches(most)
        look = n = 0
        stop = clock()
        for n, request in zip(range(most), cycle(requests)):
            stages: dict[str, int] | None = {} if told else None
            start = stop  # without a gap: what lies between two batches is a part of the wall as well
            results = answer(request, stages)
            stop = clock()
            latency[n] = stop - start
            if stages is not None:
                rows.append(stages)
            if stop < look:
                continue
            look = switches.look(n)
            if stop >= end or INTERRUPTION.asked:
                break
        ended = stop
        checker.look(n, table[n % len(table)].tolist(), results, stop)
    n += 1
    frames_of = table[np.arange(n) % len(table), 0] if size == 1 else np.full(n, -1, np.int64)
    return block_of(
        name, scenario, round, began, ended, taken(latency, n), frames_of,
        switched=switches.marks(n), stages=stage_arrays(rows, told), wrong=tuple(checker.wrong),
    )  # fmt: skip
