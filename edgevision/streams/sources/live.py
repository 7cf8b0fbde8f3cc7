"""What cameras have in common whose frames PyAV reads."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from edgevision.errors import SourceError
from edgevision.streams.captured import Captured
from edgevision.streams.options import CameraOptions
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.decoding import Decoder, Picture
from edgevision.streams.sources.ffmpeg import need_av
from edgevision.streams.sources.frame_maker import FrameMaker

if TYPE_CHECKING:
    from av.container import InputContainer


class LiveCamera(ABC):
    """A camera that sends when it wants. Frames keep the memory that FFmpeg decoded them into.

    Nothing is kept back: whoever does not read in time gets what the network or the driver still holds. So read all the
    time, and let a ``Mailbox`` hold the newest.
    """

    live = True

    def __init__(self, options: CameraOptions) -> None:
        self._options = options
        self._maker = FrameMaker(options.name)
        self._container: InputContainer | None = None
        self._decoder: Decoder | None = None
        self._interrupted = False

    @abstractmethod
    def _connected(self) -> InputContainer:
        """A new connection. Raises SourceError."""

    @property
    def announced_fps(self) -> float | None:
        """The rate that the camera tells, frames in a second; None where it is not open, or tells none."""
        return None if self._decoder is None else self._decoder.announced_fps

    @property
    def stamp_speed(self) -> float | None:
        """How fast its time stamps run, in seconds a second; None until enough is seen."""
        return self._maker.stamp_speed

    def open(self) -> None:
        """Connect. Raises SourceError, and MissingExtraError without PyAV."""
        need_av(f"the camera {self._options.name!r}")
        self.close()
        self._interrupted = False
        self._container = self._connected()
        self._decoder = Decoder(self._container, live=True)
        self._maker.connected()

    def read(self) -> Captured | None:
        """The next frame. Raises DamagedFrameError for one that is lost, SourceError where no more come."""
        if self._decoder is None:
            raise SourceError(Reason.GONE, "it is not open")
        until_s = time.monotonic() + self._options.timeout_s
        while not self._interrupted:
            picture = self._step(self._decoder)
            if picture is not None:
                return self._maker.captured(picture)
            if self._decoder.ended:
                raise SourceError(Reason.GONE, "it ended the stream")
            if time.monotonic() > until_s:
                raise SourceError(Reason.SILENT, "it sends data, but no pictures")
        raise SourceError(Reason.GONE, "it was told to stop")

    def _step(self, decoder: Decoder) -> Picture | None:
        """One step of the decoder. One that waited as long as it may is silence, whatever came of it: FFmpeg then gives what its
        parser still holds and waits once more, or an error of what was cut off."""
        begin_s = time.monotonic()
        failure: SourceError | None = None
        picture = None
        try:
            picture = decoder.step()
        except SourceError as error:
            failure = error
        if time.monotonic() - begin_s >= self._options.timeout_s:
            raise SourceError(Reason.SILENT, "the connection is open, but no frames come")
        if failure is not None:
            raise failure
        return picture

    def close(self) -> None:
        """Disconnect. The frames that were read stay whole."""
        self._decoder = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def interrupt(self) -> None:
        """Makes ``read`` come back; one that waits for data does so within ``timeout_s``."""
        self._interrupted = True
