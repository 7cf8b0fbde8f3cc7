"""What a scenario gives: a block of raw samples. Nothing is left out of it and nothing is averaged.

It runs in the target's process: this module needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scenario:
    """How to ask, as plain values. ``name``: of a module here, such as "single-stream"; ``parameters``: JSON values, such as
    ``{"cameras": 4, "fps": 15.0}``; ``seed``: of arrivals and of the frames' order.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Counters:
    """What the operating system counted over a block, for the process that was measured. None where it does not tell.

    ``switches``: times it was taken off its core; ``minor_faults``: pages given to it; ``cpu_ns``: processor time of all threads;
    ``memory_bytes``: resident at the end.
    """

    switches: int | None = None
    minor_faults: int | None = None
    cpu_ns: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """One uninterrupted turn of one target in one scenario.

    ``began_ns``: on the monotonic clock that all processes of a machine share; ``wall_ns``: how long it took.
    ``latency_ns`` int64 [n]: of each request, from when it was due to its answer; ``frames`` int64 [n]: which frame of the workload it
    was of, -1 for several; ``switched`` bool [n]: whether the asking thread was taken off its core meanwhile, empty where unknown.
    ``due_ns`` int64 [n]: when each was due, from the block's begin; empty where one follows the other.
    ``stages``: nanoseconds int64 [n] by stage, of those that the target tells; "schedule" is what a request waited.
    ``streams`` int64 [n]: which camera a request was of; empty in scenarios without cameras. ``dropped`` by camera: frames that were
    replaced by newer ones before their turn; ``offered`` by camera: frames that came.
    ``wrong``: places in ``latency_ns`` whose answer is not what the target said of that frame before the clock ran.
    """

    target: str
    scenario: Scenario
    round: int
    began_ns: int
    wall_ns: int
    latency_ns: Nanoseconds
    frames: Nanoseconds
    switched: npt.NDArray[np.bool_]
    due_ns: Nanoseconds
    stages: Mapping[str, Nanoseconds] = field(default_factory=dict)
    streams: Nanoseconds = field(default_factory=lambda: np.zeros(0, np.int64))
    dropped: tuple[int, ...] = ()
    offered: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    counters: Counters = field(default_factory=Counters)
