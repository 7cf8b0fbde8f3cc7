"""From blocks to the figures of a scenario. They are made in the run's own process, after the clock has stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgevision.bench.record import Figure
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session import options as names
from edgevision.bench.statistics.percentiles import bounded, bounded_by_blocks
from edgevision.bench.statistics.ratio import Statistic, throughput

CONFIDENCE = 0.95
PERCENTILES = (0.5, 0.9, 0.99)
# The percentile that must have enough requests before a scenario ends, by LoadGen's rule for it.
HEADLINE = 0.9


def figures_of(scenario: Scenario, blocks: Sequence[Block]) -> tuple[Figure, ...]:
    """The figures of one target in one scenario; empty where nothing was answered. Density has its own: ``density``."""
    if scenario.name == names.FIXED_RATE:
        return _of_cameras(blocks)
    blocks = [block for block in blocks if len(block.latency_ns)]
    if not blocks:
        return ()
    if scenario.name == names.OFFLINE:
        return (_rate(scenario, blocks),)
    lost = sum(sum(block.dropped) for block in blocks)
    note = (
        f"{lost} requests were not begun in time, and no percentile counts them: the rate is too high" if lost else ""
    )
    return (*(_percentile(f"p{100 * p:g}", p, blocks, note) for p in PERCENTILES), _rate(scenario, blocks))


def frames_per_request(scenario: Scenario) -> int:
    """How many frames one request holds."""
    name = {names.MULTI_STREAM: "samples", names.OFFLINE: "batch"}.get(scenario.name)
    return int(scenario.parameters[name]) if name else 1


def statistics_of(scenario: Scenario) -> Mapping[str, Statistic]:
    """What two targets are compared by in a scenario, by the figure's name. The first decides when it is over."""
    if scenario.name == names.OFFLINE:
        return {"throughput": throughput}
    if scenario.name == names.FIXED_RATE:
        return {"age p50": _latency_at(0.5), "fps": served_fps}
    return {"p50": _latency_at(0.5), "p90": _latency_at(0.9)}


def served_fps(block: Block) -> float:
    """Frames a second that were served of each camera, on average over cameras."""
    return float(block.scenario.parameters["fps"]) * served_share(block)


def served_share(block: Block) -> float:
    """The share of frames that were served, 0…1."""
    return 1 - sum(block.dropped) / max(1, sum(block.offered))


def served_by_camera(block: Block) -> list[float]:
    """The share of each camera's frames that was served, 0…1; cameras that gave no frame are left out."""
    return [1 - dropped / offered for dropped, offered in zip(block.dropped, block.offered, strict=True) if offered]


def _latency_at(p: float) -> Statistic:
    def statistic(block: Block) -> float:
        ordered = np.sort(block.latency_ns)
        return float(ordered[max(1, int(np.ceil(len(ordered) * p - 1e-9))) - 1])

    return statistic


def _percentile(name: str, p: float, blocks: Sequence[Block], note: str = "") -> Figure:
    """A percentile over all requests. Its bounds are the wider ones of two: LoadGen's, which count requests, and those of whole blocks,
    which know that a machine is slower for seconds at a time."""
    samples = np.concatenate([block.latency_ns for block in blocks])
    by_request = bounded(samples, p)
    by_block = bounded_by_blocks([block.latency_ns for block in blocks], p, CONFIDENCE)
    if not by_request.enough:
        note = "; ".join(
            filter(None, [note, f"{len(samples)} requests were measured, and a bound needs {by_request.needed}"])
        )
    low, high = _wider(by_request.low, by_block.low, min), _wider(by_request.high, by_block.high, max)
    return Figure(name, "ms", by_request.value / 1e6, _ms(low), _ms(high), CONFIDENCE, False, len(samples), note)


def _wider(a: float | None, b: float | None, choose: Callable[[float, float], float]) -> float | None:
    return None if a is None else choose(a, a if b is None else b)


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6


def _rate(scenario: Scenario, blocks: Sequence[Block]) -> Figure:
    """Frames a second. Offline, of the wall's time; elsewhere of the time in which the target worked: what we do between two requests
    is not its own."""
    frames = frames_per_request(scenario)
    rates = []
    for block in blocks:
        working = scenario.name not in (names.OFFLINE, names.SERVER)
        ns = int(block.latency_ns.sum()) if working else block.wall_ns
        rates.append(frames * len(block.latency_ns) / max(1, ns) * 1e9)
    return _median("throughput", "frames/s", rates, higher=True)


def _median(name: str, unit: str, values: Sequence[float], *, higher: bool, note: str = "") -> Figure:
    """The median over blocks, with the bounds that so many blocks allow."""
    bound = bounded(np.asarray(values, np.float64), 0.5, CONFIDENCE)
    return Figure(name, unit, bound.value, bound.low, bound.high, CONFIDENCE, higher, len(values), note)


def _of_cameras(blocks: Sequence[Block]) -> tuple[Figure, ...]:
    blocks = [block for block in blocks if sum(block.offered)]
    if not blocks:
        return ()
    slowest = [float(block.scenario.parameters["fps"]) * min(served_by_camera(block)) for block in blocks]
    figures = [
        _median("fps", "fps", [served_fps(block) for block in blocks], higher=True),
        _median("fps of the slowest", "fps", slowest, higher=True),
        _median("dropped", "%", [100 * (1 - served_share(block)) for block in blocks], higher=False),
    ]
    served = [block for block in blocks if len(block.latency_ns)]
    if served:
        figures += [_percentile(f"age p{100 * p:g}", p, served) for p in PERCENTILES]
    return tuple(figures)
