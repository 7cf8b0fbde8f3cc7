"""``WS /v1/station``: a browser sends what its camera shows, one picture at a time, and gets a Station's events back, and the service's news."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from edgevision.decode import read_image
from edgevision.errors import ImageError
from edgevision.frames import Frame
from edgevision.kiosk.events import StationEvent
from edgevision.kiosk.service.live.messages import encoded, fields_of
from edgevision.kiosk.service.live.sockets import SEND_S, TRY_LATER, accept, close
from edgevision.kiosk.service.route import Scope, socket_route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

PATH = "/v1/station"
MOST_CONNECTIONS = 8
MAX_PICTURE_BYTES = 4 << 20
MAX_DECODE_BYTES = 32_000_000  # of one picture: some 5 megapixels; the page sends less than one
SILENT_S = 120.0  # a browser that sends nothing for so long is let go; the page comes back by itself
MOST_BAD = (
    20  # pictures in a row that cannot be read, or that the model fails on, after which the browser is told to go
)
_JPEG = b"\xff\xd8\xff"


class PlacementMachine(Protocol):
    """What finds out what is placed, frame by frame. One thread at a time calls it.

    ``state``: ``empty``, ``moving``, ``still`` or ``blocked``, as text or as an ``Enum`` of these.
    """

    @property
    def state(self) -> Any:
        """As after the last step."""

    def step(self, frame: Frame, at_s: float) -> Sequence[StationEvent]:
        """Look at a frame, captured at ``at_s`` in seconds of a clock that only goes on. What happened by it."""


MachineFactory = Callable[[str], PlacementMachine]  # given the name that its events carry as their station


class _Picture(NamedTuple):
    """A picture that came. ``frame``: counts them from 1; ``skipped``: those before it that were not looked at."""

    frame: int
    data: bytes
    came_s: float
    skipped: int


def _ignore(words: str) -> None:
    return None


class PageStations:
    """The Stations of browsers, one for each connection.

    ``make_machine``: called for each connection. ``see``: called with each event, in the connection's thread. ``closed``: whether the
    service ends. ``trouble``: called with what goes wrong.
    """

    def __init__(
        self, make_machine: MachineFactory, *, see: Callable[[StationEvent], None], closed: Callable[[], bool],
        trouble: Callable[[str], None] = _ignore, most_connections: int = MOST_CONNECTIONS, silent_s: float = SILENT_S,
    ) -> None:  # fmt: skip
        self._connections: frozenset[_Connection] = frozenset()  # the event loop's thread alone changes it
        self.make_machine = make_machine
        self.see = see
        self.trouble = trouble
        self.silent_s = silent_s
        self._closed = closed
        self._most = most_connections
        self._numbers = count(1)

    @property
    def connected(self) -> int:
        """How many browsers there are now."""
        return len(self._connections)

    def tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Send every browser news that is no Station's, such as ``products-changed``. From any thread; never waits for a browser."""
        text = encoded({"event": kind, **fields})
        for one in self._connections:
            one.tell(kind, text)

    def routes(self) -> list[BaseRoute]:
        """The route by which browsers bring their own camera."""
        return [socket_route(PATH, self._serve, scope=Scope.INFER)]

    async def _serve(self, websocket: WebSocket) -> None:
        await accept(websocket)
        if self._closed():
            await close(websocket, 1012, "the service ends")
            return
        if self.connected >= self._most:
            await close(websocket, TRY_LATER, f"{self._most} pages are connected already, which is as many as may")
            return
        connection = _Connection(websocket, self, f"page-{next(self._numbers)}")
        self._connections |= {connection}
        try:
            await connection.serve()
        finally:
            self._connections -= {connection}


