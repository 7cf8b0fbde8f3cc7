"""Graphs and bundles whose answers are known, and targets that are closed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cells
import pytest

from edgevision.bench.targets.address import parse_address
from edgevision.bench.targets.base import Allowance, Target
from edgevision.bench.targets.registry import open_target


@pytest.fixture
def opened() -> Iterator[Callable[..., Target]]:
    """``opened("onnx:m.onnx@as=m.edge")`` opens a target in this process."""
    targets: list[Target] = []

    def open_here(text: str, threads: int = 1, max_batch: int = 4) -> Target:
        targets.append(open_target(parse_address(text), Allowance(threads, max_batch)))
        return targets[-1]

    yield open_here
    for target in targets:
        target.close()


@pytest.fixture
def cells_bundle(tmp_path: Path) -> Path:
    return cells.write_cells(tmp_path / "cells.edge")
