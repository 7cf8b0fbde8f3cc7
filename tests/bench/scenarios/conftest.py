"""Frames, and a way to ask a known target in this process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgevision.bench.scenarios.asking import run_scenario
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.targets.interruption import INTERRUPTION


@pytest.fixture(scope="session")
def frames() -> list[Any]:
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (12, 80, 3), np.uint8) for _ in range(5)]


@pytest.fixture
def ask(frames):
    """``ask(target, "single-stream", seconds=0.1, …)`` gives a block."""

    def asked(target: Any, name: str, *, seed: int = 3, round: int = 2, **parameters: Any) -> Block:
        INTERRUPTION.asked = False
        return run_scenario(
            Scenario(name, {"seconds": 0.1, **parameters}, seed), target, SimpleNamespace(frames=frames), round, "it"
        )

    yield asked
    INTERRUPTION.asked = False
