"""``GET /v1/camera``: what the service's camera shows now, as one JPEG or as motion JPEG."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from edgevision.frames import Frame
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.live.messages import jpeg
from edgevision.kiosk.service.live.sockets import SEND_S, until_disconnected
from edgevision.kiosk.service.route import Scope, route
from edgevision.streams.pictures import to_bgr

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PATH = "/v1/camera"
MOST_VIEWERS = 8
PICTURE_PX = 960  # longer side: enough for a page, and some 60 kB
FPS = 10.0
AGAIN_S = 1.0  # the last picture is sent again after so long without a new one, so that a broken connection is noticed
_BOUNDARY = "frame"
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class CameraView(Protocol):
    """What is asked of a Station whose camera people may look at."""

    @property
    def newest(self) -> Frame | None:
        """The newest frame, the same object until there is a newer one; None before the first, and while the camera is gone. From any thread but
        an event loop's: a picture that came as a file is decoded now, or waited for."""


def camera_routes(
    views: Callable[[], Mapping[str, CameraView]], *, closed: Callable[[], bool], fps: float = FPS, send_s: float = SEND_S
) -> list[BaseRoute]:  # fmt: skip
    """The route that shows a camera. ``views``: name of the Station → its camera; ``closed``: whether the service ends.

    Nothing is encoded while nobody looks, and a frame once however many look.
    """
    pictures: dict[str, _Pictures] = {}
    watching = [0]

    def shown(name: str | None) -> _Pictures:
        there = views()
        if not there:
            raise RefusedError(
                404, "the service has no camera; start it with --camera URL, or let the page use its own"
            )
        chosen = next(iter(there)) if name is None else name
        if chosen not in there:
            raise RefusedError(404, "the service has no camera of this name; /v1/status lists them")
        made = pictures.get(chosen)
        if made is None or made.view is not there[chosen]:
            made = pictures[chosen] = _Pictures(there[chosen])
        return made

    async def show(request: Request) -> Response:
        from starlette.responses import Response

        how = request.query_params.get("as", "stream")
        if how not in ("stream", "picture"):
            raise RefusedError(400, "as is stream or picture")
        one = shown(request.query_params.get("station"))
        if how == "picture":
            picture = await one.newest()
            if picture is None:
                raise RefusedError(503, "no picture comes from the camera now; /v1/status says why", retry_after_s=1.0)
            return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})
        headers = {"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}", "Cache-Control": "no-store"}
        if request.method == "HEAD":
            return Response(headers=headers)
        if watching[0] >= MOST_VIEWERS:
            raise RefusedError(503, f"{MOST_VIEWERS} look already, which is as many as may", retry_after_s=10.0)
        answer: Any = _Film(one, headers, watching, closed, 1 / fps, send_s)
        return answer  # type: ignore[no-any-return]

    return [route(PATH, show, scope=Scope.READ, max_body_bytes=0)]


class _Pictures:
    """The newest frame of a camera as a JPEG, encoded when somebody asks."""

    def __init__(self, view: CameraView) -> None:
        self.view = view
        self._frame: Frame | None = None
        self._picture: bytes | None = None
        self._encoding = asyncio.Lock()

    async def newest(self) -> bytes | None:
        """The same object as long as there is no newer frame; None where there is none, for nobody is shown an old picture."""
        async with self._encoding:
            self._frame, self._picture = await asyncio.get_running_loop().run_in_executor(None, self._look)
            return self._picture

    def _look(self) -> tuple[Frame | None, bytes | None]:
        """Called in a thread that may wait: the newest frame and its picture, encoded where it was not shown yet; None where there is none."""
        frame = self.view.newest
        if frame is None:
            return None, None
        return frame, self._picture if frame is self._frame else jpeg(to_bgr(frame), PICTURE_PX)


class _Film:
    """Motion JPEG, until the viewer goes or the service ends: an ASGI app, as Starlette takes for a response."""

    background = None

    def __init__(
        self, pictures: _Pictures, headers: Mapping[str, str], watching: list[int], closed: Callable[[], bool],
        period_s: float, send_s: float,
    ) -> None:  # fmt: skip
        self._pictures = pictures
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._watching = watching
        self._closed = closed
        self._period_s = period_s
        self._send_s = send_s

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self._watching[0] += 1
        showing = asyncio.ensure_future(self._show(send))
        gone = asyncio.ensure_future(until_disconnected(receive, "http.disconnect"))
        try:
            await asyncio.wait({showing, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._watching[0] -= 1
            showing.cancel()
            gone.cancel()
            await asyncio.gather(showing, gone, return_exceptions=True)

    async def _show(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        last: bytes | None = None
        sent_s = float("-inf")
        with contextlib.suppress(asyncio.TimeoutError, OSError):  # the viewer takes nothing any more
            await self._send(send, {"type": "http.response.start", "status": 200, "headers": self._headers})
            while not self._closed():
                picture = await self._pictures.newest()
                if picture is not None and (picture is not last or loop.time() - sent_s >= AGAIN_S):
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    body = head.encode() + picture + b"\r\n"
                    await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})
                    last, sent_s = picture, loop.time()
                await asyncio.sleep(self._period_s)
            await self._send(
                send, {"type": "http.response.body", "body": f"--{_BOUNDARY}--\r\n".encode(), "more_body": False}
            )

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        await asyncio.wait_for(send(message), self._send_s)
