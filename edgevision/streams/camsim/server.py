"""One RTSP camera, as a program of its own: GStreamer's Python bindings belong to the system's Python, not to ours.

It reads one line of JSON with its settings (``CameraSettings``), so that no password stands in the list of processes, prints
``ready`` with its port, and serves until its input ends. It needs GStreamer's RTSP server and nothing of pip.
"""

from __future__ import annotations

import base64
import json
import mmap
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.streams.camsim.stamps import Stamp, band

PATH = "/cam"
CODECS = ("h264", "h265", "jpeg")


@dataclass(frozen=True)
class CameraSettings:
    """What a camera sends. ``fps`` is its real rate, ``announced_fps`` the one it tells.

    ``film``: a file of raw I420 pictures of this size, shown in turn below the bar code; None: a moving square.
    ``codec``: one of ``CODECS``. ``certificate``: a PEM file with certificate and key, for RTSPS. ``key_frame_s``: seconds
    from one key frame to the next. ``port`` 0: any that is free.
    """

    port: int = 0
    width: int = 640
    height: int = 360
    fps: float = 25.0
    announced_fps: int = 25
    codec: str = "h264"
    key_frame_s: float = 1.0
    bitrate_kbps: int = 1000
    film: str | None = None
    user: str | None = None
    password: str | None = None
    certificate: str | None = None


class Painter:
    """Paints pictures: I420 bytes with the stamp of their number and the time."""

    def __init__(self, width: int, height: int, film: str | None) -> None:
        self._width, self._height = width, height
        self._size = width * height * 3 // 2
        self._film: mmap.mmap | None = None
        if film is not None:
            with Path(film).open("rb") as opened:
                self._film = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            if len(self._film) < self._size:
                raise ValueError(f"{film} holds no whole I420 picture of {width}×{height} pixels")
        row = bytes(60 + 100 * column // width for column in range(width))
        self._plain = row * height + bytes([128]) * (width * height // 2)

    def picture(self, number: int, time_ns: int) -> bytearray:
        """The picture with that number."""
        picture = bytearray(self._below(number))
        stamped = band(Stamp(number, time_ns), self._width, self._height)
        picture[: len(stamped)] = stamped
        return picture

    def _below(self, number: int) -> bytes | bytearray:
        if self._film is not None:
            place = number % (len(self._film) // self._size) * self._size
            return self._film[place : place + self._size]
        picture = bytearray(self._plain)
        side = self._height // 8
        left = number * 4 % (self._width - side)
        for row in range(self._height // 2, self._height // 2 + side):
            start = row * self._width + left
            picture[start : start + side] = bytes([235]) * side
        return picture


def launch_line(settings: CameraSettings) -> str:
    """The pipeline, as GStreamer writes it."""
    keys = max(1, round(settings.key_frame_s * settings.announced_fps))
    encoders = {
        "h264": f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={keys} bitrate={settings.bitrate_kbps} threads=1"
        " ! video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96 config-interval=1",
        "h265": f"x265enc tune=zerolatency speed-preset=ultrafast key-int-max={keys} bitrate={settings.bitrate_kbps}"
        " ! rtph265pay name=pay0 pt=96 config-interval=1",
        "jpeg": "jpegenc quality=85 ! rtpjpegpay name=pay0 pt=26",
    }
    caps = (
        f"video/x-raw,format=I420,width={settings.width},height={settings.height},framerate={settings.announced_fps}/1"
    )
    return (
        f"( appsrc name=pictures is-live=true do-timestamp=true format=time block=false max-buffers=2 leaky-type=downstream"
        f" caps={caps} ! {encoders[settings.codec]} )"
    )


def main() -> None:
    """Serve the camera that the first line of the input describes, until the input ends."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    settings = CameraSettings(**json.loads(sys.stdin.readline()))
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(settings.port))
    viewers = _Viewers(settings)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch_line(settings))
    factory.set_shared(True)
    factory.connect("media-configure", viewers.added)
    if settings.user is not None or settings.certificate is not None:
        _protect(server, factory, settings)
    server.get_mount_points().add_factory(PATH, factory)
    if server.attach(None) == 0:
        sys.exit(f"port {settings.port} is taken")
    loop = GLib.MainLoop()
    threading.Thread(target=viewers.send_pictures, daemon=True).start()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print("ready", server.get_bound_port(), flush=True)
    loop.run()


class _Viewers:
    """Paints pictures at the real rate and gives them to whoever looks."""

    def __init__(self, settings: CameraSettings) -> None:
        self._fps = settings.fps
        self._painter = Painter(settings.width, settings.height, settings.film)
        self._inputs: list[Any] = []

    def added(self, _factory: Any, media: Any) -> None:
        """Called by GStreamer's thread where somebody begins to look."""
        source = media.get_element().get_child_by_name("pictures")
        self._inputs.append(source)
        media.connect("unprepared", lambda _media: self._inputs.remove(source))

    def send_pictures(self) -> None:
        """For ever. A process that was stopped for a while does not send later what it did not see."""
        from gi.repository import Gst

        number, due_s = 0, time.monotonic()
        while True:
            picture = bytes(self._painter.picture(number, time.time_ns())) if self._inputs else b""
            for source in list(self._inputs):
                source.emit("push-buffer", Gst.Buffer.new_wrapped(picture))
            number += 1
            now_s = time.monotonic()
            due_s = max(due_s + 1 / self._fps, now_s - 1 / self._fps)
            time.sleep(max(0.0, due_s - now_s))


def _protect(server: Any, factory: Any, settings: CameraSettings) -> None:
    """Ask for a password, speak TLS, or both."""
    from gi.repository import Gio, GstRtspServer

    role = "viewer"
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, role)
    authority = GstRtspServer.RTSPAuth()
    if settings.certificate is not None:
        authority.set_tls_certificate(Gio.TlsCertificate.new_from_file(settings.certificate))
    if settings.user is not None:
        login = base64.b64encode(f"{settings.user}:{settings.password or ''}".encode()).decode()
        authority.add_basic(login, token)
    else:
        authority.set_default_token(token)
    permissions = GstRtspServer.RTSPPermissions()
    for what in ("access", "construct"):
        permissions.add_permission_for_role(role, f"media.factory.{what}", True)
    factory.set_permissions(permissions)
    server.set_auth(authority)
