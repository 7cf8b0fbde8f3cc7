"""Decoded pictures → captured frames, with their camera's name, number and times."""

from __future__ import annotations

import itertools
import time

from edgevision.errors import DamagedFrameError
from edgevision.streams.camera_clock import CaptureClock
from edgevision.streams.captured import Captured
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.decoding import Picture
from edgevision.streams.sources.planes import PlaneReader


class Numbering:
    """Numbers the frames of one camera from 0, through all its connections; ``connected`` begins a new one."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._sequences = itertools.count()
        self._reader = PlaneReader()
        self._clock = CaptureClock()

    def connected(self) -> None:
        """Time stamps begin anew."""
        self._clock = CaptureClock()

    @property
    def stamp_speed(self) -> float | None:
        """How fast the time stamps of this connection run, in seconds a second; None until enough is seen."""
        return self._clock.speed

    def captured(self, picture: Picture) -> Captured:
        """The frame of ``picture``, received now. Raises DamagedFrameError, and counts it, for one without pixels."""
        received_s = time.monotonic()
        sequence = next(self._sequences)
        if picture.picture is None:
            raise DamagedFrameError(Reason.CORRUPT, "a picture is damaged, or came before the first key frame")
        frame = self._reader.frame(
            picture.picture, camera=self._camera, sequence=sequence, captured_ns=picture.captured_ns
        )
        return Captured(frame, received_s, self._clock.captured_s(picture.stamp_s, received_s))
