"""Targets of ``edgevision bench`` that ``growth`` needs besides bundles; they are called where this repository lies.

edgevision bench python:benchmarks.growth_targets:parts@bundle=M.edge,size=4 --scenario multi-stream --samples 32 --batch 32
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.bench_null import Null
from edgevision.bench.targets import bundle as bundles
from edgevision.bench.targets.address import parse_address
from edgevision.bench.targets.base import Allowance, Answer


class Parts:
    """A bundle that gets its frames in batches of ``size``, however many it is given: so batches of many sizes are asked in one run."""

    parallel = False

    def __init__(self, bundle: str, size: int, allowance: Allowance) -> None:
        self._target = bundles.open(parse_address(bundle), replace(allowance, max_batch=size))
        self._size = size
        found = self._target.identity
        self.identity = replace(found, notes=(*found.notes, f"its frames are given in batches of {size}"))

    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        """See ``Target``."""
        parts = [frames[at : at + self._size] for at in range(0, len(frames), self._size)]
        return [result for part in parts for result in self._target.answer(part, stages)]

    def read(self, result: Any) -> Answer:
        """See ``Target``."""
        return self._target.read(result)

    def close(self) -> None:
        """See ``Target``."""
        self._target.close()


def parts(allowance: Allowance, bundle: str, size: str) -> Parts:
    """``bundle``: a file; ``size``: the most frames at once."""
    return Parts(bundle, int(size), allowance)


class Nobody(Null):
    """Serves each frame as it comes, and does nothing: what is left is the scenario's own work."""

    def open_stream(self, cameras: int, fps: float, served: Callable[[int, int], None]) -> NobodysStream:
        """See ``Streaming``."""
        return NobodysStream(served)


class NobodysStream:
    """See ``Nobody``."""

    def __init__(self, served: Callable[[int, int], None]) -> None:
        self._served = served

    def push(self, camera: int, number: int, frame: Any) -> None:
        """See ``Stream``."""
        self._served(camera, number)

    def close(self) -> None:
        """Nothing to do."""


def nobody(allowance: Allowance) -> Nobody:
    """Nothing is asked of it but to be there."""
    return Nobody()
