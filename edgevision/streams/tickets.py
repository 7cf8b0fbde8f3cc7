"""Frames that were taken from their mailboxes: the fate of each, told to its camera in the order of the frames."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edgevision.streams.captured import Captured
from edgevision.streams.clock import Clock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.metrics import CameraMetrics
from edgevision.streams.policy import Lane


class Settled(NamedTuple):
    """What became of a frame that was with the batcher. ``result`` and ``gap`` where it was served (see ``StreamResult``); ``error``
    where the model failed on it; ``age_s``: from its capture until now."""

    captured: Captured
    fate: Fate
    age_s: float
    model_id: str
    result: Any
    gap: Mapping[Fate, int]
    error: BaseException | None


@dataclass(eq=False, slots=True)
class Ticket:
    """A frame that was taken at ``taken_s``. Its ``fate``, once it has one, never changes; the rest is told with it, see ``Settled``."""

    camera: TakenCamera
    captured: Captured
    taken_s: float
    fate: Fate | None = None
    model_id: str = ""
    result: Any = None
    error: BaseException | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it has its fate."""
        return self.fate is not None


@dataclass(eq=False, slots=True)
class TakenCamera:
    """A camera that frames are taken of. ``tickets``: frames that were taken and not told, in the order they came. ``order``: held while
    results are given back."""

    name: str
    lane: Lane
    mailbox: Mailbox
    metrics: CameraMetrics
    answer: Callable[[Settled], None]
    tickets: deque[Ticket] = field(default_factory=deque)
    order: threading.Lock = field(default_factory=threading.Lock)


class Settler:
    """Gives frames their fates, tells them to their cameras, and then to the ledger: whoever finds none in flight there has got all answers.
    Thread-safe. ``settled``: called after each.

    An answer is given with the camera's ``order`` held, and no other lock.
    """

    def __init__(self, ledger: Ledger, clock: Clock, settled: Callable[[], None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settled = settled

    def settle(
        self, ticket: Ticket, fate: Fate, model_id: str = "", *, result: Any = None, error: BaseException | None = None
    ) -> None:
        """Give a frame its fate, unless it has one, and tell all of the camera's that are next in order."""
        with ticket.camera.order:
            if ticket.fate is None:
                ticket.fate, ticket.model_id, ticket.result, ticket.error = fate, model_id, result, error
            self._tell_all(ticket.camera)

    def tell_next(self, camera: TakenCamera) -> None:
        """Tell all frames of a camera that have their fate, up to the first that has none."""
        with camera.order:
            self._tell_all(camera)

    def _tell_all(self, camera: TakenCamera) -> None:
        """The same, with ``order`` held."""
        while camera.tickets and (fate := camera.tickets[0].fate) is not None:
            self._tell(camera.tickets.popleft(), fate)

    def _tell(self, ticket: Ticket, fate: Fate) -> None:
        camera, captured = ticket.camera, ticket.captured
        age_s = self._clock.now_s() - captured.captured_s
        gap: dict[Fate, int] = {}
        if fate is Fate.SERVED:
            gap = self._ledger.take_gap(camera.name, captured.sequence)
            camera.metrics.add("age", age_s)
        camera.answer(Settled(captured, fate, age_s, ticket.model_id, ticket.result, gap, ticket.error))
        self._ledger.settle(camera.name, captured.sequence, fate)
        self._settled()

    def close(self, camera: TakenCamera) -> None:
        """Settle all that a camera has, for nobody waits for it any more. What is being told now has been told when this returns."""
        camera.mailbox.close()
        for ticket in tuple(camera.tickets):
            self.settle(ticket, Fate.STOPPED)
        self.tell_next(camera)
        self._settled()
