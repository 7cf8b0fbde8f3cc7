"""What the scenarios of ``stream_scenarios`` watch a stream with: readers, a stand-in for a model, a sink that keeps everything."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from edgevision.frames import Frame
from edgevision.streams.camera_state import State, StateChange
from edgevision.streams.camsim.reading import read_stamp
from edgevision.streams.camsim.server import CameraSettings
from edgevision.streams.capture import Capture
from edgevision.streams.clock import SystemClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import CameraOptions, StreamOptions
from edgevision.streams.results import StreamResult
from edgevision.streams.sources.registry import make_source
from edgevision.streams.stream import Stream

SETTINGS = CameraSettings(width=640, height=360)
SMALL = CameraSettings(width=320, height=192, bitrate_kbps=400)  # where there are many
NO_WARM_UP = StreamOptions(warm_up=False)  # a stand-in has nothing to warm up
Figures = dict[str, Any]


class Served(NamedTuple):
    """A frame that was taken: its number, its true age, and when."""

    number: int
    age_s: float
    at_s: float


class Reader:
    """Takes every frame of one camera as soon as it is there, as an idle model would."""

    def __init__(self, url: str, **options: Any) -> None:
        self.options = CameraOptions("cam", url, **options)
        self.ledger, self.served, self.changes = Ledger(), list[Served](), list[tuple[float, StateChange]]()
        self._arrived = threading.Semaphore(0)
        source = make_source(self.options)
        settle = partial(self.ledger.settle, "cam")
        self.mailbox = Mailbox(self.options.service(live=source.live), settle, lambda wake: self._arrived.release())
        self.capture = Capture("cam", source, self.mailbox, self.ledger, SystemClock(), self._note)
        self._stopping = False
        self._thread = threading.Thread(target=self._take, daemon=True)

    def _note(self, change: StateChange) -> None:
        self.changes.append((time.monotonic(), change))

    def _take(self) -> None:
        while self._arrived.acquire() and not self._stopping:
            captured = self.mailbox.take()
            if captured is None:  # a newer one took its place, and was taken before
                continue
            now_ns, now_s = time.time_ns(), time.monotonic()
            self.ledger.settle("cam", captured.sequence, Fate.SERVED)
            stamp = read_stamp(captured.decoded().planes[0], now_ns)
            if stamp is not None:
                self.served.append(Served(stamp.number, (now_ns - stamp.time_ns) / 1e9, now_s))

    def until(self, what: Callable[[], bool], seconds: float = 60.0) -> float:
        """Wait for it; when it was."""
        end_s = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end_s:
                raise TimeoutError(f"{self.capture.state} {self.ledger.account('cam')}")
            time.sleep(0.002)
        return time.monotonic()

    def since(self, begin_s: float, end_s: float = float("inf")) -> list[Served]:
        """What was served between two moments."""
        return [one for one in self.served if begin_s < one.at_s < end_s]

    def first(self, state: State, after_s: float = 0.0) -> float:
        """When the camera went into that state."""
        self.until(lambda: any(at > after_s and one.state is state for at, one in self.changes))
        return next(at for at, one in self.changes if at > after_s and one.state is state)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self.capture.start()

    def stop(self) -> None:
        """End, and be sure that every frame is accounted for."""
        self.capture.stop(10.0)
        self.mailbox.close()
        self._stopping = True
        self._arrived.release()
        self._thread.join(10.0)
        account = self.ledger.account("cam")
        if not account.balanced or account.in_flight:
            raise AssertionError(f"the ledger is not exact: {account}")


@contextlib.contextmanager
def reading(*readers: Reader) -> Iterator[None]:
    """Start them, and stop them at the end."""
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        for reader in readers:
            reader.stop()


def came(served: list[Served]) -> float:
    """Share of the frames that the camera sent in that time, by their numbers."""
    return len(served) / (served[-1].number - served[0].number + 1)


def milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def first_frames(url: str, frames: int) -> tuple[float, list[float]]:
    """E: seconds until the first frame after opening, and the true ages of so many."""
    reader = Reader(url)
    begin_s = time.monotonic()
    with reading(reader):
        reader.until(lambda: len(reader.served) >= frames)
    return reader.served[0].at_s - begin_s, [one.age_s for one in reader.served[:frames]]


class StampModel:
    """Answers each frame with the number and time of its bar code. ``takes_s``: how long a frame takes it. ``fails``: whether it
    raises at a frame, whose number is given."""

    id, max_batch, parallel = "stamps", 4, 1

    def __init__(self, takes_s: float = 0.0, fails: Callable[[Frame, int], bool] = lambda frame, number: False) -> None:
        self._takes_s = takes_s
        self._fails = fails

    def predict_frames(self, frames: Sequence[Frame]) -> list[Figures]:
        """The answers."""
        time.sleep(self._takes_s * len(frames))
        return [self._answer(frame) for frame in frames]

    def _answer(self, frame: Frame) -> Figures:
        stamp = read_stamp(frame.planes[0], time.time_ns())
        if stamp is None:
            return {"number": None, "time_ns": None}
        if self._fails(frame, stamp.number):
            raise ValueError(f"picture {stamp.number} is not to this model's taste")
        return {"number": stamp.number, "time_ns": stamp.time_ns}


def true_age_s(result: StreamResult) -> float:
    """How old a result's picture is now, by its bar code; NaN where that could not be read."""
    time_ns = result.result["time_ns"]
    return float("nan") if time_ns is None else (time.time_ns() - time_ns) / 1e9


def until(what: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait for it; when it was."""
    end_s = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end_s:
            raise TimeoutError(f"it was not so within {seconds:g} s")
        time.sleep(0.005)
    return time.monotonic()


def check_ledger(stream: Stream) -> None:
    """After the stream has stopped: every frame has one fate."""
    for account in stream.ledger.accounts():
        if not account.balanced or account.in_flight:
            raise AssertionError(f"the ledger is not exact: {account}")


class Kept:
    """A sink that keeps every result, and when it came."""

    name, wants_frames = "kept", False

    def __init__(self) -> None:
        self.results: list[tuple[float, StreamResult]] = []
        self.changes: list[StateChange] = []

    def open(self) -> None:
        """Nothing to do."""

    def write(self, item: Any) -> None:
        """Keep it."""
        if isinstance(item, StreamResult):
            self.results.append((time.monotonic(), item))
        elif isinstance(item, StateChange):
            self.changes.append(item)

    def close(self, timeout_s: float) -> None:
        """Nothing to do."""

    def of(self, camera: str) -> list[StreamResult]:
        """A camera's results, in the order they came."""
        return [one for _, one in self.results if one.camera == camera]

    def unexplained(self, camera: str) -> int:
        """Frames between its results that their gaps do not account for."""
        last, wrong = -1, 0
        for one in self.of(camera):
            wrong += abs(one.sequence - last - 1 - sum(one.gap.values()))
            last = one.sequence
        return wrong
