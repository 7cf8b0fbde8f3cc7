"""Whether the running block is to end early: one flag for a target's process, set by another thread than the one that asks."""

from __future__ import annotations


class Interruption:
    """``asked``: end after the request that is running, and give what was measured so far. Scenarios look at it between requests."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = False


# The process's own. ``process.child`` sets it when the run is interrupted, and clears it before each block.
INTERRUPTION = Interruption()
