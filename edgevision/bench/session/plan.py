"""What is measured, in which order, and how long it will take."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from edgevision.bench.scenarios.base import Scenario
from edgevision.bench.session import options as names
from edgevision.bench.session.options import BenchOptions

LEAST_BLOCK_S, MOST_BLOCK_S = 0.25, 1.0
LEAST_REQUESTS = 32  # of a block, where they fit
SEARCHED = (names.DENSITY, names.DENSITY_MEAN)
INTEL_FPS, INTEL_MEAN = 15.0, 14.95  # Intel's retail tools: cameras of 15 fps, of which 14.95 must be served on average

_T = TypeVar("_T")


def scenarios_of(options: BenchOptions, rate: float | None = None) -> tuple[Scenario, ...]:
    """The scenarios of a run, as its record names them: everything that a figure depends on, but for a block's length.

    ``rate``: of the server scenario, where the options leave it open.
    """
    return tuple(_scenario(name, options, rate) for name in options.scenarios)


def _scenario(name: str, options: BenchOptions, rate: float | None) -> Scenario:
    cameras: dict[str, Any] = {"fps": float(options.fps), "batch": options.batch}
    parameters: dict[str, dict[str, Any]] = {
        names.SINGLE_STREAM: {},
        names.MULTI_STREAM: {"samples": options.samples, "batch": options.batch},
        names.SERVER: {"rate": options.rate or rate, "batch": options.batch, "workers": 1},
        names.OFFLINE: {"batch": options.batch},
        names.FIXED_RATE: {"cameras": options.cameras, **cameras},
        names.DENSITY: {
            "rule": "every-stream", **cameras, "share": options.share, "age_ms": options.age_ms, "repeats": options.repeats,
            "probe_seconds": options.probe_seconds,
        },
        names.DENSITY_MEAN: {
            "rule": "mean", "fps": INTEL_FPS, "batch": options.batch, "least_mean": INTEL_MEAN, "probe_seconds": options.probe_seconds,
        },
    }  # fmt: skip
    return Scenario(names.DENSITY if name in SEARCHED else name, parameters[name], options.seed)


def block_seconds(scenario: Scenario, request_s: float, options: BenchOptions) -> float:
    """How long a block of the scenario is, where a request takes the slowest target ``request_s``: long enough for a few dozen
    requests, and no longer than a second, so that targets take turns often."""
    if scenario.name == names.FIXED_RATE:
        return min(options.probe_seconds, max(1.0, 16 / float(scenario.parameters["fps"])))
    if scenario.name == names.SERVER:
        request_s = max(request_s, 1 / float(scenario.parameters["rate"]))
    return min(MOST_BLOCK_S, max(LEAST_BLOCK_S, LEAST_REQUESTS * request_s))


def for_block(scenario: Scenario, seconds: float, round: int) -> Scenario:
    """The scenario as a target is asked for one block. All targets of a round get the same seed: frames and arrivals are the same."""
    seed = int(np.random.SeedSequence([scenario.seed, round]).generate_state(1)[0])
    return Scenario(scenario.name, {**scenario.parameters, "seconds": round_seconds(seconds)}, seed)


def round_seconds(seconds: float) -> float:
    """To milliseconds, as a person reads it."""
    return float(np.round(seconds, 3))


def shuffled(items: Sequence[_T], seed: int, round: int) -> list[_T]:
    """The items in the order of a round, another one each time."""
    order = list(items)
    random.Random(f"{seed} {round}").shuffle(order)
    return order
