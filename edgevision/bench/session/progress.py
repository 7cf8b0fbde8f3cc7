"""How a run tells how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

OPEN = "open targets"
WARM_UP = "warm up"
MEASURE = "measure"
DENSITY = "stream density"


class Progress(Protocol):
    """Told while a run goes on, by its own thread."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """``done`` of ``total`` of a step."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """What the steps to come will take, by name, in their order."""


class Silent:
    """Tells nobody."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """See ``Progress``."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """See ``Progress``."""
