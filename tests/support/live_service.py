"""Apps asked as a client would: in memory, or over a real server; and small clients for event streams and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.kiosk.events import Answer, Placed, Recognised, Removed, StationEvent, Unknown, Unsure
from edgevision.kiosk.service.answers import RefusedError, error_answer, refusal_answer
from edgevision.kiosk.service.described import ServedDescription
from edgevision.tasks.results import Label, Prediction

LABELS = (Label(7, "pear"), Label(9, "Gruyère"), Label(11, "梨"))
MODEL = ServedDescription("shop", "a1" * 32, "classify", "openvino-int8", 1, True, "proven: 97 % against 97 %", LABELS)


def jpeg_of(seed: int = 0, height: int = 24, width: int = 32) -> bytes:
    """A picture that no other seed gives."""
    picture = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    done, data = cv2.imencode(".jpg", picture)
    assert done
    return data.tobytes()


def recognised(placement: int, station: str = "till", at_s: float = 1.0) -> Recognised:
    picture = np.full((20, 30, 3), placement % 255, np.uint8)
    return Recognised(
        station, at_s, placement, picture, 0.2, Prediction(7, "pear", 0.97), (Prediction(9, "Gruyère", 0.02),)
    )


def unsure(placement: int, station: str = "till") -> Unsure:
    picture = np.zeros((20, 30, 3), np.uint8)
    return Unsure(station, 2.0, placement, picture, 0.9, (Prediction(9, "Gruyère", 0.6), Prediction(7, "pear", 0.4)))


def unknown(placement: int, station: str = "till") -> Unknown:
    return Unknown(station, 2.0, placement, np.zeros((20, 30, 3), np.uint8), 0.9)


class FakeMachine:
    """A placement state machine that takes the mean of a picture for what lies there: dark is empty, the rest is placed and recognised
    at once. ``gate``: held by a test to keep a step waiting."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "empty"
        self.placement = 0
        self.steps = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False

    def step(self, frame: Frame, at_s: float) -> Sequence[StationEvent]:
        assert self.gate.wait(10.0)
        self.steps += 1
        if self.fails:
            raise RuntimeError("the engine is gone")
        bright = float(frame.planes[0].mean()) > 40
        if bright and self.state == "empty":
            self.state, self.placement = "still", self.placement + 1
            return [Placed(self.name, at_s, self.placement), recognised(self.placement, self.name, at_s)]
        if not bright and self.state == "still":
            self.state = "empty"
            return [Removed(self.name, at_s, self.placement)]
        return []


# ---- an app asked in memory ----


@dataclass(frozen=True)
class Got:
    """An answer. ``headers``: by name in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def app_of(routes: Sequence[Any]) -> Any:
    """The routes as an app that says errors as the service does."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    async def refused(request: Request, error: Any) -> Response:
        return refusal_answer(error)

    async def wrong(request: Request, error: Any) -> Response:
        return error_answer(400, str(error))

    return Starlette(routes=list(routes), exception_handlers={RefusedError: refused, InputError: wrong})


def ask(
    app: Any, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None, state: Mapping[str, Any] | None = None
) -> Got:  # fmt: skip
    """One request, in an event loop of its own."""
    return asyncio.run(_asked(app, method, target, body, headers or {}, state or {}))


async def ask_here(app: Any, method: str, target: str, body: bytes = b"") -> Got:
    """One request, in the event loop that runs."""
    return await _asked(app, method, target, body, {}, {})


async def _asked(
    app: Any, method: str, target: str, body: bytes, headers: Mapping[str, str], state: Mapping[str, Any]
) -> Got:
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
        "raw_path": path.encode(), "root_path": "", "query_string": query.encode(), "client": ("127.0.0.1", 1), "server": ("x", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()], **state,
    }  # fmt: skip
    said: list[Any] = []
    given = False

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given:
            await asyncio.sleep(3600)
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    start = next(one for one in said if one["type"] == "http.response.start")
    whole = b"".join(one.get("body", b"") for one in said if one["type"] == "http.response.body")
    return Got(start["status"], {name.decode().lower(): value.decode() for name, value in start["headers"]}, whole)


# ---- an app over a real server ----

_CLIENTS: list[Any] = []  # closed when their server has stopped


