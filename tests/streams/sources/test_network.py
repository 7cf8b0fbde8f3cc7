"""Cameras of the network that lie, and MJPEG over HTTP; real RTSP cameras are in tests/streams/test_rtsp.py."""

from __future__ import annotations

import io
import socket
import time
import traceback
from pathlib import Path

import numpy as np
import pytest
from fake_servers import http, rtsp, serving
from films import noise

from edgevision.errors import InputError, SourceError
from edgevision.frames import ColorEncoding, PixelFormat
from edgevision.streams.camsim.certificates import make_certificate
from edgevision.streams.options import CameraOptions
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.decoding import Picture
from edgevision.streams.sources.network import NetworkCamera

pytestmark = pytest.mark.requires("av")

MULTIPART = "Content-Type: multipart/x-mixed-replace; boundary=part\r\n"


def jpegs(count: int, height: int = 96, width: int = 128) -> list[bytes]:
    import cv2

    pictures = [cv2.merge([one, one, one]) for one in noise(count, height, width)]
    return [cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for one in pictures]


def multipart(parts: list[bytes]) -> bytes:
    return b"".join(
        b"--part\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(one), one) for one in parts
    )


def camera(port: int, scheme: str = "http", **options: object) -> NetworkCamera:
    return NetworkCamera(CameraOptions("till", f"{scheme}://till:hunter2@127.0.0.1:{port}/cam", **options))


def read_all(made: NetworkCamera) -> None:
    try:
        made.open()
        while True:
            made.read()
    finally:
        made.close()


def refused(made: NetworkCamera) -> SourceError:
    """The error of a camera that gives no frame. It never holds the password, nor does anything chained to it."""
    with pytest.raises(SourceError) as caught:
        read_all(made)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.requires("pillow")
def test_mjpeg_over_http_is_what_another_decoder_sees():
    from PIL import Image

    parts = jpegs(8)
    with serving(http(multipart(parts), headers=MULTIPART)) as port:
        till = camera(port)
        till.open()
        captured = [till.read() for _ in range(6)]
        till.close()
    assert all(one.must_be_decoded for one in captured)
    frames = [one.decoded() for one in captured]  # which needs no connection
    expected = [np.asarray(Image.open(io.BytesIO(part)).convert("YCbCr"))[..., 0].astype(float) for part in parts]
    for frame in frames:
        assert frame.format is PixelFormat.I420
        assert frame.encoding is ColorEncoding.BT601_FULL
    shown = [min(range(8), key=lambda k: np.abs(frame.planes[0] - expected[k]).mean()) for frame in frames]
    assert shown == [shown[0] + place for place in range(6)]  # what came while it was opened is old, and left out
    for frame, place in zip(frames, shown, strict=True):
        assert np.abs(frame.planes[0] - expected[place]).max() <= 2


def test_mjpeg_over_http_tells_no_times():
    """Those that FFmpeg makes up, 25 pictures a second, would make fresh pictures of a slower camera look old."""
    with serving(http(multipart(jpegs(4)), headers=MULTIPART)) as port:
        till = camera(port)
        till.open()
        assert till._decoder is not None
        while (picture := till._decoder.step()) is None:
            pass
        till.close()
    assert (picture.picture is not None, picture.stamp_s) == (True, None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(b"", status="401 Unauthorized", headers='WWW-Authenticate: Basic realm="x"\r\n'), Reason.REFUSED),
        (http(b"", status="403 Forbidden"), Reason.REFUSED),
        (http(b"", status="404 Not Found"), Reason.UNREACHABLE),
        (http(b"", status="500 Oops"), Reason.GONE),
        (http(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", headers="Content-Type: application/x-mpegurl\r\n"), None),
        (http(b"", status="302 Found", headers="Location: file:///etc/passwd\r\n"), None),
        (http(b"", status="302 Found", headers="Location: concat:/etc/passwd|/etc/passwd\r\n"), None),
        (http(b"<html>log in</html>" * 50, headers="Content-Type: text/html\r\n"), None),
        (http(b"", headers=MULTIPART), None),
        (http(b"\0" * 100_000, headers=MULTIPART), None),
    ],
)  # fmt: skip
def test_http_that_is_no_camera(answer, reason):
    with serving(answer) as port:
        error = refused(camera(port))
    assert reason is None or error.reason is reason


