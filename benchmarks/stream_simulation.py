"""Hours of cameras in seconds: the real batcher, its thread included, by a clock that only moves when everybody sleeps."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.frames import Frame
from edgevision.streams.batcher import Batcher
from edgevision.streams.captured import Captured
from edgevision.streams.clock import Clock, FakeClock
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account, Ledger
from edgevision.streams.mailbox import Mailbox
from edgevision.streams.options import Service, StreamOptions
from edgevision.streams.tickets import Settled

_PIXELS = np.zeros((2, 2, 3), np.uint8)
_NEVER_S = 1e9  # no call of the model hangs here


@dataclass(frozen=True)
class SimulatedCamera:
    """``arrivals_s``: when its frames come, in order. ``ages_s``: how old each is by then; nothing: not at all."""

    arrivals_s: Sequence[float]
    service: Service = field(default_factory=Service)
    ages_s: Sequence[float] = ()


class SimulatedModel:
    """Takes ``seconds(n)`` of the clock for n frames, and answers each with its camera and sequence."""

    id = "simulated"
    parallel = 1

    def __init__(self, clock: Clock, seconds: Callable[[int], float], max_batch: int) -> None:
        self.max_batch = max_batch
        self.busy = False
        self._clock = clock
        self._seconds = seconds
        self._over = threading.Condition()

    def predict_frames(self, frames: Sequence[Frame]) -> list[tuple[str | None, int | None]]:
        """Sleep by the clock."""
        self.busy = True
        end_s = self._clock.now_s() + self._seconds(len(frames))
        with self._over:
            while self._clock.now_s() < end_s:
                self._clock.wait_until(self._over, end_s)
        self.busy = False
        return [(frame.camera, frame.sequence) for frame in frames]


@dataclass(frozen=True)
class Outcome:
    """``settled``: by camera, in the order they were told. ``busy``: share of the time that the model was at work, 0…1."""

    settled: Mapping[str, Sequence[Settled]]
    accounts: Mapping[str, Account]
    seconds: float
    busy: float
    batches: int

    def served(self, camera: str) -> list[Settled]:
        """Its results."""
        return [one for one in self.settled.get(camera, ()) if one.fate is Fate.SERVED]

    def fps(self, camera: str) -> float:
        """Its results a second."""
        return len(self.served(camera)) / self.seconds

    def ages_s(self) -> list[float]:
        """Of all results."""
        return [one.age_s for camera in self.settled for one in self.served(camera)]


def simulate(
    cameras: Mapping[str, SimulatedCamera], seconds: Callable[[int], float], *, max_batch: int,
    options: StreamOptions | None = None, until_s: float,
) -> Outcome:  # fmt: skip
    """Let every frame come at its time, and the batcher serve it with a model that takes ``seconds(n)``, until ``until_s``."""
    run = _Run(seconds, max_batch, options or StreamOptions(), cameras)
    try:
        run.until(until_s)
    finally:
        run.end()
    accounts = {account.camera: account for account in run.batcher.ledger.accounts()}
    metrics = run.batcher.metrics
    return Outcome(run.settled, accounts, until_s, metrics.busy_s / run.clock.now_s(), metrics.batch_sizes.read().count)


class _Run:
    def __init__(
        self,
        seconds: Callable[[int], float],
        max_batch: int,
        options: StreamOptions,
        cameras: Mapping[str, SimulatedCamera],
    ) -> None:
        self.clock = FakeClock()
        self.settled: dict[str, list[Settled]] = defaultdict(list)
        self.model = SimulatedModel(self.clock, seconds, max_batch)
        seed = [(size, seconds(size)) for size in sorted({1, max_batch})]
        options = StreamOptions(**{**_fields(options), "model_timeout_s": _NEVER_S, "warm_up": False})
        self.batcher = Batcher(self.model, Ledger(), options=options, clock=self.clock, cost=seed)
        self.mailboxes: dict[str, Mailbox] = {}
        for name, camera in cameras.items():
            self.mailboxes[name] = self.batcher.add(name, camera.service, self.settled[name].append)
        self.cameras = cameras
        self.batcher.start()
        self.clock.wait_for_sleepers(2)  # the worker and the watchdog

    def until(self, until_s: float) -> None:
        arrivals = sorted(
            (arrival_s, place, name)
            for name, camera in self.cameras.items()
            for place, arrival_s in enumerate(camera.arrivals_s)
        )
        for arrival_s, place, name in arrivals:
            if arrival_s > until_s:
                break
            self._sleep_until(arrival_s)
            ages_s = self.cameras[name].ages_s
            self._put(name, ages_s[place] if len(ages_s) else 0.0)
        self._sleep_until(until_s)

    def end(self) -> None:
        """Let what runs come to its end, and stop."""
        while self.model.busy:
            self._sleep_until(self.clock.now_s() + 1.0)
        self.batcher.stop(10.0)

    def _sleep_until(self, until_s: float) -> None:
        """Let everybody who sleeps until then do what there is to do."""
        while (deadline_s := self.clock.next_deadline_s()) is not None and deadline_s <= until_s:
            before = self.clock.sleeps
            self.clock.advance_to(deadline_s)
            self.clock.wait_for_sleeps(before + 1)
        self.clock.advance_to(until_s)

    def _put(self, name: str, age_s: float) -> None:
        now_s, ledger = self.clock.now_s(), self.batcher.ledger
        frame = Frame.from_array(_PIXELS, camera=name, sequence=ledger.captured(name))
        before, busy = self.clock.sleeps, self.model.busy
        let_in = self.mailboxes[name].put(Captured(frame, now_s, now_s - age_s))
        if let_in and not busy:
            self.clock.wait_for_sleeps(before + 1)


def _fields(options: StreamOptions) -> dict[str, Any]:
    return dict(vars(options))
