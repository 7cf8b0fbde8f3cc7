"""A thread that brings messages from a spool to the other side, as often as it takes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from edgevision.errors import SinkError
from edgevision.streams.sinks.back_off import BackOff
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
    """What became of a parcel: the other side has it, or will never take it, for the reason in ``words``."""

    number: int
    accepted: bool
    words: str = ""


class Carrier(Protocol):
    """The way to the other side. The courier's thread alone calls all but ``interrupt``."""

    def connect(self, wake: Callable[[], None]) -> None:
        """Get ready, afresh. ``wake`` is to be called when the connection is lost. Raises SinkError, RefusedError for a wrong
        password or certificate."""

    def deliver(self, parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        """Send them in their order; an outcome for each as soon as it is sure. Raises as ``connect``: the rest waits."""

    def is_lost(self) -> bool:
        """Whether the connection broke since ``connect``."""

    def disconnect(self) -> None:
        """Give the connection back. Allowed at any time."""

    def interrupt(self) -> None:
        """Make a call that blocks come back soon."""


class RefusedError(SinkError):
    """Trying again soon would do no good, and may lock the account: wrong password, certificate or address."""


@dataclass(frozen=True)
class SpoolOptions:
    """Where messages wait, and how many. ``path``: the spool's file."""

    path: Path
    max_bytes: int = MAX_BYTES
    max_age_s: float = MAX_AGE_S


class Courier:
    """Keeps messages in a spool and delivers them in their order, at least once each.

    The spool alone knows what is delivered: a message leaves it when the carrier says that the other side has it. One that could
    not be sent when it was made goes out marked ``late``. ``delivered`` and ``refused`` count; ``fault``: why nothing goes out now,
    empty where all is well.
    """

    def __init__(self, name: str, carrier: Carrier, spool: SpoolOptions, *, back_off: BackOff | None = None) -> None:
        self.name = name
        self.delivered = 0
        self.refused = 0
        self.fault = ""
        self._carrier = carrier
        self._options = spool
        self._back_off = BackOff() if back_off is None else back_off
        self._spool: Spool | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._woken = False
        self._stop_at_s: float | None = None
        self._late_until = 0

    @property
    def spool(self) -> Spool:
        """What waits. Only while it is open."""
        assert self._spool is not None
        return self._spool

    def open(self) -> None:
        """Open the spool and begin to deliver what is in it. Does not wait for the other side."""
        self._spool = Spool(
            self._options.path, max_bytes=self._options.max_bytes, max_age_s=self._options.max_age_s
        )  # fmt: skip
        self._late_until = self._spool.last_number  # an earlier run left them
        self._stop_at_s = None
        self._thread = threading.Thread(target=self._run, name=f"edgevision {self.name}", daemon=True)
        self._thread.start()

    def send(self, message: Message, address: str = "") -> None:
        """Keep the message, and deliver it when its turn comes. Raises SinkError where it cannot be kept."""
        self.spool.append(message.id, message.body, address=address)
        self.wake()

    def wake(self) -> None:
        """Look again at what there is to do."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """Deliver what can be delivered within ``timeout_s`` seconds; the rest waits in the spool for the next ``open``.

        Whether the thread has ended; it may hang in a system call, and then ends with it.
        """
        if self._thread is None:
            return True
        with self._changed:
            self._stop_at_s = time.monotonic() + timeout_s
        self.wake()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._carrier.interrupt()
            self._thread.join(_INTERRUPT_S)
        if self._thread.is_alive():
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
        failed_before = bool(self.fault)
        self._carrier.connect(self.wake)
        if failed_before:
            self._late_until = self.spool.last_number
        self.fault = ""

    def _deliver(self) -> None:
        """Send what waits, or wait until there is something."""
        if self._carrier.is_lost():
            raise SinkError("the connection was lost")
        waiting = self.spool.waiting()
        if not waiting:
            self._back_off.reset()
            self._wait(_EXPIRE_S)
            return
        parcels = [Parcel(one.number, one.id, one.address, self._body(one.number, one.body)) for one in waiting]
        for outcome in self._carrier.deliver(parcels):
            self._back_off.reset()
            if outcome.accepted:
                self.spool.confirm([outcome.number])
                self.delivered += 1
            else:
                self.spool.refuse(outcome.number)
                self.refused += 1

    def _body(self, number: int, body: bytes) -> bytes:
        return marked_late(body) if number <= self._late_until else body

    def _failed(self, error: Exception) -> None:
        """Remember why, and wait before the next try."""
        self.fault = str(error) or type(error).__name__
        self._disconnect()
        with contextlib.suppress(SinkError):  # it is told again by the next ``send``
            self.spool.sync()
        pause = self._back_off.longest() if isinstance(error, RefusedError) else self._back_off.next()
        self._pause(pause)

    def _disconnect(self) -> None:
        with contextlib.suppress(Exception):  # it is broken, and given up
            self._carrier.disconnect()

    def _is_over(self) -> bool:
        """Whether to end: when asked to, as soon as nothing waits, nothing can be sent, or the time is up."""
        with self._changed:
            stop_at_s = self._stop_at_s
        if stop_at_s is None:
            return False
        return bool(self.fault) or time.monotonic() >= stop_at_s or self.spool.pending == 0

    def _wait(self, timeout_s: float) -> None:
        """Until ``wake``."""
        with self._changed:
            if not self._woken:
                self._changed.wait(timeout_s)
            self._woken = False

    def _pause(self, pause_s: float) -> None:
        """Wait for so long, whatever comes meanwhile but the end."""
        until_s = time.monotonic() + pause_s
        with self._changed:
            while self._stop_at_s is None and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
