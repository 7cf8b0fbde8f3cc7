"""Stream density: the most cameras that a target serves well, by doubling and then bisection. Every probe is kept."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from edgevision.bench.record import Figure
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session.figures import CONFIDENCE, served_by_camera, served_fps
from edgevision.bench.session.options import FIXED_RATE

MEAN = "mean"
EVERY_STREAM = "every-stream"


@dataclass(frozen=True)
class Found:
    """``best``: the most cameras that held, 0 where not even one did; ``worst``: the fewest that did not, None where all that were tried
    held. ``ended``: whether no number between them is left to be tried."""

    best: int
    worst: int | None
    ended: bool


def probe_scenario(scenario: Scenario, cameras: int) -> Scenario:
    """What a target is asked for to try so many cameras, without a block's length."""
    parameters = {"cameras": cameras, "fps": scenario.parameters["fps"], "batch": scenario.parameters["batch"]}
    return Scenario(FIXED_RATE, parameters, scenario.seed)


def holds(scenario: Scenario, block: Block) -> bool:
    """Whether a probe fulfils the scenario's rule.

    "mean": the frames a second served, averaged over cameras, reach ``least_mean`` (Intel's retail tools: 14.95 of 15). "every-stream":
    each camera was served ``share`` of its frames, and 99 in 100 results were at most ``age_ms`` old.
    """
    parameters = scenario.parameters
    if not len(block.latency_ns):
        return False
    if parameters["rule"] == MEAN:
        return served_fps(block) >= float(parameters["least_mean"])
    if min(served_by_camera(block), default=0.0) < float(parameters["share"]):
        return False
    ages = np.sort(block.latency_ns)
    return float(ages[max(1, int(np.ceil(len(ages) * 0.99 - 1e-9))) - 1]) <= float(parameters["age_ms"]) * 1e6


def repeats_of(scenario: Scenario) -> int:
    """How often a number of cameras is tried at most: it holds when more than half of the tries did."""
    return int(scenario.parameters.get("repeats", 1))


def verdict(scenario: Scenario, blocks: Sequence[Block], cameras: int) -> bool | None:
    """Whether so many cameras hold, by the probes in ``blocks``; None where more are needed to tell."""
    tried = [holds(scenario, block) for block in blocks if block.scenario.parameters["cameras"] == cameras]
    needed = repeats_of(scenario) // 2 + 1
    if sum(tried) >= needed:
        return True
    return False if len(tried) - sum(tried) > repeats_of(scenario) - needed else None


def search(start: int, most: int) -> Generator[int, bool, Found]:
    """Asks for numbers of cameras, and is told whether each holds; returns what was found.

    Doubles from ``start`` until one does not hold, halves until one does, then bisects. ``most``: no more are asked for.

    >>> asking = search(1, 64)
    >>> cameras = next(asking)
    >>> try:
    ...     while True:
    ...         cameras = asking.send(cameras <= 11)
    ... except StopIteration as end:
    ...     print(end.value)
    Found(best=11, worst=12, ended=True)
    """
    best, worst = 0, most + 1
    cameras = min(max(1, start), most)
    while worst - best > 1:
        if (yield cameras):
            best = cameras
        else:
            worst = cameras
        if worst > most:
            cameras = min(2 * best, most)
        elif best == 0:
            cameras = max(1, worst // 2)
        else:
            cameras = (best + worst) // 2
    return Found(best, None if worst > most else worst, True)


def found_in(scenario: Scenario, blocks: Sequence[Block], most: int) -> Found:
    """What probes say together, whether or not the search came to its end."""
    tried = sorted({int(block.scenario.parameters["cameras"]) for block in blocks})
    held = {cameras: verdict(scenario, blocks, cameras) for cameras in tried}
    worst = min((cameras for cameras in tried if held[cameras] is False), default=None)
    best = max((cameras for cameras in tried if held[cameras] and (worst is None or cameras < worst)), default=0)
    return Found(best, worst, best >= most or (worst is not None and worst - best == 1))


def figures_of_density(scenario: Scenario, blocks: Sequence[Block], most: int) -> tuple[Figure, ...]:
    """The figure "cameras"; its bounds are the numbers between which the search was left."""
    if not blocks:
        return ()
    found = found_in(scenario, blocks, most)
    high = None if found.worst is None else float(found.worst - 1)
    note = ""
    if not found.ended:
        tried = "all that were tried held" if found.worst is None else f"{found.worst} did not hold"
        note = f"the search did not end in time: at least {found.best} cameras; {tried}"
    elif found.worst is None:
        note = f"no more than {most} cameras were tried"
    return (
        Figure("cameras", "cameras", float(found.best), float(found.best), high, CONFIDENCE, True, len(blocks), note),
    )