TRACK = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:{}\r\n"
HEAD = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (rtsp(status="401 Unauthorized", headers='WWW-Authenticate: Digest realm="x", nonce="y"\r\n'), Reason.REFUSED),
        (rtsp(status="404 Not Found"), Reason.UNREACHABLE),
        (rtsp(status="454 Session Not Found"), Reason.UNSUPPORTED),
        (rtsp(HEAD + "".join(TRACK.format(k) for k in range(500))), None),
        (rtsp(HEAD + "m=video 1000000000 RTP/AVP 96\r\n" * 1000), None),
        (rtsp(HEAD + "a=control:" + "x" * 100_000), None),
        (rtsp(HEAD + "a=control:file:///etc/passwd\r\n" + TRACK.format("file:///etc/passwd")), None),
        (rtsp("\xff" * 5000), None),
        (rtsp(HEAD), None),
        (rtsp(HEAD, headers="Content-Length: 1000000000\r\n"), None),
        (rtsp(status="301 Moved", headers="Location: file:///etc/passwd\r\n"), None),
    ],
)  # fmt: skip
def test_rtsp_that_is_no_camera(answer, reason):
    with serving(answer) as port:
        error = refused(camera(port, "rtsp", timeout_s=1.0))
    assert reason is None or error.reason is reason


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_host_that_takes_the_connection_and_says_nothing_is_left_in_time(scheme):
    with serving(lambda _head, _connection: None) as port:
        begin_s = time.monotonic()
        error = refused(camera(port, scheme, timeout_s=0.5))
    assert error.reason is Reason.UNREACHABLE
    assert time.monotonic() - begin_s < 30  # FFmpeg's own time-out is longer


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtsps", "https"])
def test_nobody_there(scheme):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refused(camera(port, scheme))
    assert error.reason is Reason.UNREACHABLE


def test_frames_that_stop_are_silence_and_an_end_is_an_end():
    def stop_after(count: int, close: bool):
        def answer(_head: str, connection: socket.socket) -> None:
            connection.sendall(f"HTTP/1.1 200 OK\r\n{MULTIPART}\r\n".encode() + multipart(jpegs(count)))
            if close:
                raise OSError("done")

        return answer

    for close, reason in ((False, Reason.SILENT), (True, Reason.GONE)):
        with serving(stop_after(20, close)) as port, pytest.raises(SourceError) as caught:
            read_all(camera(port, timeout_s=0.5))
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    "outcome", [None, Picture(None, None, None), SourceError(Reason.GONE, "an error of what was cut off")]
)
@pytest.mark.parametrize(("waits_s", "silent"), [(0.06, True), (0.0, False)])
def test_a_step_that_waits_as_long_as_it_may_is_silence_whatever_comes_of_it(outcome, waits_s, silent):
    """FFmpeg gives the rest that its parser holds after a time-out: taken as a frame, it would take two to see that a camera hangs."""

    class Waiting:
        ended = True

        def step(self) -> Picture | None:
            time.sleep(waits_s)
            if isinstance(outcome, SourceError):
                raise outcome
            return outcome

    till = camera(1, timeout_s=0.05)
    till._decoder = Waiting()
    with pytest.raises(SourceError) as caught:
        till.read()
    assert (caught.value.reason is Reason.SILENT) is silent


def test_it_can_be_interrupted_and_opened_again():
    with serving(http(multipart(jpegs(8)), headers=MULTIPART)) as port:
        till = camera(port)
        with pytest.raises(SourceError, match="not open"):
            till.read()
        till.open()
        till.interrupt()
        with pytest.raises(SourceError, match="told to stop"):
            till.read()
        till.open()
        assert till.read() is not None
        till.close()
        till.close()


@pytest.mark.requires("openssl")
@pytest.mark.parametrize("name", ["127.0.0.1", "other.example"])
def test_a_certificate_must_be_trusted_and_for_this_host(tmp_path: Path, name: str):
    import ssl
    import threading

    both, certificate = make_certificate(tmp_path, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(4096)
                        secure.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    pass

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        stranger = refused(camera(port, "https"))
        known = refused(camera(port, "https", ca_file=str(certificate)))
        listener.shutdown(socket.SHUT_RDWR)
    assert stranger.reason is Reason.UNTRUSTED
    assert known.reason is (Reason.UNREACHABLE if name == "127.0.0.1" else Reason.UNTRUSTED)
    assert ("mismatch" in str(known)) is (name != "127.0.0.1")
    assert (certificate.parent / "key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("source", ["ftp://cam/x", "cam", "rtsp://till:1#2@cam/x"])
def test_a_url_that_is_none_of_a_camera_is_refused_at_once(source):
    with pytest.raises(InputError):
        NetworkCamera(CameraOptions("till", source))
