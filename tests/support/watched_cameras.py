"""Captures real cameras as a stream does, and notes what came, how old it truly was, and what the cameras' states were."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from edgevision.streams.camera_state import State, StateChange
from edgevision.streams.camsim.reading import read_stamp
from edgevision.streams.capture import Capture
from edgevision.streams.captured import Captured
from edgevision.streams.clock import SystemClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import CameraOptions
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.base import Source
from edgevision.streams.sources.registry import make_source


@dataclass(frozen=True)
class Taken:
    """``number``: of the picture, from its bar code; ``age_s``: true, from the same; ``at_s``: when it was taken."""

    number: int
    age_s: float
    at_s: float
    sequence: int


@dataclass
class Watched:
    """One camera, being captured. The consumer takes whatever is there, as a model that is never busy would."""

    options: CameraOptions
    source: Source | None = None
    taken: list[Taken] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    frames: list[Captured] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger()
        source = self.source or make_source(self.options)
        self._arrived = threading.Semaphore(0)
        settle = partial(self.ledger.settle, self.options.name)
        self.mailbox = Mailbox(self.options.service(live=source.live), settle, lambda wake: self._arrived.release())
        self.capture = Capture(self.options.name, source, self.mailbox, self.ledger, SystemClock(), self.changes.append)
        self._stopping = False
        self._consumer = threading.Thread(target=self._consume, daemon=True)

    def start(self) -> None:
        self._consumer.start()
        self.capture.start()

    def stop(self) -> None:
        assert self.capture.stop(10.0)
        self.mailbox.close()
        self._stopping = True
        self._arrived.release()
        self._consumer.join(10.0)

    def wait_for(self, what: Callable[[], bool], seconds: float = 30.0) -> None:
        until_s = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until_s, f"{self.changes}\n{self.ledger.account(self.options.name)}"
            time.sleep(0.01)

    @property
    def state(self) -> State:
        return self.capture.state.state

    def states(self) -> list[tuple[State, Reason | None]]:
        return [(change.state, change.reason) for change in self.changes]

    def _consume(self) -> None:
        while self._arrived.acquire() and not self._stopping:
            captured = self.mailbox.take()
            if captured is None:
                continue
            now_ns, at_s = time.time_ns(), time.monotonic()
            self.ledger.settle(self.options.name, captured.sequence, Fate.SERVED)
            self.frames[:] = [captured]
            stamp = read_stamp(captured.frame.planes[0], now_ns) if captured.frame.planes[0].ndim == 2 else None
            if stamp is not None:
                self.taken.append(Taken(stamp.number, (now_ns - stamp.time_ns) / 1e9, at_s, captured.sequence))


@contextlib.contextmanager
def watching(*cameras: Watched) -> Iterator[None]:
    """Start them, and stop them at the end, whatever happens; then each ledger has to be exact."""
    for camera in cameras:
        camera.start()
    try:
        yield
    finally:
        for camera in cameras:
            camera.stop()
    for camera in cameras:
        account = camera.ledger.account(camera.options.name)
        assert account.balanced
        assert account.in_flight == 0
