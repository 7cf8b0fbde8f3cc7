"""A batcher with cameras and threads, and what it told of each frame."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from stream_frames import Pictures, captured

from edgevision.streams.batcher import Batcher
from edgevision.streams.clock import FakeClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.options import EVERY, Service, StreamOptions

PATIENT = Service(max_age_s=1e9)
QUEUE = Service(EVERY, max_age_s=1e9)


class Rig:
    """A batcher with cameras; ``settled``: what each was told."""

    def __init__(self, model, services: dict[str, Service], clock: FakeClock | None = None, **options) -> None:
        self.settled = defaultdict(list)
        self.troubles = []
        self.told = threading.Condition()
        self.batcher = Batcher(
            model, Ledger(), options=StreamOptions(warm_up=False, **options), clock=clock, trouble=self.troubles.append
        )
        self.mailboxes = {name: self.batcher.add(name, service, self.answer) for name, service in services.items()}

    def answer(self, settled) -> None:
        with self.told:
            self.settled[settled.captured.camera].append(settled)
            self.told.notify_all()

    def put(self, camera: str, count: int = 1, pictures: Pictures | None = None) -> None:
        """``pictures``: makes the frames, as files that are still to be decoded; None: they are decoded."""
        make = captured if pictures is None else pictures.captured
        ledger, clock = self.batcher.ledger, self.batcher.clock
        for _ in range(count):
            self.mailboxes[camera].put(make(ledger.captured(camera), clock.now_s(), camera=camera))

    def put_and_lend(self, camera: str) -> None:
        """A frame, and this thread to run it."""
        ledger, clock = self.batcher.ledger, self.batcher.clock
        self.mailboxes[camera].put(captured(ledger.captured(camera), clock.now_s(), camera=camera), wake=False)
        self.batcher.lend()

    def wait_for(self, camera: str, count: int) -> None:
        with self.told:
            assert self.told.wait_for(lambda: len(self.settled[camera]) >= count, 30)

    def fates(self, camera: str) -> list[tuple[int, Fate]]:
        return [(one.captured.sequence, one.fate) for one in self.settled[camera]]


@contextmanager
def running(model, services, **options) -> Iterator[Rig]:
    rig = Rig(model, services, **options)
    rig.batcher.start()
    try:
        yield rig
    finally:
        left = rig.batcher.stop(10.0)
    assert left == []
    for account in rig.batcher.ledger.accounts():
        assert account.balanced
        assert account.in_flight == 0
