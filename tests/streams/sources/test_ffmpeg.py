from __future__ import annotations

import pytest

from edgevision.streams.credentials import CameraUrl
from edgevision.streams.reasons import Reason
from edgevision.streams.sources import ffmpeg


def error(name: str, base: type[Exception] = OSError) -> Exception:
    return type(name, (base,), {})("rtsp://till:hunter2@host/cam")


@pytest.mark.parametrize(
    ("made", "opening", "reason"),
    [
        (error("HTTPUnauthorizedError"), True, Reason.REFUSED),
        (error("ExitError"), True, Reason.UNREACHABLE),
        (error("ExitError"), False, Reason.SILENT),
        (error("InvalidDataError", ValueError), True, Reason.UNSUPPORTED),
        (error("InvalidDataError", ValueError), False, Reason.CORRUPT),
        (error("NobodyKnowsError"), True, Reason.UNREACHABLE),
        (error("NobodyKnowsError"), False, Reason.GONE),
        (ConnectionResetError("hunter2"), False, Reason.GONE),
    ],
)
def test_errors_mean_something_and_are_not_repeated(made, opening, reason):
    found, words = ffmpeg.explain(made, opening=opening)
    assert found is reason
    assert words
    assert "hunter2" not in words


@pytest.mark.requires("av")
def test_every_error_that_is_named_is_one_of_pyav():
    import av.error

    assert not [name for name in {**ffmpeg._OPENING, **ffmpeg._READING} if not hasattr(av.error, name)]


@pytest.mark.parametrize(("scheme", "verified"), [("rtsp", False), ("rtsps", True), ("http", False), ("https", True)])
def test_tls_is_always_verified_and_nothing_opens_files(scheme, verified):
    options = ffmpeg.network_options(CameraUrl.parse(f"{scheme}://cam/x"), "tcp", None)
    assert (options.get("tls_verify") == "1") is verified
    allowed = set(options["protocol_whitelist"].split(","))
    assert not allowed & {"file", "concat", "pipe", "data", "crypto", "subfile", "async", "cache"}
    assert ("format_whitelist" in options) is scheme.startswith("http")
    trusted = ffmpeg.network_options(CameraUrl.parse(f"{scheme}://cam/x"), "tcp", "/ca.pem").get("ca_file")
    assert trusted == ("/ca.pem" if verified else None)


def test_files_open_nothing_but_files():
    options = ffmpeg.file_options()
    assert options["protocol_whitelist"] == "file"
    assert not set(options["format_whitelist"].split(",")) & {
        "hls",
        "concat",
        "sdp",
        "rtsp",
        "dash",
        "image2",
        "lavfi",
        "applehttp",
    }
