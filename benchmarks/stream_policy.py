"""The scenarios that the batcher's policy was designed by, on the real batcher with a fake clock, beside the design's own figures.

    PYTHONPATH=. python -m benchmarks.stream_policy [--seconds 60]

Each runs twice: as fresh as can be, and with an age budget of 40 ms. The design's figures are of a simulation of the policy alone;
phases of the cameras are random in both, and not the same. Times of frames are 5 % of a period off at random. Nothing here depends on
the speed of the machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.common import write_result
from benchmarks.stream_simulation import Outcome, SimulatedCamera, simulate
from edgevision.streams.options import Mode, Service, StreamOptions

BUDGET_S = 0.040
PAUSE_S = 0.450
PAUSE_EVERY_S = 2.0


@dataclass(frozen=True)
class Scenario:
    """``seconds``: of a batch. ``design``: p50 and p99 of the ages in ms, busy in %, least fps of a camera, or fps of all; of the
    policy as it is by default, and with the budget. None: it says nothing."""

    name: str
    cameras: Callable[[float, np.random.Generator], Mapping[str, SimulatedCamera]]
    seconds: Callable[[int], float]
    max_batch: int
    design: Mapping[str, Any]
    design_with_budget: Mapping[str, Any]


def regular(fps: float, until_s: float, random: np.random.Generator) -> list[float]:
    """A camera's frames: a random phase, and each a little off."""
    count = round(until_s * fps)
    off = random.uniform(0, 1) + 0.05 * random.uniform(-1, 1, count)
    return sorted(((np.arange(count) + off) / fps).tolist())


def several(count: int, fps: float, service: Service | None = None) -> Callable[..., dict[str, SimulatedCamera]]:
    def make(until_s: float, random: np.random.Generator) -> dict[str, SimulatedCamera]:
        return {
            f"{fps:g} fps, {i}": SimulatedCamera(regular(fps, until_s, random), service or Service())
            for i in range(count)
        }

    return make


def one_quick_camera(until_s: float, random: np.random.Generator) -> dict[str, SimulatedCamera]:
    return {**several(1, 60)(until_s, random), **several(7, 10)(until_s, random)}


def one_that_freezes(until_s: float, random: np.random.Generator) -> dict[str, SimulatedCamera]:
    """One of four gives nothing for 18 s of 60."""
    cameras = several(4, 25)(until_s, random)
    name, frozen = next(iter(cameras.items()))
    left = [at_s for at_s in frozen.arrivals_s if not 0.3 * until_s < at_s <= 0.6 * until_s]
    return {**cameras, name: SimulatedCamera(left)}


def encoders_that_pause(service: Service) -> Callable[..., dict[str, SimulatedCamera]]:
    """Each holds back 450 ms of its frames every two seconds, and sends them at once."""

    def make(until_s: float, random: np.random.Generator) -> dict[str, SimulatedCamera]:
        cameras = {}
        for i in range(8):
            captured = regular(15, until_s, random)
            phase_s = random.uniform(0, PAUSE_EVERY_S)
            began = [
                phase_s + PAUSE_EVERY_S * ((at_s - phase_s) // PAUSE_EVERY_S) for at_s in captured
            ]  # the last pause
            arrivals = [max(at_s, began_s + PAUSE_S) for at_s, began_s in zip(captured, began, strict=True)]
            ages = [arrival - at_s for arrival, at_s in zip(arrivals, captured, strict=True)]
            cameras[f"15 fps, {i}"] = SimulatedCamera(arrivals, service, ages)
        return cameras

    return make


def cheap(n: int) -> float:
    return 0.004 + 0.0015 * n


SCENARIOS = (
    Scenario(
        "8 × 15 fps, t = 4 + 1.5n ms", several(8, 15), cheap, 8,
        {"p50_ms": 9, "p99_ms": 21, "busy": 51}, {"p50_ms": 17, "p99_ms": 39, "busy": 30},
    ),
    Scenario(
        "16 × 25 fps, t = 10 + 4n ms (1.9× overload)", several(16, 25), lambda n: 0.010 + 0.004 * n, 16,
        {"p50_ms": 94, "p99_ms": 115}, {"p50_ms": 94, "p99_ms": 115},
    ),
    Scenario(
        "1 × 60 + 7 × 10 fps, t = 10 + 8n ms, 4 in a batch", one_quick_camera, lambda n: 0.010 + 0.008 * n, 4,
        {"least_fps": 10.0, "p50_ms": 53, "p99_ms": 85}, {"least_fps": 10.0, "p50_ms": 53, "p99_ms": 83},
    ),
    Scenario(
        "4 × 25 fps, one freezes for 30 % of the time", one_that_freezes, cheap, 8,
        {"fps": 92.5, "p50_ms": 8, "p99_ms": 16}, {"fps": 92.5, "p50_ms": 21, "p99_ms": 36},
    ),
    Scenario(
        "8 × 15 fps, encoders pause 450 ms, mode latest", encoders_that_pause(Service()), cheap, 8,
        {"fps": 97.2, "p50_ms": 15}, {"fps": 97.6, "p50_ms": 26},
    ),
    Scenario(
        "the same, mode burst:8, max_age 1 s", encoders_that_pause(Service(Mode("burst", 8), max_age_s=1.0)), cheap, 8, {}, {}
    ),
)  # fmt: skip


def figures(outcome: Outcome) -> dict[str, float]:
    ages_ms = 1e3 * np.array(outcome.ages_s())
    fps = [outcome.fps(camera) for camera in outcome.settled]
    return {
        "p50_ms": round(float(np.percentile(ages_ms, 50)), 1),
        "p99_ms": round(float(np.percentile(ages_ms, 99)), 1),
        "busy": round(100 * outcome.busy, 1),
        "fps": round(sum(fps), 1),
        "least_fps": round(min(fps), 1),
    }


def run(scenario: Scenario, until_s: float, budget_s: float | None) -> dict[str, Any]:
    cameras = scenario.cameras(until_s, np.random.default_rng(1))
    options = StreamOptions(age_budget_s=budget_s)
    outcome = simulate(cameras, scenario.seconds, max_batch=scenario.max_batch, options=options, until_s=until_s)
    assert all(account.balanced for account in outcome.accounts.values())
    return {
        "scenario": scenario.name,
        "age_budget_ms": None if budget_s is None else round(1e3 * budget_s),
        "measured": figures(outcome),
        "design": dict(scenario.design if budget_s is None else scenario.design_with_budget),
        "fates": _fates(outcome),
    }


def _fates(outcome: Outcome) -> dict[str, int]:
    total: dict[str, int] = {}
    for account in outcome.accounts.values():
        for fate, count in account.fates.items():
            total[fate.value] = total.get(fate.value, 0) + count
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the cameras' time")
    seconds = parser.parse_args().seconds
    rows = []
    for scenario in SCENARIOS:
        for budget_s in (None, BUDGET_S):
            row = run(scenario, seconds, budget_s)
            rows.append(row)
            measured = "  ".join(
                f"{name} {value:g} ({row['design'].get(name, '–')})" for name, value in row["measured"].items()
            )
            print(f"{scenario.name}{'' if budget_s is None else ', budget 40 ms'}: {measured}", flush=True)
    write_result("stream_policy", {"seconds": seconds, "scenarios": rows})


if __name__ == "__main__":
    main()
