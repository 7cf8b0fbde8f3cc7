"""The thread of one camera: opens it, reads it all the time, and lets its frames into the mailbox."""

from __future__ import annotations

import contextlib
import math
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgevision.errors import DamagedFrameError, EdgeVisionError, SourceError
from edgevision.frames import Frame, MemoryKind
from edgevision.streams.camera_state import CameraState, State, StateChange
from edgevision.streams.captured import Captured
from edgevision.streams.clock import Clock
from edgevision.streams.encoded import EncodedFrame
from edgevision.streams.fates import Fate
from edgevision.streams.health import Health
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.base import Source

CATCH_UP_S = (
    2.0  # frames that a pause held back come within this time; a lag that stays longer is for the batcher to judge
)
_LOOK_S = 0.2  # between two looks at what a picture shows
_LOOK_ROWS = 8  # one row of so many is looked at
_PATIENCE_S = 0.2  # a file that waits for room looks so often whether it is to stop


class Capture:
    """Reads one source in a thread of its own until it ends or ``stop`` is called.

    Each frame is counted in the ledger, and is either let into the mailbox or settled here: as ``CORRUPT``, or as ``STALE``
    where a connection was just made or had paused, and what comes first is older than the camera's ``max_age_s``.

    A source that fails is closed and opened again, see ``Health``; ``on_state`` is told of each change, in this thread.

    Pictures that come as files are let in as they are, and taken for whole: they are decoded when the model takes them. But a live camera is
    doubted when it was just opened, and when one of its pictures turned out to be damaged: then each is decoded here until one is whole, so that
    its state tells of damage as that of any other camera does, whether the model takes its frames or not.
    """

    def __init__(
        self,
        camera: str,
        source: Source,
        mailbox: Mailbox,
        ledger: Ledger,
        clock: Clock,
        on_state: Callable[[StateChange], None],
    ) -> None:
        self._camera = camera
        self._source = source
        self._mailbox = mailbox
        self._ledger = ledger
        self._clock = clock
        self._on_state = on_state
        self._health = Health(live=source.live, now_s=clock.now_s())
        self._stopping = False
        self._wake = threading.Condition()
        self._received_s: float | None = None  # of the last frame of this connection
        self._in_time = True  # since the last pause a frame came that was not too old
        self._catch_up_until_s = -math.inf
        self._look_s = 0.0
        self._doubted = False  # whether pictures that come as files are decoded here; set by any thread
        self._thread = threading.Thread(target=self._run, name=f"edgevision capture {camera}", daemon=True)

    @property
    def state(self) -> CameraState:
        """What the camera is doing."""
        return self._health.state

    @property
    def period_s(self) -> float | None:
        """Seconds between its frames, measured; None until enough came."""
        return self._health.period_s

    def start(self) -> None:
        """Begin. Once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Make the thread end; whether it has, within ``timeout_s``. It closes its source last."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._source.interrupt()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # ---- the thread ----

    def _run(self) -> None:
        try:
            while not self._stopping and self._health.state.state not in (State.DISABLED, State.ENDED):
                self._connect_and_read()
                self._close()
                self._wait_for_retry()
        finally:
            self._close()
            if self._stopping:
                self._health.ended(self._clock.now_s())
            self._tell()

    def _connect_and_read(self) -> None:
        """Until the connection is lost, or the source is at its end."""
        health, clock = self._health, self._clock
        health.connecting(clock.now_s())
        self._tell()
        try:
            self._source.open()
            health.opened(clock.now_s(), getattr(self._source, "announced_fps", None))
            self._received_s, self._in_time = None, True
            self._doubted = self._source.live
            while not self._stopping and self._read_one():
                self._tell()
                if health.must_reopen(clock.now_s()):
                    state = health.state
                    health.failed(
                        clock.now_s(), state.reason or Reason.CORRUPT, state.words or "no whole picture comes"
                    )
                    break
        except SourceError as error:
            if not self._stopping:
                health.failed(clock.now_s(), error.reason, str(error))
        except EdgeVisionError as error:  # a URL that cannot be one, a package that is missing: time will not mend it
            health.disabled(clock.now_s(), None, str(error))
        except Exception as error:  # a fault of ours or of a library: the other cameras go on, and this one may again
            health.failed(clock.now_s(), Reason.GONE, f"unexpected {type(error).__name__} in its source")
        self._tell()

    def _close(self) -> None:
        """A source that fails to close is opened again all the same."""
        with contextlib.suppress(Exception):
            self._source.close()

    def _read_one(self) -> bool:
        """One frame; False at the end."""
        try:
            captured = self._source.read()
        except DamagedFrameError:
            self._ledger.settle(self._camera, self._ledger.captured(self._camera), Fate.CORRUPT)
            self._health.damaged(self._clock.now_s())
            return True
        if captured is None:
            self._health.ended(self._clock.now_s())
            return False
        sequence = self._ledger.captured(self._camera)
        try:
            captured = replace(captured, frame=replace(captured.frame, sequence=sequence))
            if not self._is_whole(captured):
                self._ledger.settle(self._camera, sequence, Fate.CORRUPT)
                self._health.damaged(self._clock.now_s())
                return True
            self._watch(captured)
        except BaseException:  # a frame that nothing can be made of, such as one without pixels
            self._ledger.settle(self._camera, sequence, Fate.CORRUPT)
            raise
        if self._is_stale(captured):
            self._ledger.settle(self._camera, sequence, Fate.STALE)
            return True
        if not self._source.live:
            self._wait_for_room()
        self._mailbox.put(captured)
        return True

    def _is_whole(self, captured: Captured) -> bool:
        """Whether the picture is, where that is known or has to be found out."""
        if not isinstance(captured.frame, EncodedFrame):
            return True
        if self._source.live:
            captured.frame.picture.on_damage = self._doubt
        if not self._doubted:
            return True
        captured.frame.picture.digest()  # while its file is there: ``_watch`` asks for it
        try:
            captured.decoded()
        except DamagedFrameError:
            return False
        self._doubted = False
        return True

    def _doubt(self) -> None:
        """A picture turned out to be damaged; called by whoever decoded it."""
        self._doubted = True

    def _is_stale(self, captured: Captured) -> bool:
        """Whether it is a frame that the network or the camera had kept, and that is too old by now."""
        max_age_s, now_s = self._mailbox.service.max_age_s, captured.received_s
        paused = self._received_s is None or now_s - self._received_s > max_age_s
        self._received_s = now_s
        if now_s - captured.captured_s <= max_age_s:
            self._in_time, self._catch_up_until_s = True, -math.inf
            return False
        if paused and self._in_time:
            self._in_time, self._catch_up_until_s = False, now_s + CATCH_UP_S
        return now_s < self._catch_up_until_s

    def _watch(self, captured: Captured) -> None:
        now_s, health = captured.received_s, self._health
        health.arrived(now_s, captured.captured_s)
        if not self._source.live or now_s < self._look_s:
            return
        self._look_s = now_s + _LOOK_S
        digest = _digest(captured.frame)
        if digest is not None:
            health.pictured(now_s, digest)
        skew_s = None
        if captured.frame.captured_ns is not None:
            age_s = self._clock.now_s() - captured.captured_s
            skew_s = (self._clock.now_ns() - captured.frame.captured_ns) / 1e9 - age_s
        health.clocked(now_s, skew_s, getattr(self._source, "stamp_speed", None))

    def _wait_for_room(self) -> None:
        while not self._stopping and not self._mailbox.wait_for_room(_PATIENCE_S):
            pass

    def _wait_for_retry(self) -> None:
        if self._health.state.state is not State.BACKOFF:
            return
        with self._wake:
            while not self._stopping and self._clock.now_s() < self._health.retry_s:
                self._clock.wait_until(self._wake, self._health.retry_s)

    def _tell(self) -> None:
        for state in self._health.take_changes():
            self._on_state(StateChange(self._camera, state.state, state.reason, state.words, self._clock.now_ns()))


def _digest(frame: Frame | EncodedFrame) -> int | None:
    """A number that differs where pictures differ: from some rows of the first plane, or from the file, which nobody may ever decode: the model
    may be busy elsewhere for minutes. None: it cannot be told."""
    if isinstance(frame, EncodedFrame):
        return frame.picture.digest()
    if frame.memory is not MemoryKind.HOST:
        return None
    return zlib.crc32(np.ascontiguousarray(frame.planes[0][::_LOOK_ROWS]).data)
