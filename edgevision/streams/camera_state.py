"""What a camera is doing, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from edgevision.streams.reasons import Reason


class State(Enum):
    """``CONNECTING``: being opened. ``LIVE``: new frames come. ``STALLED``: open, but no new picture comes. ``BACKOFF``: waits before
    it is opened again. ``DISABLED``: not tried any more until somebody acts. ``ENDED``: a file or folder is at its end."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    BACKOFF = "backoff"
    DISABLED = "disabled"
    ENDED = "ended"


@dataclass(frozen=True)
class CameraState:
    """The state of one camera: ``since_s`` in seconds of the monotonic clock; ``reason`` and ``words``: why it is not well, or
    what is worth knowing of it; None and empty where nothing is."""

    state: State
    since_s: float
    reason: Reason | None = None
    words: str = ""


@dataclass(frozen=True)
class StateChange:
    """A camera went from one state to another, or the reason changed. ``at_ns``: UTC nanoseconds since 1970."""

    camera: str
    state: State
    reason: Reason | None
    words: str
    at_ns: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "camera": self.camera, "state": self.state.value, "reason": self.reason.value if self.reason else None,
            "words": self.words, "at_ns": self.at_ns,
        }  # fmt: skip
