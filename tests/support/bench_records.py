"""Made-up records of the benchmark harness, with seeds: known ratios, density probes, rows that failed, names that mean harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgevision.bench.record import Comparison, Doubt, Record, Result, TargetEntry
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session.density import figures_of_density
from edgevision.bench.session.figures import figures_of
from edgevision.bench.targets.base import Allowance, Identity

SINGLE = Scenario("single-stream")
OFFLINE = Scenario("offline", {"batch": 8})
FIXED = Scenario("fixed-rate", {"cameras": 4, "fps": 15.0, "batch": 8})
DENSITY = Scenario(
    "density",
    {
        "rule": "every-stream",
        "fps": 15.0,
        "batch": 8,
        "share": 0.98,
        "age_ms": 200.0,
        "repeats": 3,
        "probe_seconds": 3.0,
    },
)

OURS, PEER = "shelf.edge", "onnx:shelf.onnx"
HOSTILE = '<script>alert(1)</script>&"\x1b[2J$x_{'
MACHINE = {"cpu": "Test CPU", "architecture": "x86_64", "features": ["avx2", "fma"], "cores": 2, "system": "Linux 6"}


def identity(**changed: Any) -> Identity:
    found = Identity(
        "bundle", "shelf.edge", "ab" * 32, 12_345_678, "detect", "int8 in 56 of 58 layers", "openvino 2026.4.1", "CPU: brgemm_avx512", 1,
        (1, 3, 640, 640), {"openvino": "2026.4.1", "numpy": "2.4.6"}, ("prepared by our own kernels",),
    )  # fmt: skip
    return replace(found, **changed)


def entry(name: str, unsupported: str = "", **changed: Any) -> TargetEntry:
    return TargetEntry(
        name, f"given:{name}", Allowance(1, 8), None if unsupported else identity(**changed), unsupported
    )


def latencies_ns(rng: np.random.Generator, n: int, ms: float, spread: float = 0.06) -> np.ndarray:
    """Log-normal, with a straggler now and then."""
    values = ms * 1e6 * np.exp(spread * rng.standard_normal(n))
    values[rng.random(n) < 0.01] *= 2.5
    return values.astype(np.int64)


def block(target: str, scenario: Scenario, round: int, latency: np.ndarray, **more: Any) -> Block:
    n = len(latency)
    stages = {"preprocess": latency // 5, "infer": latency // 10 * 7, "post": latency // 20}
    fields: dict[str, Any] = {
        "switched": np.arange(n) % 20 == 0,
        "due_ns": np.zeros(0, np.int64),
        "stages": stages,
        **more,
    }
    return Block(
        target,
        scenario,
        round,
        10**15 + round * 10**9,
        max(1, int(latency.sum())),
        latency,
        np.arange(n, dtype=np.int64),
        **fields,
    )


def blocks(
    target: str, scenario: Scenario, ms: float, rounds: int = 12, n: int = 80, seed: int = 0, shift: float = 0.02
) -> tuple[Block, ...]:
    """Rounds that differ by ``shift`` (the standard deviation of their log), besides the requests in them."""
    rng = np.random.default_rng(seed)
    asked = replace(scenario, parameters={**scenario.parameters, "seconds": 0.5})
    return tuple(
        block(target, asked, round, latencies_ns(rng, n, ms * float(np.exp(shift * rng.standard_normal()))))
        for round in range(rounds)
    )


def camera_block(target: str, round: int, cameras: int, capacity: float, seed: int = 0, seconds: float = 3.0) -> Block:
    """A probe of a target that serves ``capacity`` frames a second: above it, frames are dropped and results are old."""
    rng = np.random.default_rng((seed, round, cameras))
    offered = int(15 * seconds)
    share = min(1.0, capacity / (15 * cameras))
    served = [max(1, round_(offered * share)) for _ in range(cameras)]
    load = min(0.97, 15 * cameras / capacity)
    age = latencies_ns(rng, sum(served), 20 / (1 - load), 0.3)
    scenario = Scenario("fixed-rate", {"cameras": cameras, "fps": 15.0, "batch": 8, "seconds": seconds})
    return replace(
        block(target, scenario, round, age), stages={}, streams=np.repeat(np.arange(cameras), served),
        offered=(offered,) * cameras, dropped=tuple(offered - one for one in served), wall_ns=int(seconds * 1e9),
    )  # fmt: skip


def round_(value: float) -> int:
    return int(np.floor(value + 0.5))


def density_result(target: str, capacity: float, seed: int = 0) -> Result:
    best = int(capacity // 15)
    tried = sorted({1, 2, 4, max(1, best // 2), best, best + 1, 2 * best})
    probes = tuple(
        camera_block(target, place, cameras, capacity, seed) for place, cameras in enumerate(tried) for _ in range(2)
    )
    return Result(target, DENSITY, "complete", "", probes, figures_of_density(DENSITY, probes, 256), ())


def result(target: str, scenario: Scenario, ms: float, doubts: Sequence[Doubt] = (), **how: Any) -> Result:
    measured = blocks(target, scenario, ms, **how)
    return Result(target, scenario, "complete", "", measured, figures_of(scenario, measured), tuple(doubts))


def record(
    targets: Sequence[TargetEntry], results: Sequence[Result], comparisons: Sequence[Comparison] = (), **changed: Any
) -> Record:
    found = Record(
        "0123456789abcdef", "edgevision bench shelf.edge onnx:shelf.onnx", "2026-11-28T10:00:00+00:00", "2026-11-28T10:05:00+00:00", "complete",
        {"name": "rendered", "width": 1920, "height": 1080, "format": "bgr", "seed": 0, "count": 32, "sha256": "cd" * 32},
        {"machine": dict(MACHINE), "load": {"before": [0.1, 0.2, 0.3]}, "energy": {"unavailable": "no meter"}},
        tuple(targets), tuple(results), tuple(comparisons),
    )  # fmt: skip
    return replace(found, **changed)


def plain_record(ms: float = 10.0, seed: int = 0, rounds: int = 12, **changed: Any) -> Record:
    """One target in one scenario."""
    return replace(record([entry(OURS)], [result(OURS, SINGLE, ms, seed=seed, rounds=rounds)]), **changed)


def full_record(**changed: Any) -> Record:
    """Two targets in three scenarios, one that is not there, one that failed, and a hostile one."""
    doubts = [Doubt("drift", f"it became 4 % slower over the run; {HOSTILE}")]
    wrong = [Doubt("output-wrong", "3 of 20 answers are not what it said before: do not use it", fatal=True)]
    results = [
        result(OURS, SINGLE, 10.0, seed=1),
        result(PEER, SINGLE, 16.0, doubts, seed=2),
        result(HOSTILE, SINGLE, 3.0, wrong, seed=3),
        Result("http:kiosk", SINGLE, "failed", "its process ended by signal 9 (killed)", (), (), ()),
        result(OURS, OFFLINE, 60.0, seed=4),
        result(PEER, OFFLINE, 90.0, seed=5),
        density_result(OURS, 200.0, 6),
        density_result(PEER, 95.0, 7),
    ]
    comparisons = [
        Comparison(PEER, OURS, SINGLE, "p50", 1.6, 1.58, 1.62, 0.95, 12, "higher", "decided"),
        Comparison(PEER, OURS, SINGLE, "p90", 1.6, 0.97, 1.8, 0.95, 12, "undecided", "budget"),
        Comparison(PEER, OURS, OFFLINE, "throughput", 0.66, 0.65, 0.67, 0.95, 12, "lower", "decided"),
    ]
    entries = [
        entry(OURS),
        entry(PEER, kind="onnx", file="shelf.onnx", precision="float32", engine="onnxruntime 1.32.0"),
        entry(HOSTILE, file=HOSTILE, notes=(HOSTILE,)),
        entry("http:kiosk", kind="http", file="", sha256="", bytes=0),
        entry("openvino:shelf.xml", "openvino is not installed; pip install 'edgevision[openvino]'"),
    ]
    return record(entries, results, comparisons, **changed)
