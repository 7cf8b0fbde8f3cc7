"""What the cameras show, with the answers on it, for a browser on this machine."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

from edgevision.errors import InputError
from edgevision.streams.pictures import annotated
from edgevision.streams.results import StreamResult
from edgevision.streams.sinks.base import Item

HOST, PORT = "127.0.0.1", 8090
MOST_VIEWERS = 8
QUALITY = 80
# A viewer gets the last picture again after so long without a new one, or a grey one where there is none: so a broken connection is
# noticed.
_IDLE_S = 1.0
_SEND_S = 10.0  # a viewer who takes nothing for so long is dropped
_BOUNDARY = "frame"
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


class MjpegSink:
    """Serves motion JPEG: ``/`` lists the cameras, ``/CAMERA`` shows one. Pictures are only made while somebody looks.

    It knows no passwords: it listens on this machine alone unless ``host`` says otherwise. ``port`` 0 takes any that is free;
    ``port`` tells which.
    """

    wants_frames = True

    def __init__(self, host: str = HOST, port: int = PORT) -> None:
        if not 0 <= port <= 65535:
            raise InputError(f"mjpeg: the port is 0…65535, got {port}")
        self.host = host
        self.port = port
        self.name = f"mjpeg://{host}:{port}"
        self._shows = _Shows()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begin to listen. Raises OSError where the port is taken."""
        self._shows = _Shows()
        server = _Server((self.host, self.port), _Handler)
        server.shows = self._shows
        server.is_local = self.host in _LOCAL
        self.port = server.server_address[1]
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, name=f"edgevision {self.name}", daemon=True)
        self._thread.start()

    def write(self, item: Item) -> None:
        """Show a result's frame to those who look at its camera."""
        if not isinstance(item, StreamResult) or not self._shows.is_watched(item.camera):
            return
        picture = annotated(item)
        if picture is None:
            return
        import cv2

        encoded, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
        if encoded:
            self._shows.show(item.camera, data.tobytes())

    def close(self, timeout_s: float) -> None:
        """Send viewers away, and stop listening."""
        server, self._server = self._server, None
        if server is None:
            return
        self._shows.end()
        server.shutdown()
        server.server_close()
        if self._thread is not None:
            self._thread.join(timeout_s)


class _Shows:
    """The newest picture of each camera, and who waits for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pictures: dict[str, tuple[int, bytes]] = {}  # camera → its number, and the JPEG
        self._watching: dict[str, int] = {}
        self._cameras: set[str] = set()
        self._ended = False

    @property
    def cameras(self) -> list[str]:
        with self._changed:
            return sorted(self._cameras)

    def is_watched(self, camera: str) -> bool:
        """Whether somebody looks at the camera; it is listed from now on."""
        with self._changed:
            self._cameras.add(camera)
            return self._watching.get(camera, 0) > 0

    def show(self, camera: str, picture: bytes) -> None:
        with self._changed:
            number, _ = self._pictures.get(camera, (0, b""))
            self._pictures[camera] = (number + 1, picture)
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def begin_to_watch(self, camera: str) -> bool:
        """False where there is no such camera, or too many look already."""
        with self._changed:
            if camera not in self._cameras or sum(self._watching.values()) >= MOST_VIEWERS:
                return False
            self._watching[camera] = self._watching.get(camera, 0) + 1
            return True

    def stop_watching(self, camera: str) -> None:
        with self._changed:
            self._watching[camera] -= 1
            if not self._watching[camera]:
                self._pictures.pop(camera, None)  # whoever comes next is not shown an old one

    def pictures(self, camera: str) -> Iterator[bytes]:
        """Each new picture; the last one again after a second without a new one, a grey one where there is none; until the end."""
        last = 0
        while True:
            with self._changed:
                if not self._ended and self._number(camera) == last:
                    self._changed.wait(_IDLE_S)
                if self._ended:
                    return
                last, picture = self._pictures.get(camera, (0, b""))
            yield picture or _grey()

    def _number(self, camera: str) -> int:
        return self._pictures.get(camera, (0, b""))[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    shows: _Shows
    is_local: bool  # only this machine may look: a page from elsewhere must not get here by a name that it made up

    def handle_error(self, request: object, client_address: object) -> None:
        """A viewer who goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SEND_S
    server_version, sys_version = "EdgeVision", ""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        if self.server.is_local and _host_of(self.headers.get("Host", "")) not in _LOCAL:
            self._answer(403, "text/plain; charset=utf-8", b"ask for this machine by the name localhost\n")
        elif not path:
            self._answer(200, "text/html; charset=utf-8", _index(self.server.shows.cameras).encode())
        elif self.server.shows.begin_to_watch(path):
            try:
                self._stream(path)
            finally:
                self.server.shows.stop_watching(path)
        else:
            self._answer(404, "text/plain; charset=utf-8", b"no such camera, or too many viewers\n")

    def log_message(self, format: str, *arguments: object) -> None:
        """Viewers are not logged."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, camera: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        for picture in self.server.shows.pictures(camera):
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            self.wfile.write(head.encode() + picture + b"\r\n")


@cache
def _grey() -> bytes:
    """A JPEG for a camera that shows nothing."""
    import cv2
    import numpy as np

    _, data = cv2.imencode(".jpg", np.full((180, 320), 128, np.uint8))
    return data.tobytes()


def _host_of(header: str) -> str:
    """The host that a browser asked for, without its port; empty where that is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _index(cameras: list[str]) -> str:
    links = "".join(f'<li><a href="/{quote(one, safe="")}">{html.escape(one)}</a>' for one in cameras)
    return f"<!doctype html><meta charset=utf-8><title>EdgeVision</title><h1>Cameras</h1><ul>{links}</ul>"
