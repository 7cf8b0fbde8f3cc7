"""What a source of frames has to do."""

from __future__ import annotations

from typing import Protocol

from edgevision.streams.captured import Captured


class Source(Protocol):
    """One camera, file, folder or app that gives frames.

    ``open``, ``read`` and ``close`` are called by its capture thread alone; ``interrupt`` by any thread.
    A source may have two more properties: ``announced_fps``, the rate that a camera tells, and ``stamp_speed``, how fast its time stamps
    run, in seconds a second; both None where they are not known.
    A picture that stands alone, such as a JPEG, may be given as it came, as an ``encoded.EncodedFrame``: it is decoded when the model takes it.
    ``live``: False for files and folders, which can wait: no frame of theirs is lost unless that is asked for.
    """

    @property
    def live(self) -> bool:
        """Whether frames come when they want, and not when they are asked for."""

    def open(self) -> None:
        """Connect. May be called again after ``close``. Raises SourceError."""

    def read(self) -> Captured | None:
        """The next frame, not numbered yet; None at the end of a file or folder. Blocks no longer than its time-out. Raises SourceError."""

    def close(self) -> None:
        """Give everything back. Closing twice is allowed."""

    def interrupt(self) -> None:
        """Make an ``open`` or ``read`` that blocks come back soon, with SourceError or None."""
