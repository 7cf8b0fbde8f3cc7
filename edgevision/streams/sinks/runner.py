"""A thread for each sink, so that a slow or broken one stops nothing else."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from edgevision.errors import InputError
from edgevision.streams.backoff import USUAL, Backoff, Pace
from edgevision.streams.sinks.base import Item, Sink

CAPACITY = 1000  # items that wait for a sink
CAPACITY_WITH_FRAMES = 32  # where each carries a picture of megabytes
_TRIES = 2  # of an item: once, and again after the sink was opened anew


@dataclass(frozen=True)
class SinkCounts:
    """What became of the items that a sink was given: ``put`` = the others together, at every moment.

    ``written``: the sink took them. ``overflow``: dropped, oldest first, because the queue was full. ``failed``: the sink raised
    twice. ``unwritten``: still waiting when it was closed. ``waiting``: in the queue or being written now.
    """

    put: int = 0
    written: int = 0
    overflow: int = 0
    failed: int = 0
    unwritten: int = 0
    waiting: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class SinkRunner:
    """Opens a sink, writes what it is given, and opens it again where it fails. Nothing that the sink does reaches ``put``.

    ``capacity``: how many items wait at most; None: as the sink's ``capacity`` says, if it has one, else 1000, or 32 for one that
    wants frames.

    >>> runner = SinkRunner(CallbackSink(print))  # doctest: +SKIP
    >>> runner.start(); runner.put(result); runner.close(5.0)  # doctest: +SKIP
    True
    """

    def __init__(self, sink: Sink, *, capacity: int | None = None, pace: Pace = USUAL) -> None:
        if capacity is None:
            usual = CAPACITY_WITH_FRAMES if sink.wants_frames else CAPACITY
            capacity = int(getattr(sink, "capacity", usual))
        if capacity < 1:
            raise InputError(f"a sink's queue holds at least 1 item, got {capacity}")
        self.sink = sink
        self.fault = ""  # why the sink takes nothing now; empty where all is well
        self._capacity = capacity
        self._pace = pace
        self._backoff = Backoff()
        self._changed = threading.Condition()
        self._queue: deque[Item] = deque()
        self._current: Item | None = None  # being written, or to be tried again
        self._tries = 0
        self._put = self._written = self._overflow = self._failed = self._unwritten = 0
        self._stop_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"edgevision sink {sink.name}", daemon=True)

    @property
    def counts(self) -> SinkCounts:
        """What became of the items so far."""
        with self._changed:
            waiting = len(self._queue) + (0 if self._current is None else 1)
            return SinkCounts(self._put, self._written, self._overflow, self._failed, self._unwritten, waiting)

    def start(self) -> None:
        """Begin. To be called once."""
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over an item. Returns at once: where the queue is full, the oldest in it is dropped and counted."""
        with self._changed:
            self._put += 1
            if self._stop_at_s is not None:
                self._unwritten += 1
                return
            if len(self._queue) == self._capacity:
                self._queue.popleft()
                self._overflow += 1
            self._queue.append(item)
            self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """Let the sink take what waits, for ``timeout_s`` seconds at most, and close it.

        Whether the thread has ended: False where the sink hangs, and then it is left behind (it does not keep the program alive).
        """
        with self._changed:
            self._stop_at_s = time.monotonic() + timeout_s
            self._changed.notify_all()
        if self._thread.ident is not None:  # it was started
            self._thread.join(timeout_s)
        with self._changed:
            self._unwritten += len(self._queue)
            self._queue.clear()
        return not self._thread.is_alive()

    # ---- the thread ----

    def _run(self) -> None:
        while True:
            try:
                self.sink.open()
                self.fault = ""
                self._write_all()
                break
            except Exception as error:  # of any kind: a sink may be anybody's code
                self.fault = f"{type(error).__name__}: {error}"
                if not self._goes_on_after_failure():
                    break
        self._close_sink(self._left_s())
        with self._changed:
            if self._current is not None:
                self._current = None
                self._unwritten += 1

    def _write_all(self) -> None:
        """Write one item after the other until the end. Raises what the sink raises."""
        while (item := self._next()) is not None:
            self._tries += 1
            self.sink.write(item)
            with self._changed:
                self._current = None
                self._written += 1
            self._backoff.reset()

    def _next(self) -> Item | None:
        """The item to write now, as soon as there is one; None when it is time to end."""
        with self._changed:
            if self._current is not None:
                return self._current
            while not self._queue and self._stop_at_s is None:
                self._changed.wait()
            if not self._queue or self._is_late():
                return None
            self._current = self._queue.popleft()
            self._tries = 0
            return self._current

    def _goes_on_after_failure(self) -> bool:
        """Give up an item that failed twice, and wait. False when it is time to end."""
        self._close_sink(0.0)
        until_s = time.monotonic() + self._backoff.wait_s(self._pace)
        with self._changed:
            if self._current is not None and self._tries >= _TRIES:
                self._current = None
                self._failed += 1
            while self._stop_at_s is None and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return self._stop_at_s is None

    def _is_late(self) -> bool:
        return self._stop_at_s is not None and time.monotonic() >= self._stop_at_s

    def _left_s(self) -> float:
        with self._changed:
            return 0.0 if self._stop_at_s is None else max(0.0, self._stop_at_s - time.monotonic())

    def _close_sink(self, timeout_s: float) -> None:
        try:
            self.sink.close(timeout_s)
        except Exception as error:
            self.fault = f"{type(error).__name__}: {error}"
