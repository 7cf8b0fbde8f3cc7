"""How a sink is: what it has taken and lost, what waits, and why nothing goes out now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SinkCounts:
    """What became of the items that a sink was given: ``put`` = the others together, at every moment.

    ``written``: the sink took them. ``overflow``: dropped, oldest first, because the queue was full. ``failed``: the sink raised
    twice, or cannot take this item. ``unwritten``: still waiting when it was closed. ``waiting``: in the queue or being written now.
    """

    put: int = 0
    written: int = 0
    overflow: int = 0
    failed: int = 0
    unwritten: int = 0
    waiting: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class SpoolStatus:
    """Messages between a sink and the other side. ``waiting`` and ``waiting_bytes``: on disk now. Since this run began:
    ``delivered``, and ``late`` of these were marked so. ``dropped``: (reason, kind) → messages that are lost, earlier runs included;
    the reasons are ``size``, ``age`` and ``refused``. ``set_aside``: what a damaged spool was renamed to when it was opened."""

    waiting: int = 0
    waiting_bytes: int = 0
    delivered: int = 0
    late: int = 0
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)
    set_aside: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``dropped`` by reason, then by kind."""
        by_reason: dict[str, dict[str, int]] = {}
        for (reason, kind), count in self.dropped.items():
            by_reason.setdefault(reason, {})[kind] = count
        return {
            "waiting": self.waiting, "waiting_bytes": self.waiting_bytes, "delivered": self.delivered, "late": self.late,
            "dropped": by_reason, "set_aside": self.set_aside,
        }  # fmt: skip


@dataclass(frozen=True)
class Health:
    """What a sink knows of the other side. ``fault``: why nothing goes out now; empty where all is well."""

    fault: str = ""
    spool: SpoolStatus | None = None


@dataclass(frozen=True)
class SinkStatus:
    """One sink as of now. ``fault``: why it takes nothing, or why nothing goes out; empty where all is well. ``lost``: kind → items
    that never reached it. ``bad_item``: what was wrong with the last item that it could not take."""

    name: str
    fault: str = ""
    counts: SinkCounts = field(default_factory=SinkCounts)
    lost: Mapping[str, int] = field(default_factory=dict)
    bad_item: str = ""
    spool: SpoolStatus | None = None

    @property
    def up(self) -> bool:
        """Whether all is well."""
        return not self.fault

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "sink": self.name, "up": self.up, "fault": self.fault, "counts": self.counts.to_dict(), "lost": dict(self.lost),
            "bad_item": self.bad_item, "spool": None if self.spool is None else self.spool.to_dict(),
        }  # fmt: skip
