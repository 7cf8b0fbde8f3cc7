"""Targets whose blocks are made up, on a clock that they move themselves: a run of minutes takes a moment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session.session import Parts
from edgevision.bench.targets.base import Allowance, Answer, Identity
from edgevision.bench.workload.workload import Workload
from edgevision.errors import TargetError

FRAMES = 4


class Clock:
    """Seconds, moved by whoever takes time."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class MadeUp:
    """A target with latencies around ``ms``; serves ``capacity`` frames a second of cameras; ``on_block`` is called before each block."""

    def __init__(
        self, clock: Clock, ms: float, capacity: float = 100.0, seed: int = 0, sha256: str = "aa", on_block: Any = None
    ) -> None:
        self.identity = Identity(
            "python", "made up", sha256, 1, "classify", "float32", "none 1", "cpu", 1, (1, 3, 8, 8)
        )
        self.clock, self.ms, self.capacity = clock, ms, capacity
        self.random = np.random.default_rng(seed)
        self.on_block = on_block or (lambda scenario, round: None)
        self.asked: list[tuple[Scenario, int]] = []
        self.interrupted = self.closed = self.killed = 0

    def answers(self, limit_s: float = 0) -> list[Answer]:
        return [Answer(np.array([place]), np.array([0.9])) for place in range(FRAMES)]

    def run(self, scenario: Scenario, round: int, target_name: str, limit_s: float = 0) -> Block:
        self.asked.append((scenario, round))
        self.on_block(scenario, round)
        seconds = float(scenario.parameters["seconds"])
        self.clock.now_s += seconds
        began = int(self.clock.now_s * 1e9)
        if scenario.name == "fixed-rate":
            return self._cameras(scenario, round, target_name, began)
        slower = 1 + 0.01 * self.random.standard_normal()  # of this block
        n = max(1, min(200, int(seconds / self.ms * 1e3)))
        latency = (self.ms * 1e6 * slower * (1 + 0.02 * self.random.random(n))).astype(np.int64)
        none = np.zeros(0, np.int64)
        return Block(
            target_name, scenario, round, began, int(latency.sum()), latency, np.arange(n, dtype=np.int64) % FRAMES,
            np.zeros(n, np.bool_), none,
        )  # fmt: skip

    def _cameras(self, scenario: Scenario, round: int, name: str, began: int) -> Block:
        cameras, fps = int(scenario.parameters["cameras"]), float(scenario.parameters["fps"])
        each = int(fps * float(scenario.parameters["seconds"]))
        share = min(1.0, self.capacity / (cameras * fps))
        served = [round_down(each * share)] * cameras
        n = sum(served)
        latency = np.full(n, int(self.ms * 1e6), np.int64)
        streams = np.repeat(np.arange(cameras), served).astype(np.int64)
        return Block(
            name, scenario, round, began, int(float(scenario.parameters["seconds"]) * 1e9), latency, np.zeros(n, np.int64),
            np.zeros(0, np.bool_), np.zeros(n, np.int64), streams=streams, offered=(each,) * cameras,
            dropped=tuple(each - one for one in served),
        )  # fmt: skip

    def interrupt(self) -> None:
        self.interrupted += 1

    def close(self) -> None:
        self.closed += 1

    def kill(self) -> None:
        self.killed += 1


def round_down(value: float) -> int:
    return int(value + 1e-9)


class QuietWatcher:
    """A machine on which nothing else runs, unless ``values`` says so."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self._values = {"machine": {"cores": 2}, "others_before_cores": 0.0, **(values or {})}

    def values(self) -> dict[str, Any]:
        return self._values


def workload(seed: int = 0) -> Workload:
    random = np.random.default_rng(seed)
    return Workload(
        "noise", [random.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(FRAMES)], ((8, 8),) * FRAMES, seed=seed
    )


def parts(clock: Clock, targets: dict[str, Any], frames_seed: int = 0, watcher: QuietWatcher | None = None) -> Parts:
    """``targets``: by what their address ends with; a TargetError is raised when it is to be opened."""

    def opener(address: Any, allowance: Allowance, workload_path: Any, cores: Any, *, open_limit_s: float) -> Any:
        target = targets[address.what.rpartition(":")[2]]
        if isinstance(target, TargetError):
            raise target
        return target

    @contextlib.contextmanager
    def watch() -> Iterator[QuietWatcher]:
        yield watcher or QuietWatcher()

    made: Callable[[Any], Workload] = lambda options: workload(frames_seed)  # noqa: E731
    return Parts(made, opener, watch, clock)