class RunningServer:
    """uvicorn in a thread. ``port``: where it listens."""

    def __init__(self, app: Any, on_stop: Callable[[], None], grace_s: float) -> None:
        import uvicorn

        config = uvicorn.Config(
            app, log_config=None, access_log=False, ws="wsproto", http="h11", lifespan="off", timeout_graceful_shutdown=int(grace_s)
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._on_stop = on_stop
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        until_s = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < until_s
            time.sleep(0.01)

    def stop(self) -> bool:
        """As a signal would. Whether it came to its end."""
        self._on_stop()
        self._server.should_exit = True
        self._thread.join(20.0)
        self._socket.close()
        return not self._thread.is_alive()


@contextlib.contextmanager
def running(app: Any, on_stop: Callable[[], None] = lambda: None, grace_s: float = 5) -> Iterator[RunningServer]:
    server = RunningServer(app, on_stop, grace_s)
    try:
        yield server
    finally:
        server.stop()
        while _CLIENTS:
            _CLIENTS.pop().close()


class EventClient:
    """Reads server-sent events, one at a time."""

    def __init__(self, port: int, target: str = "/v1/events", headers: Mapping[str, str] | None = None) -> None:
        _CLIENTS.append(self)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.connection.request("GET", target, headers=dict(headers or {}))
        self.answer = self.connection.getresponse()

    def next(self) -> dict[str, str]:
        """The fields of the next event or comment; empty at the end. A comment has the field ``:``."""
        fields: dict[str, str] = {}
        while True:
            line = self.answer.readline().decode()
            if not line:
                return {}
            if line == "\n":
                if fields:
                    return fields
                continue
            name, _, value = line.rstrip("\n").partition(":")
            fields[name or ":"] = value.lstrip(" ")

    def event(self) -> dict[str, Any]:
        """The next event's JSON, with what stands beside it as ``_event`` and ``_id``."""
        while "data" not in (fields := self.next()):
            assert fields, "the stream ended"
        return {**json.loads(fields["data"]), "_event": fields.get("event"), "_id": fields.get("id")}

    def close(self) -> None:
        if hasattr(self, "answer"):
            self.answer.close()
        self.connection.close()


class SocketClient:
    """A WebSocket, by wsproto."""

    def __init__(self, port: int, target: str, protocols: Sequence[str] = ("edgevision",)) -> None:
        from wsproto import ConnectionType, WSConnection
        from wsproto.events import AcceptConnection, Request

        _CLIENTS.append(self)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        request = Request(host=f"127.0.0.1:{port}", target=target, subprotocols=list(protocols))
        self.socket.sendall(self._protocol.send(request))
        self._events: Iterator[Any] = iter(())
        accepted = self._next()
        assert isinstance(accepted, AcceptConnection), accepted
        self.subprotocol = accepted.subprotocol

    def send(self, data: bytes | str) -> None:
        from wsproto.events import BytesMessage, TextMessage

        made = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
        self.socket.sendall(self._protocol.send(made))

    def text(self) -> Any:
        """The next message's JSON."""
        from wsproto.events import TextMessage

        parts = []
        while True:
            event = self._next()
            assert isinstance(event, TextMessage), event
            parts.append(event.data)
            if event.message_finished:
                return json.loads("".join(parts))

    def closed(self) -> tuple[int, str]:
        """How it is closed; messages before that are passed over."""
        from wsproto.events import CloseConnection

        while not isinstance(event := self._next(), CloseConnection):
            pass
        return int(event.code), event.reason or ""

    def close(self) -> None:
        from wsproto.events import CloseConnection
        from wsproto.utilities import LocalProtocolError

        with contextlib.suppress(OSError, LocalProtocolError):
            self.socket.sendall(self._protocol.send(CloseConnection(1000)))
        self.socket.close()

    def _next(self) -> Any:
        from wsproto.events import Ping

        while True:
            for event in self._events:
                if isinstance(event, Ping):
                    self.socket.sendall(self._protocol.send(event.response()))
                    continue
                return event
            data = self.socket.recv(65536)
            self._protocol.receive_data(data or None)
            self._events = self._protocol.events()


def wait_for(happened: Callable[[], bool], timeout_s: float = 10.0) -> None:
    until_s = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.005)


__all__ = [
    "LABELS", "MODEL", "Answer", "EventClient", "FakeMachine", "Got", "RunningServer", "SocketClient", "app_of", "ask", "ask_here", "jpeg_of", "recognised",
    "running", "unknown", "unsure", "wait_for",
]  # fmt: skip
