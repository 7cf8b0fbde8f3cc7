"""The camera's picture: one, or many; encoded once, and only while somebody looks."""

from __future__ import annotations

import asyncio
import http.client
import threading

import cv2
import numpy as np
import pytest
from live_service import app_of, ask, running, wait_for
from stream_frames import Pictures

from edgevision.frames import Frame, PixelFormat
from edgevision.kiosk.service.live import camera_route
from edgevision.kiosk.service.live.camera_route import MOST_VIEWERS, camera_routes
from edgevision.kiosk.service.live.own_camera import ShownSource

pytestmark = pytest.mark.requires("serve")
PATH = "/v1/camera"


class View:
    def __init__(self, level: int | None = None) -> None:
        self.newest: Frame | None = None
        if level is not None:
            self.show(level)

    def show(self, level: int) -> None:
        self.newest = Frame.from_array(np.full((1200, 1600, 3), level, np.uint8))


def routes(views: dict, ended: list | None = None):
    return app_of(camera_routes(lambda: views, closed=lambda: bool(ended), fps=100.0))


def level_of(data: bytes) -> tuple[int, tuple[int, int]]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return round(float(picture.mean())), picture.shape[:2]


def test_one_picture_is_the_newest_and_no_larger_than_a_page_needs():
    view = View(10)
    app = routes({"till": view})
    answer = ask(app, "GET", f"{PATH}?as=picture")
    assert (answer.status, answer.headers["content-type"], answer.headers["cache-control"]) == (
        200,
        "image/jpeg",
        "no-store",
    )
    assert level_of(answer.body) == (10, (720, 960))
    view.show(90)
    assert level_of(ask(app, "GET", f"{PATH}?as=picture&station=till").body)[0] == 90


def test_a_camera_that_is_gone_shows_no_old_picture_and_is_back_with_its_next():
    view = View(10)
    app = routes({"till": view})
    ask(app, "GET", f"{PATH}?as=picture")
    view.newest = None
    gone = ask(app, "GET", f"{PATH}?as=picture")
    assert (gone.status, gone.headers["retry-after"]) == (503, "1")
    view.show(90)
    assert level_of(ask(app, "GET", f"{PATH}?as=picture").body)[0] == 90


def test_the_film_has_no_part_while_the_camera_is_gone(monkeypatch):
    monkeypatch.setattr(camera_route, "AGAIN_S", 0.0)  # the last picture again at every turn, as long as there is one
    view, ended = View(10), []

    class Gone:
        looks = 0

        @property
        def newest(self) -> Frame | None:
            self.looks += 1
            if self.looks == 4:
                ended.append(True)
            return view.newest if self.looks == 1 else None

    with running(routes({"till": Gone()}, ended)) as server:
        connection, answer = opened(server.port)
        assert level_of(part(answer))[0] == 10
        assert answer.read() == b"--frame--\r\n"
        connection.close()


def test_yuv_frames_are_shown_in_colour():
    view = View()
    y, uv = np.full((48, 64), 126, np.uint8), np.full((24, 32, 2), 128, np.uint8)
    view.newest = Frame((y, uv), 48, 64, PixelFormat.NV12)
    level, size = level_of(ask(routes({"till": view}), "GET", f"{PATH}?as=picture").body)
    assert size == (48, 64)
    assert abs(level - 128) <= 1  # limited range: (126 - 16) × 255 / 219


@pytest.mark.parametrize(
    ("views", "target", "status", "words"),
    [
        ({}, PATH, 404, "--camera"),
        ({"till": View(1)}, f"{PATH}?station=other", 404, "no camera of this name"),
        ({"till": View(1)}, f"{PATH}?as=film", 400, "as is stream or picture"),
        ({"till": View()}, f"{PATH}?as=picture", 503, "no picture comes from the camera now"),
    ],
)
def test_refusals(views, target, status, words):
    answer = ask(routes(views), "GET", target)
    assert answer.status == status
    assert words in answer.json["error"]


def test_of_two_cameras_the_one_that_is_named():
    app = routes({"till": View(10), "shelf": View(200)})
    assert level_of(ask(app, "GET", f"{PATH}?as=picture").body)[0] == 10
    assert level_of(ask(app, "GET", f"{PATH}?as=picture&station=shelf").body)[0] == 200


def part(answer: http.client.HTTPResponse) -> bytes:
    assert answer.readline() == b"--frame\r\n"
    assert answer.readline() == b"Content-Type: image/jpeg\r\n"
    length = int(answer.readline().split(b":")[1])
    assert answer.readline() == b"\r\n"
    data = answer.read(length)
    assert answer.read(2) == b"\r\n"
    return data


def opened(port: int) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", PATH)
    return connection, connection.getresponse()


def test_motion_jpeg_shows_each_new_frame_once_encoded_however_many_look(monkeypatch):
    encoded = []
    real = camera_route.jpeg
    monkeypatch.setattr(camera_route, "jpeg", lambda *arguments: encoded.append(1) or real(*arguments))
    view, ended = View(10), []
    with running(routes({"till": view}, ended), lambda: ended.append(True), grace_s=60) as server:
        assert not encoded  # nobody looks
        (one, first), (other, second) = opened(server.port), opened(server.port)
        assert first.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
        assert level_of(part(first))[0] == level_of(part(second))[0] == 10
        assert len(encoded) == 1
        view.show(90)
        for answer in (first, second):
            while (level := level_of(part(answer))[0]) != 90:
                assert level == 10  # again, after a second without a new one
        assert len(encoded) == 2
        ended.append(True)
        assert first.read() == b"--frame--\r\n"  # the service ends: so does the film
        assert server.stop()
        one.close()
        other.close()


def test_no_more_viewers_than_places():
    view, ended = View(10), []
    with running(routes({"till": view}, ended), lambda: ended.append(True)) as server:
        viewers = [opened(server.port) for _ in range(MOST_VIEWERS)]
        for _, answer in viewers:
            part(answer)
        connection, refused = opened(server.port)
        assert refused.status == 503
        connection.close()
        viewers[0][1].close()
        viewers[0][0].close()

        def is_free() -> bool:
            again, answer = opened(server.port)
            free = answer.status == 200
            answer.close()
            again.close()
            return free

        wait_for(is_free)
        for connection, answer in viewers[1:]:
            answer.close()
            connection.close()


def test_head_gives_headers_and_no_film():
    answer = ask(routes({"till": View(1)}), "HEAD", PATH)
    assert (answer.status, answer.body) == (200, b"")


def test_a_picture_that_came_as_a_file_is_decoded_beside_the_event_loop_and_encoded_once(monkeypatch):
    encoded = []
    real = camera_route.jpeg
    monkeypatch.setattr(camera_route, "jpeg", lambda *arguments: encoded.append(1) or real(*arguments))
    decoders = []
    pictures = Pictures(lambda sequence: decoders.append(threading.current_thread()))

    class Camera:
        live = True

        def read(self):
            return pictures.captured(1)

    shown = ShownSource(Camera())  # type: ignore[arg-type]
    shown.read()

    async def look() -> list[bytes | None]:
        one = camera_route._Pictures(shown)
        return [await one.newest() for _ in range(3)]

    first, *later = asyncio.run(look())
    assert first is not None
    assert all(one is first for one in later)
    assert len(encoded) == 1
    assert len(decoders) == 1
    assert decoders[0] is not threading.current_thread()
