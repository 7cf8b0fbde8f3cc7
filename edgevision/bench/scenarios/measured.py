"""What a block collects while it runs, and the block that is made of it. Arrays are there before the clock runs."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.bench.scenarios.base import Block, Nanoseconds, Scenario
from edgevision.bench.scenarios.clock import LOOK_NS, now_ns, switch_counter
from edgevision.bench.targets.base import Target

SECONDS = 0.5  # of a block whose scenario does not say
MOST_REQUESTS = 5000  # of a block: enough for any percentile, and the record stays small

# The parameters that every scenario knows besides its own: a block's length, and the requests after which it ends in any case.
COMMON = ("seconds", "most_requests")


def seconds_of(scenario: Scenario) -> float:
    """How long a block is meant to take."""
    return float(scenario.parameters.get("seconds", SECONDS))


def most_of(scenario: Scenario) -> int:
    """How many requests a block may have."""
    return int(scenario.parameters.get("most_requests", MOST_REQUESTS))


def parameter(scenario: Scenario, name: str, least: float) -> float:
    """A number that the scenario must have. Raises ValueError where it is missing or below ``least``."""
    value = scenario.parameters.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
        raise ValueError(f"scenario {scenario.name}: expected a number {name} ≥ {least:g}, got {value!r}")
    return float(value)


def integers(n: int) -> array[int]:
    """``n`` zeros of 64 bits that are in memory already: writing into them gives no page fault."""
    return array("q", bytes(8 * n))


def ask_once(target: Target, frames: Sequence[Any]) -> tuple[str, ...]:
    """One request outside the clock, for a target that has slept through the others' turns; the stages that it tells."""
    told: dict[str, int] = {}
    target.answer(frames, told)
    return tuple(told)


class Switches:
    """Which requests of the asking thread were taken off their core.

    Asking the system takes about as long as a very quick target needs for a request. So it is asked at most once in ``LOOK_NS``: what
    was asked of the target since the last time is marked as a whole, too many rather than too few.
    """

    def __init__(self, n: int) -> None:
        self._count: Callable[[], int] | None = switch_counter()
        self._marks = bytearray(n)
        self._from = 0
        self._seen = self._count() if self._count else 0

    def look(self, request: int) -> int:
        """After ``request``; returns the moment of the next look, as ``now_ns``."""
        if self._count:
            count = self._count()
            if count != self._seen:
                self._marks[self._from : request + 1] = b"\x01" * (request + 1 - self._from)
                self._seen = count
            self._from = request + 1
        return now_ns() + LOOK_NS

    def marks(self, n: int) -> npt.NDArray[np.bool_]:
        """bool [n]; empty where the system does not tell."""
        if self._count is None:
            return np.zeros(0, np.bool_)
        return np.array(self._marks[:n], np.bool_)


def stage_arrays(rows: Sequence[Mapping[str, int]], names: Sequence[str]) -> dict[str, Nanoseconds]:
    """Nanoseconds int64 [n] by stage."""
    return {name: np.fromiter((row.get(name, 0) for row in rows), np.int64, len(rows)) for name in names}


def taken(values: array[int], n: int) -> Nanoseconds:
    """The first ``n`` of them, int64 [n]."""
    return np.array(values[:n], np.int64)


def block_of(
    name: str, scenario: Scenario, round: int, began_ns: int, ended_ns: int, latency_ns: Nanoseconds, frames: Nanoseconds,
    **more: Any,
) -> Block:  # fmt: skip
    """A block; what the scenario does not have stays empty. ``more``: fields of ``Block``."""
    fields: dict[str, Any] = {"switched": np.zeros(0, np.bool_), "due_ns": np.zeros(0, np.int64), **more}
    return Block(name, scenario, round, began_ns, ended_ns - began_ns, latency_ns, frames, **fields)
