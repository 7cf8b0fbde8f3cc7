"""One RTSP camera, as a program of its own: GStreamer's Python bindings belong to the system's Python, not to ours.

It reads one line of JSON with its settings (``CameraSettings``), so that no password stands in the list of processes, prints
``ready`` and serves until its input ends. It needs GStreamer's RTSP server and nothing of pip.
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

from edgevision.streams.camsim.stamps import Stamp, band, band_height

PATH = "/cam"


@dataclass(frozen=True)
class CameraSettings:
    """What a camera sends. ``fps`` is its real rate, ``announced_fps`` the one it tells.

    ``film``: a file of raw I420 pictures of this size, shown in turn below the bar code; None: a moving square.
    ``codec``: h264, h265 or jpeg. ``certificate``: a PEM file with certificate and key, for RTSPS. ``key_frame_s``: seconds
    from one key frame to the next.
    """

    port: int
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


def serve(settings: CameraSettings) -> None:
    """Serve until the program ends."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import Gio, GLib, Gst, GstRtspServer

    Gst.init(None)
    painter = Painter(settings.width, settings.height, settings.film)
    sources: list[Any] = []

    def configured(_factory: Any, media: Any) -> None:
        source = media.get_element().get_child_by_name("pictures")
        sources.append(source)
        media.connect("unprepared", lambda _media: sources.remove(source))

    def paint() -> None:
        number, start_s = 0, time.monotonic()
        while True:
            picture = painter.picture(number, time.time_ns())
            for source in list(sources):
                source.emit("push-buffer", Gst.Buffer.new_wrapped(bytes(picture)))
            number += 1
            wait_s = start_s + number / settings.fps - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            else:  # the process was stopped for a while: a camera does not send later what it did not see
                start_s -= wait_s

    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(settings.port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch_line(settings))
    factory.set_shared(True)
    factory.connect("media-configure", configured)
    if settings.user is not None or settings.certificate is not None:
        authority = GstRtspServer.RTSPAuth()
        role = "anonymous"
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        if settings.certificate is not None:
            authority.set_tls_certificate(Gio.TlsCertificate.new_from_file(settings.certificate))
        if settings.user is not None:
            login = base64.b64encode(f"{settings.user}:{settings.password or ''}".encode()).decode()
            authority.add_basic(login, token)
        else:
            authority.set_default_token(token)
        server.set_auth(authority)
        role = "viewer"
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role(role, "media.factory.access", True)
        permissions.add_permission_for_role(role, "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory(PATH, factory)
    loop = GLib.MainLoop()
    if server.attach(None) == 0:
        raise OSError(f"port {settings.port} is taken")
    threading.Thread(target=paint, daemon=True).start()

    def end_with_input() -> None:
        sys.stdin.read()
        loop.quit()

    threading.Thread(target=end_with_input, daemon=True).start()
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    serve(CameraSettings(**json.loads(sys.stdin.readline())))
