"""Pictures → captured frames, with their camera's name and times."""

from __future__ import annotations

import time

from edgevision.errors import DamagedFrameError
from edgevision.frames import Frame
from edgevision.streams.camera_clock import CaptureClock
from edgevision.streams.captured import Captured
from edgevision.streams.encoded import EncodedFrame, EncodedPicture
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.decoding import Picture
from edgevision.streams.sources.planes import PlaneReader


class FrameMaker:
    """Makes the frames of one camera, through all its connections; ``connected`` begins a new one. Whoever reads them numbers them."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
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
        """The frame of ``picture``, received now. Raises DamagedFrameError for one without pixels."""
        received_s = time.monotonic()
        if picture.picture is None:
            raise DamagedFrameError(Reason.CORRUPT, "a picture is damaged, or came before the first key frame")
        frame: Frame | EncodedFrame
        if isinstance(picture.picture, EncodedPicture):
            frame = EncodedFrame(picture.picture, self._camera, captured_ns=picture.captured_ns)
        else:
            frame = self._reader.frame(picture.picture, camera=self._camera, captured_ns=picture.captured_ns)
        return Captured(frame, received_s, self._clock.captured_s(picture.stamp_s, received_s))
