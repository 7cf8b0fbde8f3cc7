"""What may become of a frame. Each has exactly one fate."""

from __future__ import annotations

from enum import Enum


class Fate(Enum):
    """How a captured frame ended. ``words`` tells it to people; all but ``SERVED`` are drops."""

    SERVED = "served"
    SUPERSEDED = "superseded"
    OVERFLOW = "overflow"
    SKIPPED = "skipped"
    STALE = "stale"
    EXPIRED = "expired"
    CORRUPT = "corrupt"
    POISON = "poison"
    STOPPED = "stopped"

    @property
    def words(self) -> str:
        """What happened, in words that follow "n frames"."""
        return _WORDS[self]


_WORDS = {
    Fate.SERVED: "were served",
    Fate.SUPERSEDED: "gave way to a newer one before the model was free",
    Fate.OVERFLOW: "were dropped because the camera's queue was full",
    Fate.SKIPPED: "were over the camera's fps limit",
    Fate.STALE: "were too old already when they arrived, after a gap",
    Fate.EXPIRED: "could not be served within max_age",
    Fate.CORRUPT: "were damaged, or came before the first key frame",
    Fate.POISON: "made the model fail",
    Fate.STOPPED: "were waiting when the stream ended or the camera was removed",
}
