"""A workload, and targets in their processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgevision.bench.process.remote import RemoteTarget
from edgevision.bench.targets.address import parse_address
from edgevision.bench.targets.base import Allowance
from edgevision.bench.workload import Workload


@pytest.fixture(scope="session")
def workload() -> Workload:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (12, 80, 3), np.uint8) for _ in range(5)]
    return Workload("noise", frames, ((80, 12),) * 5, seed=0)


@pytest.fixture(scope="session")
def workload_path(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("workload") / "frames"
    workload.save(path)
    return path


@pytest.fixture
def remote(workload_path: Path) -> Iterator[Callable[..., RemoteTarget]]:
    """``remote("python:…")`` opens a target in a process of its own, ended after the test."""
    opened: list[RemoteTarget] = []

    def open_remote(address: str, allowance: Allowance | None = None, **options: object) -> RemoteTarget:
        opened.append(RemoteTarget(parse_address(address), allowance or Allowance(), workload_path, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_remote
    for one in opened:
        one.kill()
