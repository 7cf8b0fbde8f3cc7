"""What the harness itself costs: requests to a target that does nothing, by scenario.

    python -m benchmarks.bench_null

``p50_ns`` is what a null target's latency comes out as: so much of every latency is the clock's and ours. ``each_ns`` is a request's share of
the block's wall, all that lies between two requests included. The rule is at most 2 µs a request in single-stream. A latency in server and
fixed-rate holds the time in which a sleeping thread wakes up.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.common import write_result
from edgevision.bench.scenarios.asking import run_scenario
from edgevision.bench.scenarios.base import Scenario
from edgevision.bench.targets.base import Answer, Identity

ROUNDS = 11
LIMIT_NS = 2000
SCENARIOS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("single-stream", {}),
    ("multi-stream", {"samples": 8, "batch": 8}),
    ("offline", {"batch": 8}),
    ("server", {"rate": 500.0, "batch": 1, "workers": 1}),
    ("fixed-rate", {"cameras": 8, "fps": 15.0, "batch": 8}),
)


class Null:
    """Gives back what it gets."""

    identity = Identity("python", "", "", 0, "", "", "none", "python", 1, ())
    parallel = False

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        """See ``targets.base.Target``."""
        return frames

    def read(self, result: Any) -> Answer:
        """Always the same."""
        return Answer(np.zeros(1, np.int64), np.ones(1))

    def close(self) -> None:
        """Nothing to do."""


def main() -> None:
    workload = SimpleNamespace(frames=[np.full((64, 64, 3), value, np.uint8) for value in range(16)])
    target = Null()
    rows: dict[str, dict[str, float]] = {}
    for name, parameters in SCENARIOS:
        blocks = [
            run_scenario(
                Scenario(name, {"seconds": 0.3, "most_requests": 100_000, **parameters}, seed),
                target,
                workload,
                seed,
                "null",
            )
            for seed in range(ROUNDS)
        ]
        working = name not in ("server", "fixed-rate")
        rows[name] = {
            "p50_ns": statistics.median(float(np.median(block.latency_ns)) for block in blocks),
            "p99_ns": statistics.median(float(np.quantile(block.latency_ns, 0.99)) for block in blocks),
            "requests": float(sum(len(block.latency_ns) for block in blocks)),
        }
        if working:
            rows[name]["each_ns"] = statistics.median(block.wall_ns / len(block.latency_ns) for block in blocks)
        print(f"{name:14}", *(f"{key} {value:.0f}" for key, value in rows[name].items()))
    single = rows["single-stream"]
    within = single["p50_ns"] <= LIMIT_NS and single["each_ns"] <= LIMIT_NS
    write_result("bench-null", {"rounds": ROUNDS, "limit_ns": LIMIT_NS, "within": within, "scenarios": rows})


if __name__ == "__main__":
    main()
