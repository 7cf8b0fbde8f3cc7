"""Cameras of the network: RTSP and RTSPS, MJPEG over HTTP and HTTPS."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgevision.errors import InputError, SourceError
from edgevision.streams.credentials import CameraUrl, read_password
from edgevision.streams.options import CameraOptions
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.ffmpeg import NO_ANSWER, TLS_SCHEMES, certificate_trouble, explain, network_options
from edgevision.streams.sources.live import LiveCamera

if TYPE_CHECKING:
    from av.container import InputContainer

SCHEMES = ("rtsp", "rtsps", "http", "https")


class NetworkCamera(LiveCamera):
    """A camera by URL. Its frames tell the camera's own clock where it sends sender reports, as RTSP cameras do."""

    def __init__(self, options: CameraOptions) -> None:
        """Raises InputError for a URL that cannot be one, and for a password that cannot be read."""
        super().__init__(options)
        url = CameraUrl.parse(options.source)
        if url.scheme not in SCHEMES:
            raise InputError(f"a network camera's URL begins with {', '.join(SCHEMES)}, got {url.scheme!r}")
        self._url = url.with_login(options.user, read_password(env=options.password_env, file=options.password_file))

    def __repr__(self) -> str:
        return f"NetworkCamera({self._options.name!r}, {str(self._url)!r})"

    def _connected(self) -> InputContainer:
        import av

        wait_s = self._options.timeout_s
        begin_s = time.monotonic()
        options = network_options(self._url, self._options.transport, self._options.ca_file)
        try:
            return av.open(self._url.reveal(), options=options, timeout=(wait_s, wait_s))
        except (av.error.FFmpegError, ValueError) as error:
            reason, words = explain(error, opening=True)
        if time.monotonic() - begin_s > wait_s:  # then the error is any, of what was cut off
            reason, words = NO_ANSWER
        # Raised here, not in the handler: the error above holds the URL, and would be chained.
        if reason in (Reason.UNREACHABLE, Reason.GONE) and self._url.scheme in TLS_SCHEMES:
            trouble = certificate_trouble(self._url, self._options.ca_file, wait_s)
            if trouble is not None:
                reason, words = Reason.UNTRUSTED, f"its certificate is not trusted ({trouble}); give its ca_file"
        raise SourceError(reason, words)
