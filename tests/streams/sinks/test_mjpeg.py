"""Motion JPEG over HTTP, as a browser reads it."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from stream_items import detected, result, threads_named, wait_until

from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.streams.sinks import mjpeg as mjpeg_module
from edgevision.streams.sinks.mjpeg import MjpegSink


def shot(light: int, camera: str = "till"):
    return result(0, camera, detected(), frame=Frame.from_array(np.full((60, 400, 3), light, np.uint8)))


@pytest.fixture
def sink() -> Iterator[MjpegSink]:
    made = MjpegSink(port=0)
    made.open()
    yield made
    made.close(5.0)
    wait_until(lambda: not threads_named("edgevision mjpeg"))


def ask(sink: MjpegSink, path: str, host: str = "127.0.0.1") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    return connection.getresponse()


def next_picture(answer: http.client.HTTPResponse) -> np.ndarray:
    length = 0
    while (line := answer.readline().strip()) or not length:
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    picture = cv2.imdecode(np.frombuffer(answer.read(length), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_who_looks_sees_new_pictures(sink):
    sink.write(shot(10))
    answer = ask(sink, "/till")
    assert answer.getheader("Content-Type") == "multipart/x-mixed-replace; boundary=frame"
    wait_until(lambda: sink._shows.is_watched("till"))
    for light in (50, 120, 200):
        sink.write(shot(light))
        while abs((picture := next_picture(answer)).mean() - light) > 3:
            pass  # the one before may come once more
        assert picture.shape == (60, 400, 3)
    answer.close()


def test_nothing_is_encoded_while_nobody_looks(sink, monkeypatch):
    monkeypatch.setattr(mjpeg_module, "annotated", lambda item: pytest.fail("a picture was made for nobody"))
    sink.write(shot(10))
    sink.write(shot(10, "door"))
    assert ask(sink, "/").read().decode().count("<li>") == 2


def test_the_list_of_cameras_is_safe_html(sink):
    sink.write(shot(10, '<script>"x"&/'))
    page = ask(sink, "/").read().decode()
    assert "<script>" not in page
    assert "&lt;script&gt;&quot;x&quot;&amp;/" in page
    link = page.split('href="')[1].split('"')[0]
    viewer = threading.Thread(target=lambda: ask(sink, link).read(10), daemon=True)
    viewer.start()
    wait_until(lambda: sink._shows.is_watched('<script>"x"&/'))


@pytest.mark.parametrize(("path", "host", "status"), [
    ("/nowhere", "127.0.0.1", 404), ("/../etc/passwd", "127.0.0.1", 404), ("/", "localhost:99", 200), ("/", "evil.example", 403),
    ("/till", "evil.example:8090", 403), ("/", "", 403), ("/", "[::1]:80", 200), ("/", "[", 403),
])  # fmt: skip
def test_what_is_not_there_and_who_may_not_ask(sink, path, host, status):
    """A page from elsewhere may call this machine by a name of its own (DNS rebinding): it gets nothing."""
    sink.write(shot(10))
    assert ask(sink, path, host).status == status


def test_so_many_may_look_and_a_place_is_free_again(sink, monkeypatch):
    monkeypatch.setattr(mjpeg_module, "MOST_VIEWERS", 2)
    monkeypatch.setattr(mjpeg_module, "_IDLE_S", 0.05)
    sink.write(shot(10))
    first, second = ask(sink, "/till"), ask(sink, "/till")
    assert (first.status, second.status, ask(sink, "/till").status) == (200, 200, 404)
    first.close()

    def free() -> bool:
        sink.write(shot(20))
        return sum(sink._shows._watching.values()) < 2

    wait_until(free)
    assert ask(sink, "/till").status == 200


def test_who_looks_at_a_camera_that_is_down_sees_grey_and_keeps_no_place(sink, monkeypatch):
    monkeypatch.setattr(mjpeg_module, "MOST_VIEWERS", 2)
    monkeypatch.setattr(mjpeg_module, "_IDLE_S", 0.05)
    sink.write(shot(10))  # nobody looks yet: of this one no picture is made
    viewers = [ask(sink, "/till"), ask(sink, "/till")]
    assert abs(next_picture(viewers[0]).mean() - 128) < 3
    for one in viewers:
        one.close()
    wait_until(lambda: not sink._shows._watching["till"])
    assert ask(sink, "/till").status == 200


def test_closing_sends_viewers_away_and_opening_again_works(sink):
    sink.write(shot(10))
    answer = ask(sink, "/till")
    wait_until(lambda: sink._shows.is_watched("till"))
    sink.close(5.0)
    deadline = time.monotonic() + 10
    while answer.read(1000):
        assert time.monotonic() < deadline
    sink.open()
    assert ask(sink, "/").status == 200


def test_a_port_that_is_none():
    with pytest.raises(InputError, match="0…65535"):
        MjpegSink(port=-1)
