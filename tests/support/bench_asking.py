"""A stand-in for the scenarios where these are not there: asks each frame ``requests`` times, one request behind the other."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.targets.interruption import INTERRUPTION


def run_scenario(scenario: Scenario, target: Any, workload: Any, round: int, name: str) -> Block:
    latency, frames, infer = [], [], []
    began = time.monotonic_ns()
    for place in range(int(scenario.parameters["requests"])):
        if INTERRUPTION.asked:
            break
        which = place % len(workload.frames)
        stages: dict[str, int] = {}
        first = time.perf_counter_ns()
        target.answer([workload.frames[which]], stages)
        latency.append(time.perf_counter_ns() - first)
        frames.append(which)
        infer.append(stages.get("infer", 0))
    wall = time.monotonic_ns() - began
    return Block(
        target=name, scenario=scenario, round=round, began_ns=began, wall_ns=wall, latency_ns=np.array(latency, np.int64),
        frames=np.array(frames, np.int64), switched=np.zeros(0, bool), due_ns=np.zeros(0, np.int64),
        stages={"infer": np.array(infer, np.int64)}, dropped=(1, 2), offered=(3, 4), wrong=(0,),
    )  # fmt: skip
