"""Where the events of Stations come together, and from where every subscriber gets them: each with a queue of its own."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from edgevision.errors import EdgeVisionError
from edgevision.kiosk.events import StationEvent
from edgevision.kiosk.service.live.messages import encoded, fields_of

HISTORY = 256  # messages that somebody who comes back can still get: hours of one place
HISTORY_BYTES = 8 << 20  # of their texts, which the pictures make up
QUEUE = 256  # messages that wait for one subscriber at most
MOST_SUBSCRIBERS = 32
GAP = "gap"
STATIONS = "stations"


class HubClosedError(EdgeVisionError):
    """There are no more events: the service ends."""


class HubFullError(EdgeVisionError):
    """As many listen already as may."""


@dataclass(frozen=True)
class Message:
    """One event, ready to be sent. ``id``: empty where it cannot be resumed from. ``text``: its JSON; ``plain``: without picture. ``told_s``:
    when it was told, by the hub's clock."""

    number: int
    id: str
    kind: str
    text: str
    plain: str
    told_s: float = 0.0

    def aged(self, now_s: float) -> Message:
        """The same with ``age_s``: how many seconds ago it was told.

        >>> Message(7, "1f-7", "removed", '{"event":"removed"}', "{}", 3.0).aged(5.25).text
        '{"event":"removed","age_s":2.25}'
        """
        age = {"age_s": round(max(0.0, now_s - self.told_s), 3)}
        return replace(self, text=_with(self.text, age), plain=_with(self.plain, age))

    def shown(self, pictures: bool) -> str:
        """Its JSON, with or without the picture."""
        return self.text if pictures else self.plain


