"""What FFmpeg is told when it opens something, and what its errors mean. Nothing here needs PyAV itself.

Whatever a camera or file says, FFmpeg opens nothing else than what was asked for: ``protocol_whitelist`` and
``format_whitelist`` forbid playlists, ``concat:`` and ``file:`` within a network stream.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

from edgevision.errors import MissingExtraError
from edgevision.streams.credentials import CameraUrl
from edgevision.streams.reasons import Reason

MAX_PIXELS = 7680 * 4320  # of one picture: 8K, the largest there is; more is refused before it is decoded
_MAX_STREAMS = 16  # tracks of one camera: picture, sound and what describes them

# Pictures at once: nothing is gathered to guess formats, and nothing is held back to put it in order.
_AT_ONCE = {"fflags": "nobuffer", "probesize": "32", "analyzeduration": "0", "max_streams": str(_MAX_STREAMS)}
_HTTP_FORMATS = "mpjpeg,mjpeg,jpeg_pipe,mpegts"
FILE_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,h264,hevc,mjpeg,ivf,obu,ogg,yuv4mpegpipe,asf"
_DECODER = {"max_pixels": str(MAX_PIXELS)}

TLS_SCHEMES = ("rtsps", "https")


def network_options(url: CameraUrl, transport: str, ca_file: str | None) -> dict[str, str]:
    """Options for a camera at ``url``: rtsp, rtsps, http or https. TLS is always verified.

    ``ca_file``: certificates to trust in place of the system's.
    """
    options = dict(_AT_ONCE)
    if url.scheme in ("rtsp", "rtsps"):
        options |= {"rtsp_transport": transport, "allowed_media_types": "video"}
        options["protocol_whitelist"] = "rtsp,rtsps,rtp,udp,tcp,tls"
    else:
        options |= {"format_whitelist": _HTTP_FORMATS, "probesize": "5000"}  # enough to see the first part's head
        options["protocol_whitelist"] = "http,https,tcp,tls,httpproxy"
    if url.scheme in TLS_SCHEMES:
        options["tls_verify"] = "1"
        trusted = ca_file or _system_certificates()
        if trusted is not None:
            options["ca_file"] = trusted
    return options


def file_options() -> dict[str, str]:
    """Options for a file of this machine."""
    return {"protocol_whitelist": "file", "format_whitelist": FILE_FORMATS, "max_streams": str(_MAX_STREAMS)}


def device_options() -> dict[str, str]:
    """Options for a camera of this machine."""
    return dict(_AT_ONCE)


def decoder_options(*, live: bool) -> dict[str, str]:
    """Options of the decoder. ``live``: pictures come out as soon as they are in."""
    return {**_DECODER, "flags": "low_delay"} if live else dict(_DECODER)


def _system_certificates() -> str | None:
    """The file in which this system keeps the certificates it trusts. FFmpeg in PyAV's wheels does not know where that is."""
    return ssl.get_default_verify_paths().cafile


def need_av(purpose: str) -> None:
    """Be sure that PyAV is there. Raises MissingExtraError, which names ``purpose``."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise MissingExtraError("av", "stream", purpose) from None


# ---- errors ----

NO_ANSWER = (Reason.UNREACHABLE, "nothing answers in time")

# By the name of PyAV's class, so that this table can be read and tested without it.
_OPENING: Mapping[str, tuple[Reason, str]] = {
    "HTTPUnauthorizedError": (Reason.REFUSED, "it refuses the user name or password"),
    "HTTPForbiddenError": (Reason.REFUSED, "it refuses the user name or password, or this user may not see it"),
    "HTTPNotFoundError": (Reason.UNREACHABLE, "it answers, but has nothing at this path; see its manual for the path"),
    "HTTPTooManyRequestsError": (Reason.REFUSED, "it was asked too often"),
    "HTTPServerError": (Reason.GONE, "it answers with an error of its own"),
    "HTTPOtherClientError": (
        Reason.UNSUPPORTED,
        "it does not accept the request; see its manual for path and transport",
    ),
    "HTTPBadRequestError": (Reason.UNSUPPORTED, "it does not understand the request; see its manual for the path"),
    "ConnectionRefusedError": (Reason.UNREACHABLE, "the connection is refused; is it on, and is the port right?"),
    "ConnectionResetError": (Reason.GONE, "it broke the connection"),
    "BrokenPipeError": (Reason.GONE, "it broke the connection"),
    "TimeoutError": NO_ANSWER,
    "ExitError": NO_ANSWER,
    "InvalidDataError": (Reason.UNSUPPORTED, "what it sends is not understood"),
    "ArgumentError": (Reason.UNSUPPORTED, "what it sends is of a kind that is not allowed, such as a playlist"),
    "FileNotFoundError": (Reason.GONE, "there is no such file or device"),
    "PermissionError": (Reason.REFUSED, "this user may not read it"),
    "DecoderNotFoundError": (Reason.UNSUPPORTED, "its pictures are packed in a way that this FFmpeg cannot read"),
    "DemuxerNotFoundError": (Reason.UNSUPPORTED, "this FFmpeg cannot read such a file or device"),
    "ProtocolNotFoundError": (Reason.UNSUPPORTED, "this FFmpeg does not speak its protocol"),
    "EOFError": (Reason.GONE, "it closed the connection"),
}
_READING: Mapping[str, tuple[Reason, str]] = {
    **_OPENING,
    "TimeoutError": (Reason.SILENT, "the connection is open, but no frames come"),
    "ExitError": (Reason.SILENT, "the connection is open, but no frames come"),
    "InvalidDataError": (Reason.CORRUPT, "what it sends is damaged"),
    "FileNotFoundError": (Reason.GONE, "it was unplugged"),
}


def explain(error: Exception, *, opening: bool) -> tuple[Reason, str]:
    """What an error of PyAV means, without a word of its own: those may hold the URL."""
    table = _OPENING if opening else _READING
    for kind in type(error).__mro__:
        if kind.__name__ in table:
            return table[kind.__name__]
    otherwise = Reason.UNREACHABLE if opening else Reason.GONE
    return otherwise, "the network or the camera failed (" + (
        getattr(error, "strerror", "") or type(error).__name__
    ) + ")"


def certificate_trouble(url: CameraUrl, ca_file: str | None, timeout_s: float) -> str | None:
    """Why the certificate of ``url``'s host is not trusted; None where it is, or where nobody answers.

    FFmpeg tells such a failure as any other error of input, so the handshake is tried once more where we see why.
    """
    port = url.port or {"rtsps": 322, "https": 443}[url.scheme]
    try:
        context = ssl.create_default_context(cafile=ca_file)
        with (
            socket.create_connection((url.host, port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=url.host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError:
        return None
