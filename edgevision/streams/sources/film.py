"""Video files: as fast as they are read, or at their own speed as a camera would send them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import InputError, SourceError
from edgevision.streams.captured import Captured
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.decoding import Decoder
from edgevision.streams.sources.ffmpeg import explain, file_options, need_av
from edgevision.streams.sources.frame_maker import FrameMaker

if TYPE_CHECKING:
    from av.container import InputContainer


class VideoFile:
    """The frames of a video file. ``paced``: each comes when its time stamp says, and whoever is late loses it, as with a camera.

    Otherwise it is read as fast as it can be, and ``captured_ns`` is the film's own time: when it was opened, and from there the frame's time
    stamp. So products are followed by the film's time, however fast it is read.

    Playlists, and files that name others, are refused.
    """

    def __init__(self, camera: str, path: Path, *, paced: bool = False) -> None:
        """Raises InputError where there is no such file."""
        if not path.is_file():
            raise InputError(f"camera {camera!r}: there is no video file {path}")
        self.live = paced
        self._camera = camera
        self._path = path
        self._maker = FrameMaker(camera)
        self._container: InputContainer | None = None
        self._decoder: Decoder | None = None
        self._began_s: float | None = None  # when a frame with the time stamp 0 is due
        self._interrupted = threading.Event()

    def open(self) -> None:
        """Begin at the file's start. Raises SourceError, and MissingExtraError without PyAV."""
        need_av(f"the video file of camera {self._camera!r}")
        self.close()
        self._interrupted.clear()
        self._container = self._opened()
        self._decoder = Decoder(self._container, live=False, began_ns=None if self.live else time.time_ns())
        self._maker.connected()
        self._began_s = None

    def read(self) -> Captured | None:
        """The next frame, None at the end. Raises DamagedFrameError for one that is lost."""
        if self._decoder is None:
            raise SourceError(Reason.GONE, "it is not open")
        while not self._interrupted.is_set():
            picture = self._decoder.step()
            if picture is not None:
                if self.live and picture.stamp_s is not None:
                    self._wait_for(picture.stamp_s)
                return self._maker.captured(picture)
            if self._decoder.ended:
                return None
        return None

    def close(self) -> None:
        """Close the file. The frames that were read stay whole."""
        self._decoder = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def interrupt(self) -> None:
        """``read`` comes back with None."""
        self._interrupted.set()

    def _wait_for(self, stamp_s: float) -> None:
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s - stamp_s
        self._interrupted.wait(max(0.0, self._began_s + stamp_s - now_s))

    def _opened(self) -> InputContainer:
        import av

        try:
            return av.open(f"file:{self._path.absolute()}", options=file_options())
        except (av.error.FFmpegError, ValueError) as error:
            reason, words = explain(error, opening=True)
        raise SourceError(reason, f"the video file {self._path} cannot be played: {words}")