class EventsHub:
    """Takes events from any thread, gives them to every subscriber, and keeps the last ones for those who come back.

    A subscriber who is slower than the events loses the oldest that wait for him, and is told how many: nobody else waits for him.
    ``stations``: reads how every Station is now, for the first message of a subscriber. ``now_s``: a clock that never goes back, in seconds.

    >>> hub = EventsHub()
    >>> hub.tell("model-changed", {"id": "1f2e3d"})
    >>> hub.told
    1
    """

    def __init__(
        self, *, history: int = HISTORY, history_bytes: int = HISTORY_BYTES, queue: int = QUEUE,
        most_subscribers: int = MOST_SUBSCRIBERS, stations: Callable[[], list[dict[str, Any]]] = list,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.stations = stations
        self._queue = queue
        self._now_s = now_s
        self._most_subscribers = most_subscribers
        self._history: deque[Message] = deque()
        self._history_room = history, history_bytes
        self._history_bytes = 0
        self._run = secrets.token_hex(4)  # ids of another run must not be taken for ours: numbers begin at 1 in each
        self._number = 0
        self._lock = threading.Lock()
        self._telling = threading.Lock()  # held while a message is made and sent, so that they stay in order
        self._subscribers: set[Subscription] = set()
        self._closed = False
        self._lost = 0

    @property
    def told(self) -> int:
        """Messages so far."""
        return self._number

    @property
    def subscribers(self) -> int:
        """How many listen now."""
        return len(self._subscribers)

    @property
    def lost(self) -> int:
        """How many messages subscribers did not get because they were slow, all together."""
        return self._lost

    @property
    def closed(self) -> bool:
        """Whether there will be no more events."""
        return self._closed

    def publish(self, event: StationEvent) -> None:
        """Give an event to everybody. From any thread; never waits for a subscriber."""
        plain = fields_of(event, pictures=False)
        fields = fields_of(event)
        self._tell(event.kind, plain, fields)

    def tell(self, kind: str, fields: dict[str, Any]) -> None:
        """The same for news that is no Station's, such as ``model-changed``."""
        plain = {"event": kind, **fields}
        self._tell(kind, plain, plain)

    def subscribe(self, after: str | None = None) -> Subscription:
        """Listen from now on, or from the message with the id ``after`` on. To be called in a running event loop.

        What was told since ``after`` comes with its age, ``age_s``. Where messages since ``after`` are gone, or it is of an earlier run of the service, the subscriber is told of the gap.
        Raises HubFullError, HubClosedError.
        """
        with self._lock:
            if self._closed:
                raise HubClosedError("the service ends")
            if len(self._subscribers) >= self._most_subscribers:
                raise HubFullError(f"{self._most_subscribers} listen already, which is as many as may")
            made = Subscription(self, self._queue)
            # In here, so that what changes a Station's state is in the snapshot, or still to come, or both.
            snapshot = encoded({"event": STATIONS, STATIONS: self.stations()})
            made._first = Message(0, "", STATIONS, snapshot, snapshot)
            if after:
                missed, lost = self._since(after)
                now_s = self._now_s()
                made._resume((one.aged(now_s) for one in missed), lost)
            self._subscribers.add(made)
        return made

    def close(self) -> None:
        """End every subscription at once: whoever waits for the next event is told. From any thread; twice is allowed."""
        with self._lock:
            self._closed = True
            subscribers = tuple(self._subscribers)
        for one in subscribers:
            one._wake()

    def _tell(self, kind: str, plain: dict[str, Any], fields: dict[str, Any]) -> None:
        with self._telling:
            number = self._number + 1
            id = f"{self._run}-{number}"
            text = encoded({"id": id, **fields})
            without = text if plain is fields else encoded({"id": id, **plain})
            message = Message(number, id, kind, text, without, self._now_s())
            with self._lock:
                if self._closed:
                    return
                self._number = number
                self._keep(message)
                subscribers = tuple(self._subscribers)
                for one in subscribers:
                    one._put(message)
        for one in subscribers:
            one._wake()

    def _keep(self, message: Message) -> None:
        most, most_bytes = self._history_room
        self._history.append(message)
        self._history_bytes += _size(message)
        while self._history and (len(self._history) > most or self._history_bytes > most_bytes):
            self._history_bytes -= _size(self._history.popleft())

    def _since(self, after: str) -> tuple[Iterable[Message], int | None]:
        """The messages after one, and how many more there were: None where that is not known."""
        run, _, number = after.rpartition("-")
        known = number.isascii() and number.isdigit() and len(number) <= 18
        if run != self._run or not known or int(number) > self._number:
            return tuple(self._history), None
        missing = self._number - int(number) - len(self._history)
        return [one for one in self._history if one.number > int(number)], max(0, missing)

    def _leave(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscribers.discard(subscription)


class Subscription:
    """What one subscriber has still to get. A context manager; its event loop alone may call it."""

    def __init__(self, hub: EventsHub, room: int) -> None:
        self._hub = hub
        self._waiting: deque[Message] = deque()
        self._room = room
        self._lost: int | None = 0  # None: an unknown number
        self._first: Message | None = None
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def get(self, timeout_s: float) -> Message | None:
        """The next message; None where none comes within ``timeout_s`` seconds. What was lost is told first, as a ``gap``.

        Raises HubClosedError as soon as the hub is closed, whatever still waits.
        """
        until_s = self._loop.time() + timeout_s
        while (found := self._next()) is None:
            left_s = until_s - self._loop.time()
            if left_s <= 0:
                return None
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ready.wait(), left_s)
        return found

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc: object) -> None:
        self._hub._leave(self)

    def _next(self) -> Message | None:
        with self._hub._lock:
            self._ready.clear()
            if self._hub._closed:
                raise HubClosedError("the service ends")
            if self._first is not None:
                first, self._first = self._first, None
                return first
            if self._lost != 0:
                lost, self._lost = self._lost, 0
                text = encoded({"event": GAP, "missed": lost})
                return Message(0, "", GAP, text, text)
            return self._waiting.popleft() if self._waiting else None

    def _resume(self, messages: Iterable[Message], lost: int | None) -> None:
        self._lost = lost
        for one in messages:
            self._put(one)

    def _put(self, message: Message) -> None:
        if len(self._waiting) >= self._room:
            self._waiting.popleft()
            self._hub._lost += 1
            if self._lost is not None:
                self._lost += 1
        self._waiting.append(message)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._ready.set)


def _with(text: str, fields: dict[str, Any]) -> str:
    """The JSON of an object with more fields, without reading it: it may hold a picture."""
    more = encoded(fields)[1:]
    return text[:-1] + ("" if text == "{}" else ",") + more


def _size(message: Message) -> int:
    return len(message.text) + len(message.plain)
