"""Cameras of the network: RTSP and RTSPS, MJPEG over HTTP and HTTPS."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgevision.errors import InputError, SourceError
from edgevision.streams.captured import Captured
from edgevision.streams.credentials import CameraUrl, read_password
from edgevision.streams.options import CameraOptions
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.decoding import Decoder
from edgevision.streams.sources.ffmpeg import TLS_SCHEMES, certificate_trouble, explain, need_av, network_options
from edgevision.streams.sources.numbering import Numbering

if TYPE_CHECKING:
    from av.container import InputContainer

SCHEMES = ("rtsp", "rtsps", "http", "https")


class NetworkCamera:
    """A camera by URL. Frames keep the memory that FFmpeg decoded them into, and the camera's own clock where it tells it.

    Nothing is kept back: whoever does not read in time gets what the network still holds. So read all the time, and let
    a ``Mailbox`` hold the newest.
    """

    live = True

    def __init__(self, options: CameraOptions) -> None:
        """Raises InputError for a URL that cannot be one, and for a password that cannot be read."""
        url = CameraUrl.parse(options.source)
        if url.scheme not in SCHEMES:
            raise InputError(f"a network camera's URL begins with {', '.join(SCHEMES)}, got {url.scheme!r}")
        password = read_password(env=options.password_env, file=options.password_file)
        self._url = url.with_login(options.user, password)
        self._options = options
        self._numbering = Numbering(options.name)
        self._container: InputContainer | None = None
        self._decoder: Decoder | None = None
        self._interrupted = False

    def __repr__(self) -> str:
        return f"NetworkCamera({self._options.name!r}, {str(self._url)!r})"

    @property
    def announced_fps(self) -> float | None:
        """The rate that the camera tells, frames in a second; None where it is not open, or tells none."""
        return None if self._decoder is None else self._decoder.announced_fps

    @property
    def stamp_speed(self) -> float | None:
        """How fast its time stamps run, in seconds a second; None until enough is seen."""
        return self._numbering.stamp_speed

    def open(self) -> None:
        """Connect. Raises SourceError, and MissingExtraError without PyAV."""
        need_av(f"the camera {self._options.name!r}")
        self.close()
        self._interrupted = False
        self._container = self._connected()
        self._decoder = Decoder(self._container, live=True)
        self._numbering.connected()

    def read(self) -> Captured | None:
        """The next frame. Raises DamagedFrameError for one that is lost, SourceError where no more come."""
        if self._decoder is None:
            raise SourceError(Reason.GONE, "it is not open")
        until_s = time.monotonic() + self._options.timeout_s
        while True:
            if self._interrupted:
                raise SourceError(Reason.GONE, "it was told to stop")
            picture = self._decoder.step()
            if picture is not None:
                return self._numbering.captured(picture)
            if self._decoder.ended:
                raise SourceError(Reason.GONE, "it ended the stream")
            if time.monotonic() > until_s:
                raise SourceError(Reason.SILENT, "it sends data, but no pictures")

    def close(self) -> None:
        """Disconnect. The frames that were read stay whole."""
        self._decoder = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def interrupt(self) -> None:
        """Makes ``read`` come back; one that waits for the network does so within ``timeout_s``."""
        self._interrupted = True

    def _connected(self) -> InputContainer:
        import av

        wait_s = self._options.timeout_s
        options = network_options(self._url, self._options.transport, self._options.ca_file)
        try:
            return av.open(self._url.reveal(), options=options, timeout=(wait_s, wait_s))
        except (av.error.FFmpegError, ValueError) as error:
            reason, words = explain(error, opening=True)
        if reason in (Reason.UNREACHABLE, Reason.GONE) and self._url.scheme in TLS_SCHEMES:
            trouble = certificate_trouble(self._url, self._options.ca_file, wait_s)
            if trouble is not None:
                reason, words = Reason.UNTRUSTED, f"its certificate is not trusted ({trouble}); give its ca_file"
        raise SourceError(reason, words)
