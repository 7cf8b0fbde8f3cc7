"""A thread for each sink, so that a slow or broken one stops nothing else."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgevision.errors import InputError, ItemError, SinkError
from edgevision.streams.backoff import USUAL, Backoff, Pace
from edgevision.streams.sink_status import Health, SinkCounts, SinkStatus
from edgevision.streams.sinks.base import KINDS, Item, Sink, kind_of
from edgevision.streams.sinks.lanes import Lanes

CAPACITY = 1000  # results that wait for a sink
CAPACITY_WITH_FRAMES = 32  # where each carries a picture of megabytes
_TRIES = 2  # of an item: once, and again after the sink was opened anew


class SinkRunner:
    """Opens a sink, writes what it is given, and opens it again where it fails. Nothing that the sink does reaches ``put``.

    ``capacity``: how many results wait at most; None: as the sink's ``capacity`` says, if it has one, else 1000, or 32 for one that
    wants frames. Changes of state and inventory events have room of their own, see ``Lanes``.

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
        self._takes = frozenset(getattr(sink, "takes", KINDS))
        self._pace = pace
        self._backoff = Backoff()
        self._changed = threading.Condition()
        self._queue = Lanes(capacity, CAPACITY_WITH_FRAMES if sink.wants_frames else None)
        self._current: Item | None = None  # being written, or to be tried again
        self._tries = 0  # of the current item
        self._failures = 0  # since an item was settled
        self._bad_item = ""
        self._put = self._written = self._overflow = self._failed = self._unwritten = 0
        self._lost: Counter[str] = Counter()
        self._stop_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"edgevision sink {sink.name}", daemon=True)

    @property
    def counts(self) -> SinkCounts:
        """What became of the items so far."""
        with self._changed:
            return self._counts()

    @property
    def status(self) -> SinkStatus:
        """How the sink is."""
        health = getattr(self.sink, "health", Health)()
        with self._changed:
            return SinkStatus(
                self.sink.name, self.fault or health.fault, self._counts(), dict(self._lost), self._bad_item, health.spool
            )  # fmt: skip

    def start(self) -> None:
        """Begin. To be called once."""
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over an item. Returns at once: where there is no room, the oldest of its kind is dropped and counted. Items that the
        sink does not take are passed over."""
        kind = kind_of(item)
        if kind not in self._takes:
            return
        with self._changed:
            self._put += 1
            if self._stop_at_s is not None:
                self._unwritten += 1
                self._lost[kind] += 1
                return
            if self._queue.put(item) is not None:
                self._overflow += 1
                self._lost[kind] += 1
            self._changed.notify_all()

    def end(self, until_s: float) -> None:
        """Let the sink take what waits until ``until_s`` of the monotonic clock, and take nothing new. Returns at once."""
        with self._changed:
            self._stop_at_s = until_s
            self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """Let the sink take what waits, for ``timeout_s`` seconds at most, and close it.

        Whether the thread has ended: False where the sink hangs, and then it is left behind (it does not keep the program alive).
        """
        self.end(time.monotonic() + timeout_s)
        if self._thread.ident is not None:  # it was started
            self._thread.join(timeout_s)
        with self._changed:
            left = self._queue.clear()
            self._unwritten += left.total()
            self._lost += left
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
                if not self._goes_on_after_failure(error):
                    break
        self._close_sink(self._left_s())
        with self._changed:
            if self._current is not None:
                self._lost[kind_of(self._current)] += 1
                self._current = None
                self._unwritten += 1

    def _write_all(self) -> None:
        """Write one item after the other until the end. Raises what the sink raises."""
        while (item := self._next()) is not None:
            self._tries += 1
            try:
                self.sink.write(item)
            except ItemError as error:
                with self._changed:
                    self._bad_item = str(error)
                    self._give_up(item)
                continue
            with self._changed:
                self._current = None
                self._written += 1
                self._failures = 0
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
            self._current = self._queue.take()
            self._tries = 0
            return self._current

    def _goes_on_after_failure(self, error: Exception) -> bool:
        """Give up an item that failed twice, and wait. False when it is time to end.

        An inventory event is tried again for as long as the program runs, where the reason is the disk, the database or the other
        side: a lock or a full disk may last for hours. Meanwhile results wait behind it, and the oldest are dropped.

        Who is asked to end while it waits tries once more, at once: the other side may be back. After that, two failures without an
        item between them are the end.
        """
        self._close_sink(0.0)
        until_s = time.monotonic() + self._backoff.wait_s(self._pace)
        with self._changed:
            self._failures += 1
            if self._current is not None:
                if kind_of(self._current) == "event" and isinstance(error, (OSError, SinkError)):
                    self._tries = 0
                elif self._tries >= _TRIES:
                    self._give_up(self._current)
            if self._stop_at_s is not None:
                return self._failures < _TRIES and not self._is_late()
            while self._stop_at_s is None and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return not self._is_late()

    def _give_up(self, item: Item) -> None:
        """The current item is lost; with the lock held."""
        self._current = None
        self._failed += 1
        self._failures = 0
        self._lost[kind_of(item)] += 1

    def _counts(self) -> SinkCounts:
        waiting = len(self._queue) + (0 if self._current is None else 1)
        return SinkCounts(self._put, self._written, self._overflow, self._failed, self._unwritten, waiting)

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


def close_all(runners: Sequence[SinkRunner], timeout_s: float) -> list[bool]:
    """Close them at the same time, all within ``timeout_s`` seconds. Whether the thread of each has ended."""
    until_s = time.monotonic() + timeout_s
    for runner in runners:
        runner.end(until_s)
    return [runner.close(max(0.0, until_s - time.monotonic())) for runner in runners]


def statuses_of(runners: Sequence[SinkRunner]) -> tuple[SinkStatus, ...]:
    """How every sink is, those inside a sink that hands on to others included, see ``Distributor``."""
    found: list[SinkStatus] = []
    for runner in runners:
        found.append(runner.status)
        found += getattr(runner.sink, "statuses", tuple)()
    return tuple(_with_own_names(found))


def _with_own_names(statuses: Sequence[SinkStatus]) -> Iterator[SinkStatus]:
    """The second of a name gets a number, so that they can be told apart: a metric may have each name once."""
    seen: Counter[str] = Counter()
    for status in statuses:
        seen[status.name] += 1
        number = seen[status.name]
        yield status if number == 1 else replace(status, name=f"{status.name} ({number})")