class _Connection:
    """One browser. A picture waits at most: a newer one takes its place, so that answers are fresh and memory is bounded."""

    def __init__(self, websocket: WebSocket, pages: PageStations, name: str) -> None:
        self._websocket = websocket
        self._pages = pages
        self._name = name
        self._machine: PlacementMachine | None = None
        self._waiting: _Picture | None = None
        self._news: dict[str, str] = {}  # kind → message; the newest of each, so that memory is bounded
        self._came = asyncio.Event()  # a picture, or news
        self._loop = asyncio.get_running_loop()
        self._bad = 0  # pictures in a row without an answer
        self._told = ""  # what went wrong last: the same again, with every picture, is no news
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"edgevision {name}")

    async def serve(self) -> None:
        """Until the browser goes, or is told to."""
        reading = asyncio.ensure_future(self._read())
        answering = asyncio.ensure_future(self._answer())
        try:
            await asyncio.wait({reading, answering}, return_when=asyncio.FIRST_COMPLETED)
            for one in (reading, answering):
                if one.done() and one.exception() is None and (end := one.result()) is not None:
                    await close(self._websocket, *end)
            if answering.done() and (error := answering.exception()) is not None:
                self._pages.trouble(f"{self._name}: {type(error).__name__}: {error}")
                await close(self._websocket, 1011, "something failed; the service's log says what")
        finally:
            reading.cancel()
            answering.cancel()
            await asyncio.gather(reading, answering, return_exceptions=True)
            self._thread.shutdown(wait=False)  # a step that is running ends by itself

    def tell(self, kind: str, text: str) -> None:
        """News for the browser. From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._take_news, kind, text)

    def _take_news(self, kind: str, text: str) -> None:
        self._news[kind] = text
        self._came.set()

    async def _read(self) -> tuple[int, str] | None:
        """Take what comes. How the connection is to be closed; None where it is."""
        for frame in count(1):
            try:
                message = await asyncio.wait_for(self._websocket.receive(), self._pages.silent_s)
            except asyncio.TimeoutError:
                return 1001, f"no picture for {self._pages.silent_s:g} s"
            if message["type"] == "websocket.disconnect":
                return None
            data = message.get("bytes")
            if data is None:
                return 1003, "expected pictures, each a binary message, got text"
            if len(data) > MAX_PICTURE_BYTES:
                return 1009, f"a picture has at most {MAX_PICTURE_BYTES} bytes"
            left_out = 0 if self._waiting is None else self._waiting.skipped + 1
            self._waiting = _Picture(frame, data, time.monotonic(), left_out)
            self._came.set()
        return None

    async def _answer(self) -> tuple[int, str]:
        """Answer the newest picture, again and again, and send news. How the connection is to be closed."""
        while True:
            await self._came.wait()
            self._came.clear()
            texts, self._news = list(self._news.values()), {}
            picture, self._waiting = self._waiting, None
            if picture is not None:
                fields = await self._loop.run_in_executor(self._thread, self._look, picture)
                age_ms = _milliseconds_since(picture.came_s)
                texts.append(encoded({"frame": picture.frame, "age_ms": age_ms, **fields}))
            try:
                for text in texts:
                    await asyncio.wait_for(self._websocket.send_text(text), SEND_S)
            except asyncio.TimeoutError:
                return 1001, "the answers are not taken"
            if self._bad >= MOST_BAD:
                return 1003, f"{MOST_BAD} pictures in a row gave no answer"

    # ---- in the connection's thread ----

    def _look(self, picture: _Picture) -> dict[str, Any]:
        """What to answer to one picture."""
        if self._machine is None:
            self._machine = self._pages.make_machine(self._name)
        fields: dict[str, Any] = {"skipped": picture.skipped} if picture.skipped else {}
        try:
            frame = _frame(picture.data)
        except ImageError as error:
            self._bad += 1
            return {"state": state_word(self._machine.state), "events": [], "error": str(error), **fields}
        try:
            events = list(self._machine.step(frame, picture.came_s))
        except Exception as error:  # a model fails on one frame, and may be well on the next
            self._bad += 1
            self._tell(error)
            words = "the model failed on this picture; the service's log says why"
            return {"state": state_word(self._machine.state), "events": [], "error": words, **fields}
        self._bad = 0
        self._tell(getattr(self._machine, "trouble", None))
        for event in events:
            self._pages.see(event)
        return {"state": state_word(self._machine.state), "events": [fields_of(one) for one in events], **fields}

    def _tell(self, error: BaseException | None) -> None:
        """Tell of what the model raised, once, until it is well again."""
        words = "" if error is None else f"{self._name}: the model failed on a picture: {type(error).__name__}: {error}"
        if words and words != self._told:
            self._pages.trouble(words)
        self._told = words


def state_word(state: Any) -> str:
    """The word for a state, of text or of an ``Enum``.

    >>> state_word("still")
    'still'
    """
    return str(state.value if isinstance(state, Enum) else state)


def _frame(data: bytes) -> Frame:
    if not data.startswith(_JPEG):
        raise ImageError("expected a JPEG")
    return Frame.from_array(read_image(data, max_decode_bytes=MAX_DECODE_BYTES))


def _milliseconds_since(then_s: float) -> float:
    return round(1000 * (time.monotonic() - then_s), 1)
