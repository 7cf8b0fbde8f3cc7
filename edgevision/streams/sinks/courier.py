"""A thread that brings messages from a spool to the other side, as often as it takes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from edgevision.errors import SinkError
from edgevision.streams.backoff import CAREFUL, USUAL, Backoff, Pace
from edgevision.streams.sink_status import Health, SpoolStatus
from edgevision.streams.sinks.culprit import CulpritSearch
from edgevision.streams.sinks.messages import Message, marked_late
from edgevision.streams.sinks.spool import MAX_AGE_S, MAX_BYTES, Spool

_EXPIRE_S = 60.0  # how often messages are looked at for their age while there is nothing to send
_INTERRUPT_S = 0.5  # how long an interrupted carrier may take to come back


class Parcel(NamedTuple):
    """A message on its way. ``number``: the spool's; ``body``: a JSON object, with ``late`` as it is now."""

    number: int
    id: str
    address: str
    body: bytes


class Outcome(NamedTuple):
    """What became of a parcel: the other side has it (``accepted``), or will never take it, for this ``reason``."""

    number: int
    accepted: bool
    reason: str = ""


class Carrier(Protocol):
    """The way to the other side. The courier's thread alone calls all but ``wake`` and ``interrupt``."""

    def connect(self) -> None:
        """Get ready, afresh. Raises SinkError, RefusedError for a wrong password or certificate."""

    def deliver(self, parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        """Send them in their order; an outcome for each as soon as it is sure. Raises as ``connect``: the rest waits. Raises
        UndeliveredError where one of them may be the reason."""

    def idle(self, timeout_s: float) -> None:
        """Wait while there is nothing to send, until ``wake``, but no longer. Raises SinkError where the connection is lost."""

    def disconnect(self) -> None:
        """Give the connection back. Allowed at any time."""

    def wake(self) -> None:
        """End the ``idle`` that is going on, or else the next one. Nothing to do while there is no connection."""

    def interrupt(self) -> None:
        """Make a call that blocks come back soon."""


class RefusedError(SinkError):
    """Trying again soon would do no good, and may lock the account: wrong password, certificate or address."""


class UndeliveredError(SinkError):
    """The other side was there, and then broke the connection or was silent: a parcel that was on its way may be the reason."""


@dataclass(frozen=True)
class SpoolOptions:
    """Where messages wait, and how many. ``path``: the spool's file."""

    path: Path
    max_bytes: int = MAX_BYTES
    max_age_s: float = MAX_AGE_S


class Courier:
    """Keeps messages in a spool and delivers them in their order, at least once each.

    The spool alone knows what is delivered: a message leaves it when the carrier says that the other side has it. One that could
    not be sent when it was made goes out marked ``late``. One that the other side will never take, or that breaks every connection
    while others arrive, is refused: the spool puts it aside with the reason.

    ``delivered``, ``late`` and ``refused`` count; ``fault``: why nothing goes out now, empty where all is well.
    """

    def __init__(self, name: str, carrier: Carrier, spool: SpoolOptions, *, pace: Pace = USUAL) -> None:
        self.name = name
        self.delivered = 0
        self.late = 0
        self.refused = 0
        self.fault = ""
        self._carrier = carrier
        self._options = spool
        self._pace = pace
        self._backoff = Backoff()
        self._spool: Spool | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._stop_at_s: float | None = None
        self._late_until = 0
        self._search = CulpritSearch()
        self._failed_at_the_end = False
        self._interrupted = False  # by us: what breaks then is no message's fault

    @property
    def spool(self) -> Spool:
        """What waits. Only while it is open."""
        assert self._spool is not None
        return self._spool

    def open(self) -> None:
        """Open the spool and begin to deliver what is in it. Does not wait for the other side. Raises SinkError."""
        if self._thread is not None:
            raise SinkError(f"{self.name}: the last connection hangs still; it is opened again as soon as that ends")
        options = self._options
        self._spool = Spool(options.path, max_bytes=options.max_bytes, max_age_s=options.max_age_s, before=self._spool)
        self._late_until = self._spool.last_number  # an earlier run left them
        self._stop_at_s = None
        self._failed_at_the_end = self._interrupted = False
        self._thread = threading.Thread(target=self._run, name=f"edgevision {self.name}", daemon=True)
        self._thread.start()

    def send(self, message: Message, address: str = "") -> None:
        """Keep the message, and deliver it when its turn comes. Raises SinkError where it cannot be kept."""
        self.spool.append(message.id, message.body, address=address, kind=message.kind)
        self._carrier.wake()

    def health(self) -> Health:
        """How the other side is, and what waits for it."""
        spool = self._spool
        if spool is None:
            return Health(self.fault)
        status = SpoolStatus(
            spool.pending, spool.pending_bytes, self.delivered, self.late, spool.dropped_by_kind,
            "" if spool.set_aside is None else str(spool.set_aside),
        )  # fmt: skip
        return Health(self.fault, status)

    def close(self, timeout_s: float) -> bool:
        """Deliver what can be delivered within ``timeout_s`` seconds; the rest waits in the spool for the next ``open``.

        Whether the thread has ended; it may hang in a system call, and then ends with it.
        """
        thread = self._thread
        if thread is None:
            return True
        with self._changed:
            self._stop_at_s = time.monotonic() + timeout_s
            self._changed.notify_all()
        self._carrier.wake()
        interrupt_s = min(_INTERRUPT_S, timeout_s / 2)  # of the time that is given
        thread.join(timeout_s - interrupt_s)
        if thread.is_alive():
            self._interrupted = True
            self._carrier.interrupt()
            thread.join(interrupt_s)
        if thread.is_alive():
            return False
        self._thread = None
        return True

    # ---- the thread ----

    def _run(self) -> None:
        connected = False
        try:
            while not self._is_over():
                try:
                    if not connected:
                        self._connect()
                        connected = True
                    self._deliver()
                except Exception as error:  # whatever the carrier's library raises: the messages are safe in the spool
                    connected = False
                    self._failed(error)
        finally:
            self._disconnect()
            self.spool.close()

    def _connect(self) -> None:
        self._carrier.connect()
        if self.fault:  # what came meanwhile could not be sent when it was made
            self._late_until = self.spool.last_number

    def _deliver(self) -> None:
        """Send what waits, or wait until there is something."""
        waiting = self.spool.waiting()
        if not waiting:
            self._is_well()
            self._carrier.idle(_EXPIRE_S)
            return
        chosen = self._search.choose([one.number for one in waiting])
        parcels = [
            Parcel(one.number, one.id, one.address, self._body(one.number, one.body))
            for one in waiting
            if one.number in chosen
        ]
        left = dict.fromkeys(chosen)  # a set in its order
        accepted: list[int] = []
        try:
            for outcome in self._carrier.deliver(parcels):
                self._is_well()
                left.pop(outcome.number, None)
                if outcome.accepted:
                    accepted.append(outcome.number)
                    self._search.arrived(outcome.number)
                else:
                    self._refuse(outcome.number, outcome.reason)
            self._search.went_well()
        except Exception as error:
            may_be_a_message = isinstance(error, UndeliveredError) or not isinstance(error, SinkError)
            if may_be_a_message and not self._interrupted:
                self._look_for_culprit(list(left), error)
            raise
        finally:  # where it breaks in the middle, too
            self.spool.confirm(accepted)
            self.delivered += len(accepted)
            self.late += sum(1 for number in accepted if number <= self._late_until)

    def _look_for_culprit(self, sent: list[int], error: Exception) -> None:
        if len(sent) > 1:
            self._backoff.reset()  # halving has an end: it need not be done later and later
        guilty = self._search.broke(sent)
        if guilty is not None:
            self._refuse(guilty, str(error) or type(error).__name__)

    def _refuse(self, number: int, reason: str) -> None:
        self.spool.refuse(number, reason)
        self.refused += 1

    def _is_well(self) -> None:
        self.fault = ""
        self._backoff.reset()

    def _body(self, number: int, body: bytes) -> bytes:
        return marked_late(body) if number <= self._late_until else body

    def _failed(self, error: Exception) -> None:
        """Remember why, and wait before the next try."""
        self.fault = str(error) or type(error).__name__
        self._disconnect()
        with self._changed:
            self._failed_at_the_end = self._stop_at_s is not None
        pace = CAREFUL if isinstance(error, RefusedError) else self._pace
        self._pause(self._backoff.wait_s(pace))

    def _disconnect(self) -> None:
        with contextlib.suppress(Exception):  # it is broken, and given up
            self._carrier.disconnect()

    def _is_over(self) -> bool:
        """Whether to end: when asked to, as soon as nothing waits, a try since then failed, or the time is up."""
        with self._changed:
            stop_at_s = self._stop_at_s
        if stop_at_s is None:
            return False
        return self._failed_at_the_end or time.monotonic() >= stop_at_s or self._nothing_waits()

    def _nothing_waits(self) -> bool:
        try:
            return self.spool.pending == 0
        except SinkError:  # the disk is broken: nothing can be read from it
            return True

    def _pause(self, pause_s: float) -> None:
        """Wait for so long, whatever comes meanwhile but the end."""
        until_s = time.monotonic() + pause_s
        with self._changed:
            while self._stop_at_s is None and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
