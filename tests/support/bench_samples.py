"""Blocks of the benchmark harness with known samples, and answers with known contents."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.targets.base import Answer


def block(latency_ns: Any, round: int = 0, **fields: Any) -> Block:
    """A block of these latencies, frames counted up, nothing switched; ``fields`` as the block's own."""
    latency = np.asarray(latency_ns, np.int64)
    given: dict[str, Any] = {
        "target": "a",
        "scenario": Scenario("single-stream"),
        "round": round,
        "began_ns": round * 10**9,
        "wall_ns": int(latency.sum()),
        "latency_ns": latency,
        "frames": np.arange(len(latency)),
        "switched": np.zeros(len(latency), bool),
        "due_ns": np.zeros(0, np.int64),
    }
    return Block(**{**given, **fields})


def blocks(
    rounds: int = 12, n: int = 40, noise: float = 0.05, seed: int = 0, scale_ns: float = 1e6, **fields: Any
) -> list[Block]:
    """Healthy blocks: log-normal around ``scale_ns``, one for each round."""
    rng = np.random.default_rng(seed)
    return [block(scale_ns * np.exp(rng.normal(0, noise, n)), number, **fields) for number in range(rounds)]


def classes(best: int, score: float = 0.8, others: int = 3) -> Answer:
    """A classifier's answer."""
    ids = [best, *(best + 1 + i for i in range(others))]
    return Answer(np.array(ids), np.array([score, *((1 - score) / (2 + i) for i in range(others))]))


def found(*boxes: tuple[float, float, float, float], label: int = 0, score: float = 0.9) -> Answer:
    """A detector's answer."""
    return Answer(np.full(len(boxes), label), np.full(len(boxes), score), np.array(boxes, np.float64).reshape(-1, 4))


def tensor(*numbers: float) -> Answer:
    """The answer of a graph whose task nobody knows."""
    return Answer(np.zeros(0, np.int64), np.zeros(0), tensors={"out": np.array(numbers, np.float64)})
