"""A service for the kiosk's page whose events a test tells: what the page needs of it, and nothing behind it.

It speaks as the real service does (``edgevision.kiosk.service``): the page cannot tell them apart.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from edgevision.frames import ImageArray
from edgevision.kiosk.page.routes import page_routes
from edgevision.kiosk.page.settings import CameraPlace, PageSettings

# id, name, price; ids are the user's own numbers, no indices
PRODUCTS: tuple[tuple[int, str, str | None], ...] = (
    (101, "Moovalle Whole Milk", "1.29"),
    (102, "Moovalle Light Milk", "1.19"),
    (107, "Solaru Orange", "2.49"),
    (111, "Fizzwick Cola", "0.89"),
    (112, "Fizzwick Lemon", "0.89"),
    (120, "Crunkle Paprika", "1.99"),
    (130, "Café Grün <b>Bio</b>", "10.05"),
    (140, "Berrynook Strawberry", None),
)
NAMES = {150: "Plumgate Plum"} | {id: name for id, name, _ in PRODUCTS}


def jpeg(picture: ImageArray) -> bytes:
    done, data = cv2.imencode(".jpg", picture)
    assert done
    return data.tobytes()


def plain_picture(id: int) -> ImageArray:
    """A colour for each product: 240×180."""
    rng = np.random.default_rng(id)
    return np.full((180, 240, 3), rng.integers(40, 230, 3), np.uint8)


@dataclass
class Received:
    """What the page sent."""

    receipts: list[dict[str, Any]] = field(default_factory=list)
    receipt_keys: list[str] = field(default_factory=list)
    feedback: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)  # (width, height) of pictures at WS /v1/station
    most_in_flight: int = 0
    sockets: int = 0
    protocols: list[list[str]] = field(default_factory=list)
    wrong_tokens: list[str] = field(default_factory=list)  # as they came, without "Bearer"


class FakeKiosk:
    """``camera``: whose the camera is. ``token``: what callers must have; None: nothing. ``pictures``: id → picture of the product.

    ``start`` and ``stop`` may be called again and again: the port stays.
    """

    def __init__(
        self, camera: CameraPlace = CameraPlace.SERVER, *, token: str | None = None, receipts_fail: int = 0,
        settings: dict[str, Any] | None = None, pictures: Callable[[int], ImageArray] = plain_picture,
        scene: Callable[[], ImageArray] | None = None, seen: Callable[[int], ImageArray] | None = None,
    ) -> None:  # fmt: skip
        self.settings = PageSettings(camera=camera, **(settings or {}))
        self.token = token
        self.throttled_s = 0  # where it is not 0, every token is answered with 429 and this Retry-After
        self.received = Received()
        self.products = PRODUCTS  # as they are listed
        self.receipts_fail = receipts_fail  # so many are answered with 500 before one is taken
        self._product_picture = pictures
        self._seen = seen or pictures  # what the camera saw of it
        self._scene = scene or (lambda: np.full((360, 480, 3), (90, 120, 100), np.uint8))
        self._lock = threading.Lock()
        self._history: list[dict[str, Any]] = []
        self._for_sockets: list[dict[str, Any]] = []
        self._news: list[dict[str, Any]] = []
        self._placement = 0
        self._run = 0
        self._blocked: str | None = None
        self._hung_up = 0
        self.late_s: float | None = None  # the age of what is told again to a page that comes back
        self.busy = False  # as if it could not be reached: streams of events are refused
        self._stopping = False
        self._server: Any = None
        self._thread: threading.Thread | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    # ---- what happens before the camera ----

    def place(self) -> int:
        """Something is put down. Returns the placement's number."""
        self._placement += 1
        self._tell({"event": "placed", "placement": self._placement})
        return self._placement

    def recognise(self, id: int, *alternatives: int) -> None:
        answer = {"product": _prediction(id, 0.97), "alternatives": [_prediction(one, 0.01) for one in alternatives]}
        self._tell({"event": "recognised", "placement": self._placement, "waited_s": 0.2, **answer}, id)

    def unsure(self, *ids: int) -> None:
        choices = [_prediction(id, 0.5 / (k + 1)) for k, id in enumerate(ids)]
        self._tell({"event": "unsure", "placement": self._placement, "waited_s": 0.7, "choices": choices}, ids[0])

    def unknown(self) -> None:
        self._tell({"event": "unknown", "placement": self._placement, "waited_s": 0.7}, 0)

    def remove(self) -> None:
        self._tell({"event": "removed", "placement": self._placement})

    def block(self, reason: str) -> None:
        self._blocked = reason
        self._tell({"event": "blocked", "reason": reason, "words": reason})

    def unblock(self) -> None:
        self._blocked = None
        self._tell({"event": "unblocked"})

    def tell_pages(self, news: dict[str, Any]) -> None:
        """News that is of no picture: a message of its own, before the next answer."""
        self._news.append(news)

    def _tell(self, event: dict[str, Any], picture: int | None = None) -> None:
        with self._lock:
            at_s = round(time.monotonic(), 6)
            whole = {"id": f"{self._run:x}-{len(self._history) + 1}", "station": "station", "at_s": at_s, **event}
            if picture is not None:
                whole["picture"] = "data:image/jpeg;base64," + base64.b64encode(jpeg(self._seen(picture))).decode()
            self._history.append(whole)
            self._for_sockets.append(whole)

    # ---- running ----

    def start(self) -> None:
        """Begin to serve; of another start, as a service that was started again: it counts anew."""
        import uvicorn

        self._run += 1
        self._placement = 0
        self._blocked = None
        self._history.clear()
        self._for_sockets.clear()
        self._stopping = False
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self._port))
        listening.listen(64)
        config = uvicorn.Config(
            self._app(), log_config=None, access_log=False, http="h11", ws="wsproto", lifespan="off", timeout_graceful_shutdown=1
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        self._listening = listening

    def stop(self) -> None:
        """End at once: whoever is connected is cut off."""
        self._stopping = True
        self._server.should_exit = True
        assert self._thread is not None
        self._thread.join(10)
        self._listening.close()

    def hang_up(self) -> None:
        """End the streams of events that are open; the service goes on."""
        self._hung_up += 1

    def restart(self) -> None:
        self.stop()
        self.start()

    def _app(self) -> Any:
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse, Response, StreamingResponse
        from starlette.routing import Route, WebSocketRoute

        def refused(request: Any) -> Any:
            given = request.headers.get("authorization")
            if given is not None and self.throttled_s:
                return JSONResponse({"error": "wait"}, 429, {"Retry-After": str(self.throttled_s)})
            wrong = self.token is not None and given != f"Bearer {self.token}"
            if wrong and given is not None:
                self.received.wrong_tokens.append(given.removeprefix("Bearer "))
            return JSONResponse({"error": "a token is needed"}, 401) if wrong else None

        async def products(request: Any) -> Any:
            listed = [
                {"id": id, "name": name, "price": price, "currency": "EUR", "picture": f"/v1/products/{id}/picture"}
                for id, name, price in self.products
            ]
            features = {"camera": self.settings.camera is CameraPlace.SERVER, "feedback": True, "receipts": True}
            fields = {"products": listed, "model": {"name": "shop", "id": "12" * 32}, "features": features}
            return refused(request) or JSONResponse(fields)

        async def picture(request: Any) -> Any:
            body = jpeg(self._product_picture(int(request.path_params["id"])))
            return refused(request) or Response(body, media_type="image/jpeg")

        async def camera(request: Any) -> Any:
            async def film() -> AsyncIterator[bytes]:
                while not self._stopping:
                    body = jpeg(self._scene())
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                    yield head.encode() + body + b"\r\n"
                    await asyncio.sleep(0.2)

            return refused(request) or StreamingResponse(film(), media_type="multipart/x-mixed-replace; boundary=frame")

        async def events(request: Any) -> Any:
            if self.busy:
                return JSONResponse({"error": "come back later"}, 503)
            after = request.headers.get("last-event-id", "")
            run, _, number = after.partition("-")
            sent = int(number) if run == f"{self._run:x}" else len(self._history)

            async def stream() -> AsyncIterator[bytes]:
                state = "empty" if self._blocked is None else "blocked"
                now = {"station": "station", "state": state, "reason": self._blocked}
                first = {"event": "stations", "stations": [now]}
                yield f"retry: 2000\n\nevent: stations\ndata: {json.dumps(first)}\n\n".encode()
                at, waited, hung_up = sent, 0, self._hung_up
                missed = len(self._history)
                while not self._stopping and self._hung_up == hung_up:
                    for one in self._history[at:]:
                        age = {"age_s": self.late_s} if at < missed and self.late_s is not None else {}
                        told = json.dumps({**one, **age})
                        yield f"id: {one['id']}\nevent: {one['event']}\ndata: {told}\n\n".encode()
                        at += 1
                    waited += 1
                    if waited % 50 == 0:
                        yield b":\n\n"
                    await asyncio.sleep(0.02)

            return refused(request) or StreamingResponse(stream(), media_type="text/event-stream")

        async def receipts(request: Any) -> Any:
            self.received.receipt_keys.append(request.headers["idempotency-key"])
            if self.receipts_fail > 0:
                self.receipts_fail -= 1
                return JSONResponse({"error": "the disk is full"}, 500)
            self.received.receipts.append(await request.json())
            return refused(request) or JSONResponse({"id": "r1", "again": False}, 202)

        async def feedback(request: Any) -> Any:
            self.received.feedback.append((dict(request.query_params), await request.body()))
            return refused(request) or JSONResponse({"kept": "one.jpg", "again": False}, 201)

        async def status(request: Any) -> Any:
            return refused(request) or JSONResponse(STATUS)

        async def station(websocket: Any) -> None:
            offered = websocket.scope["subprotocols"]
            self.received.protocols.append(list(offered))
            if self.token is not None and f"edgevision.token.{self.token}" not in offered:
                await websocket.close(1008)
                return
            await websocket.accept(subprotocol="edgevision")
            self.received.sockets += 1
            await self._answer(websocket)

        return Starlette(
            routes=[
                *page_routes(self.settings),
                Route("/v1/products", products), Route("/v1/products/{id}/picture", picture), Route("/v1/camera", camera),
                Route("/v1/events", events), Route("/v1/receipts", receipts, methods=["POST"]),
                Route("/v1/feedback", feedback, methods=["POST"]), Route("/v1/status", status), WebSocketRoute("/v1/station", station),
            ]
        )  # fmt: skip

    async def _answer(self, websocket: Any) -> None:
        """Answer each picture with what was told since the last one."""
        from starlette.websockets import WebSocketDisconnect

        waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def read() -> None:
            try:
                while True:
                    await waiting.put(await websocket.receive_bytes())
                    self.received.most_in_flight = max(self.received.most_in_flight, waiting.qsize())
            except WebSocketDisconnect:
                await waiting.put(None)

        reading = asyncio.ensure_future(read())
        frame = 0
        try:
            while (data := await waiting.get()) is not None and not self._stopping:
                frame += 1
                decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                self.received.sizes.append((decoded.shape[1], decoded.shape[0]))
                await asyncio.sleep(0.03)  # a second picture would have come by now
                with self._lock:
                    told, self._for_sockets[:] = list(self._for_sockets), []
                self.received.most_in_flight = max(self.received.most_in_flight, 1 + waiting.qsize())
                while self._news:
                    await websocket.send_json(self._news.pop(0))
                await websocket.send_json({"frame": frame, "age_ms": 30.0, "state": "still", "events": told})
        finally:
            reading.cancel()


def _prediction(id: int, score: float) -> dict[str, Any]:
    return {"id": id, "name": NAMES[id], "score": score}


STATUS = {
    "edgevision": "0.1.0", "began": "2026-11-28T08:00:00+00:00", "uptime_s": 3600.0,
    "models": [
        {"name": "shop", "id": "12" * 32, "kind": "classify", "variant": "openvino-int8", "threads": 2, "proven": True,
         "verdict": "the accuracy is within the budget of 1 point", "labels": 8},
    ],
    "cameras": [
        {"name": "station", "camera": "live", "since_s": 3590.0, "words": "", "fps": 14.9, "age_ms": 42.0, "place": "empty"},
    ],
    "pages": 1, "requests": {"answered": 120, "failed": 1, "in_flight": 0},
    "events": {"told": 31, "lost": 0, "subscribers": 1}, "feedback": None, "receipts": None, "counts": {},
    "errors": [{"at": "2026-11-28T08:30:00.000+00:00", "words": "the camera was gone for 3 s", "request": None}],
}  # fmt: skip
