"""Pictures that were taken for the model and are decoded first, each by itself: none waits for another one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from edgevision.streams.decode_lead import DecodeLead
from edgevision.streams.decode_threads import DecodeThreads
from edgevision.streams.tickets import TakenCamera, Ticket


class DecodeAhead:
    """What is being decoded, and what is decoded and waits for the model. Not thread-safe: its owner's lock is held at each call.

    Of each camera one picture is decoded at a time, so that one that is slow to decode holds up its own camera only. One that does not end
    is given up, and its thread replaced; its camera is left out until it ends after all.
    """

    def __init__(self, threads: int) -> None:
        self._threads = DecodeThreads(threads)
        self._lead = DecodeLead()
        self._decoding: dict[Ticket, float] = {}  # since when
        self._decoded: list[Ticket] = []  # in the order in which they were
        self._hung: list[Ticket] = []

    def __len__(self) -> int:
        """Pictures that are being decoded or wait for the model."""
        return len(self._decoding) + len(self._decoded)

    @property
    def waiting(self) -> tuple[Ticket, ...]:
        """Decoded pictures that wait for the model."""
        return tuple(self._decoded)

    @property
    def lead_s(self) -> float:
        """What decoding one picture takes, from taking it to the last pixel."""
        return self._lead.seconds

    @property
    def free(self) -> int:
        """For how many pictures more there is a thread."""
        return max(0, self._threads.most - len(self._decoding) - len(self._hung))

    def decodes(self, camera: TakenCamera) -> bool:
        """Whether a picture of this camera is being decoded, or hangs."""
        return any(one.camera is camera for one in (*self._decoding, *self._hung))

    def take_s(self, free_s: float, pictures: int) -> float | None:
        """When to take so many pictures that the model will be free for at ``free_s``; None: not before it is, for there is nothing to decode."""
        rounds = math.ceil(pictures / max(1, self._threads.most - len(self._hung)))
        return self._lead.take_s(free_s, rounds)

    def begin(self, ticket: Ticket, now_s: float, decode: Callable[[], None]) -> None:
        """Have a picture decoded. ``decode``: calls ``end`` at its end, and does not raise."""
        self._decoding[ticket] = now_s
        self._threads.submit(decode)

    def end(self, ticket: Ticket, now_s: float) -> None:
        """It is decoded, or cannot be."""
        began_s = self._decoding.pop(ticket, None)
        if ticket in self._hung:
            self._hung.remove(ticket)
            self._threads.one_less()
        if began_s is not None and not ticket.is_settled:
            self._lead.add(now_s - began_s)
            self._decoded.append(ticket)

    def take(self, most: int) -> list[Ticket]:
        """Decoded pictures for a batch, the first first; those that nobody waits for are forgotten."""
        waiting = [one for one in self._decoded if not one.is_settled]
        self._decoded = waiting[most:]
        return waiting[:most]

    def give_up(self, late_s: float) -> list[Ticket]:
        """Those that have been decoding since ``late_s`` or longer."""
        hung = [one for one, began_s in self._decoding.items() if began_s <= late_s]
        for ticket in hung:
            del self._decoding[ticket]
            self._hung.append(ticket)
            self._threads.one_more()
        return hung

    def stop(self) -> list[threading.Thread]:
        """Forget every picture, and end the threads: these, to be waited for."""
        self._decoding.clear()
        self._decoded.clear()
        return self._threads.stop()
