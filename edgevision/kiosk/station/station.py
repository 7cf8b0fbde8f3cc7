"""``Station``: a camera, or frames that you put in, become events in a thread of its own."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.closing import CLOSE_TIMEOUT_S, close_at_exit
from edgevision.errors import EdgeVisionError, InputError, SourceError
from edgevision.fork import tell_after_fork
from edgevision.frames import Frame, ImageArray
from edgevision.kiosk.events import BlockedReason, StationEvent
from edgevision.kiosk.station.event_queue import EventQueue
from edgevision.kiosk.station.options import StationOptions
from edgevision.kiosk.station.placements import Placements, State
from edgevision.streams.awaiting import next_of
from edgevision.streams.camera_state import CameraState, StateChange
from edgevision.streams.camera_state import State as CameraWord
from edgevision.streams.captured import Captured
from edgevision.streams.clock import Clock, SystemClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import LATEST, CameraOptions
from edgevision.streams.outlet import Ended
from edgevision.streams.sources.push import PushSource

if TYPE_CHECKING:
    from edgevision.streams.capture import Capture
    from edgevision.streams.sources.base import Source

_TROUBLES = 100  # that are kept


class Station:
    """One place before one camera, as events: ``Placed``, then ``Recognised``, ``Unsure`` or ``Unknown``, then ``Removed``; ``Blocked`` and ``Unblocked``.

    ``model``: of ``edgevision.load``: a bundle that classifies, one that finds boxes, or a cascade of both. It stays yours to close, after the
    Station. ``camera``: a URL or path as ``edgevision stream`` takes it, or ``CameraOptions``; None: you ``put`` the frames. ``source``: what gives
    the frames, where it is your own. ``on_event``: called with each event, in the Station's thread: hand it on and return. Events can be read as well:
    ``for event in station``, ``async for event in station``, or ``poll()`` from a timer. Each goes to one reader.

    It works in a thread of its own from ``start``, entering or reading until ``close``, on the newest frame alone: nothing blocks its caller, and a
    slow model makes it late for nothing. A camera may be down: ``Blocked`` says so. It ends when a file is at its end, or the camera cannot
    ever be one: its last event is a ``Blocked`` that says why.

    ``ledger``: what became of every frame. ``troubles``: the last things that model or callback raised.

    >>> with ev.load("model.edge") as model, Station(model, "rtsp://till-3/main") as station:  # doctest: +SKIP
    ...     for event in station:
    ...         print(event.to_dict())
    """

    def __init__(
        self, model: Any, camera: str | Path | CameraOptions | None = None, *, name: str = "station",
        options: StationOptions | None = None, on_event: Callable[[StationEvent], object] | None = None,
        source: Source | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        """Raises InputError for a camera, model, name or options that cannot be, and for a model that is closed."""
        _check(model, camera, name, options, on_event)
        self.name = name
        self.ledger = Ledger()
        self.troubles: deque[BaseException] = deque(maxlen=_TROUBLES)
        self.options = StationOptions() if options is None else options
        self._clock: Clock = SystemClock() if clock is None else clock
        self._placements = Placements(model, station=name, options=self.options)
        self._on_event = on_event
        self._events = EventQueue()
        self._wake = threading.Condition()
        self._changing = threading.Lock()
        self._started = self._stopping = self._inherited = False
        self._learning = False
        self._ended = False  # no frame will come any more …
        self._end_words = ""  # … and why
        self._silent_s: float | None = None  # when no frame came for so long that it has to be said
        self._last_s = 0.0  # the newest camera time
        self._push: PushSource | None = None
        self._capture: Capture | None = None
        given = _camera_options(camera, source, name)
        if given is None:
            self._push = PushSource(name)
            self._waits_for_frames = True
            self._mailbox = self._new_mailbox(self._push.options)
            self._push.attach(self._mailbox, self.ledger, self._clock)
        else:
            self._attach(given, source)
        self._thread = threading.Thread(target=self._run, name=f"edgevision station {name}", daemon=True)
        close_at_exit(self)
        tell_after_fork(self)

    # ---- frames ----

    def put(
        self, frame: Frame | ImageArray | bytes | bytearray | memoryview, *, captured_ns: int | None = None, age_s: float = 0.0
    ) -> bool:  # fmt: skip
        """Let a frame in: an H×W×3 uint8 BGR array, or a ``Frame``, whose planes nobody writes to afterwards; or the bytes of a picture file, which
        is decoded in the Station's thread. Never blocks.

        ``captured_ns``: when it was captured, UTC, for people; ``age_s``: how many seconds ago. Whether it was let in: not after ``close``.
        Raises EdgeVisionError where the Station has a camera, and InputError for what is no frame or age.
        """
        if self._push is None:
            raise EdgeVisionError(f"station {self.name!r} reads a camera; make one without camera= to put frames")
        if not _is_age(age_s):
            raise InputError(f"age_s is seconds since the frame was captured, 0 or more, got {age_s!r}")
        self.start()
        return self._push.put(frame, captured_ns=captured_ns, age_s=age_s)

    # ---- what is so now ----

    @property
    def state(self) -> State:
        """``empty``, ``moving``, ``still`` (something lies there), or ``blocked``."""
        return self._placements.state

    @property
    def blocked(self) -> BlockedReason | None:
        """Why nothing can be told, or None."""
        return self._placements.blocked

    @property
    def camera_state(self) -> CameraState | None:
        """What the camera is doing; None where you put the frames."""
        return None if self._capture is None else self._capture.state

    @property
    def lost(self) -> int:
        """Events that were dropped because nobody read them: the newest 1,000 are kept."""
        return self._events.lost

    def learn_empty(self) -> None:
        """The place is empty: learn it anew, as after moving the camera. What lay there before counts as removed."""
        self._learning = True

    # ---- events ----

    def poll(self) -> list[StationEvent]:
        """The events that wait. Never blocks: for a timer of Tk or Qt."""
        self.start()
        return self._events.all()

    def __iter__(self) -> Iterator[StationEvent]:
        self.start()
        return self

    def __next__(self) -> StationEvent:
        try:
            return self._events.get()
        except Ended:
            raise StopIteration from None

    def __aiter__(self) -> AsyncIterator[StationEvent]:
        self.start()
        return self

    async def __anext__(self) -> StationEvent:
        try:
            return await next_of(self._events)
        except Ended:
            raise StopAsyncIteration from None

    # ---- running ----

    def start(self) -> None:
        """Begin, if that was not done. Entering, reading and putting do it. Raises EdgeVisionError for one that was made before a fork."""
        if self._inherited:
            raise EdgeVisionError(
                "this station was made before fork, and its thread is not here; make one in the child"
            )
        with self._changing:
            if self._started or self._stopping:
                return
            self._started = True
            self._expect_a_frame()
            self._thread.start()
            if self._capture is not None:
                self._capture.start()

    def refuse(self) -> None:
        """Begin nothing new. Returns at once; ``close`` is still to be called."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._mailbox.close()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Stop: the camera is let go, the frame at work is finished, readers end after what waits. Closing twice is allowed.

        Waits at most ``timeout_s`` seconds for a camera or model that hangs; such a thread does not keep the program alive. Called from
        ``on_event``, it does not wait for itself.
        """
        if self._inherited:
            return
        deadline_s = time.monotonic() + timeout_s
        with self._changing:
            self.refuse()
        if self._capture is not None:
            self._capture.stop(timeout_s / 2)
        if self._started and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, deadline_s - time.monotonic()))
        self._events.end()

    def after_fork(self) -> None:
        """In a child of ``fork``: its threads are not there, and it is over. Called by Python, not by you."""
        self._stopping = self._inherited = True
        self._events = EventQueue()  # a lock of the parent's may be held for ever
        self._events.end()

    def __enter__(self) -> Station:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- the thread ----

    def _run(self) -> None:
        try:
            while self._wait():
                captured = self._mailbox.take()
                if captured is not None:
                    self._step(captured)
                elif self._ended:
                    self._tell_end()
                    return
                elif self._is_silent():
                    self._silent_s = None  # said once
                    self._tell(self._placements.no_frame(self._clock.now_s()))
        finally:
            self._events.end()

    def _wait(self) -> bool:
        """Until there is something to do. False where it is to stop."""
        with self._wake:
            while not (self._stopping or len(self._mailbox) or self._ended or self._is_silent()):
                self._clock.wait_until(self._wake, self._silent_s)
            return not self._stopping

    def _step(self, captured: Captured) -> None:
        try:
            frame = captured.decoded()
        except SourceError:  # as if it had not come
            self.ledger.settle(self.name, captured.sequence, Fate.CORRUPT)
            return
        if self._learning:
            self._learning = False
            self._placements.learn_empty()
        self._expect_a_frame()
        self._last_s = max(
            self._last_s, captured.captured_s
        )  # an estimate, for many cameras: it may step back a little
        try:
            events = self._placements.step(frame, self._last_s)
        except Exception as error:  # a frame that cannot be one, such as one on a device: the next may be well
            self.troubles.append(error)
            self.ledger.settle(self.name, captured.sequence, Fate.POISON)
            return
        if self._placements.trouble is not None:
            self.troubles.append(self._placements.trouble)
        self.ledger.settle(self.name, captured.sequence, Fate.SERVED)
        self._tell(events)

    def _tell(self, events: list[StationEvent]) -> None:
        for event in events:
            self._events.put(event)
            if self._on_event is not None:
                try:
                    self._on_event(event)
                except Exception as error:  # the app's: it must not end the Station
                    self.troubles.append(error)

    def _tell_end(self) -> None:
        """Nothing will be seen any more: the place must not go on as if it were empty. Not where it was closed, or was told so before."""
        if not self._stopping:
            at_s = self._clock.now_s() if self._waits_for_frames else self._last_s  # a file has a time of its own
            self._tell(self._placements.no_frame(at_s, self._end_words))

    def _expect_a_frame(self) -> None:
        if self._waits_for_frames:
            self._silent_s = self._clock.now_s() + self.options.camera_s

    def _is_silent(self) -> bool:
        return self._silent_s is not None and self._clock.now_s() >= self._silent_s

    # ---- the camera ----

    def _attach(self, camera: CameraOptions, source: Source | None) -> None:
        from edgevision.streams.capture import Capture

        if source is None:
            from edgevision.streams.sources.registry import make_source

            source = make_source(camera)
        self._waits_for_frames = source.live
        self._mailbox = self._new_mailbox(camera)
        self._capture = Capture(self.name, source, self._mailbox, self.ledger, self._clock, self._on_state)

    def _new_mailbox(self, camera: CameraOptions) -> Mailbox:
        service = replace(
            camera.service(live=True), mode=LATEST
        )  # the newest alone, also of a file, which waits for room
        return Mailbox(
            service, lambda sequence, fate: self.ledger.settle(self.name, sequence, fate), lambda wake: self._notify()
        )

    def _notify(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def _on_state(self, change: StateChange) -> None:
        if change.state in (CameraWord.ENDED, CameraWord.DISABLED):
            with self._wake:
                self._ended, self._end_words = True, _end_words(change)
                self._wake.notify_all()


def _end_words(change: StateChange) -> str:
    if change.state is CameraWord.DISABLED:
        return f"the camera cannot be used: {change.words}"
    return "the camera's film is at its end, and no more pictures come"


def _check(model: Any, camera: Any, name: Any, options: Any, on_event: Any) -> None:
    """Raise InputError for what a Station cannot be made of."""
    if getattr(model, "is_closed", False):
        raise InputError(
            "the model is closed, so that a Station could ask it nothing; load it again, and close it after the Station"
        )
    if camera is not None and not isinstance(camera, (str, Path, CameraOptions)):
        raise InputError(
            "a Station's camera is a URL, a path or CameraOptions, such as 'rtsp://till-3/main', 'film.mp4', or for a camera of this machine 'v4l2:NAME' "
            f"with a NAME of /dev/v4l/by-id, got {camera!r}; a number may be another camera after a restart"
        )
    if not isinstance(name, str) or not name or not name.isprintable():
        raise InputError(f"the name of a Station is printable text, got {name!r}")
    if options is not None and not isinstance(options, StationOptions):
        raise InputError(f"options of a Station are StationOptions, such as StationOptions(sure=0.99), got {options!r}")
    if on_event is not None and not callable(on_event):
        raise InputError(f"on_event of a Station is called with each event, got {on_event!r}")


def _is_age(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and 0 <= float(value) < math.inf


def _camera_options(
    camera: str | Path | CameraOptions | None, source: Source | None, name: str
) -> CameraOptions | None:
    """None where frames are put in. A video file is played at its own speed: a Station counts in seconds."""
    if isinstance(camera, CameraOptions):
        return replace(camera, name=name)
    if camera is not None:
        text = str(camera)
        return CameraOptions(name, f"paced:{text}" if Path(text).is_file() else text)
    return None if source is None else CameraOptions(name, "source:")
