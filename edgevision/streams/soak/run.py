"""The soak: cameras, broker and the judged process, each in a process of its own, and what goes wrong with them."""

from __future__ import annotations

import contextlib
import heapq
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from edgevision.errors import EdgeVisionError
from edgevision.streams.camsim.camera import SimulatedCamera, need_gstreamer
from edgevision.streams.camsim.faults import apply, upcoming
from edgevision.streams.camsim.server import CameraSettings
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.soak.arrivals import Arrivals, Subscriber
from edgevision.streams.soak.broker import SoakBroker
from edgevision.streams.soak.plan import Plan, Role, SoakOptions
from edgevision.streams.soak.process import SubjectProcess
from edgevision.streams.soak.record import Record, Sample
from edgevision.streams.soak.subject import Settings

_DRAIN_S = 60.0  # for what waits on disk when all is over
_FEW = 10  # results are on their way at any time
_ARRIVE_S = 20.0  # what is on its way at the end may take so long

Progress = Callable[[float], None]


class _Step(NamedTuple):
    """Something to do at ``at_s``."""

    at_s: float
    do: Callable[[], None]


def soak(options: SoakOptions, progress: Progress = lambda at_s: None) -> tuple[Record, Plan]:
    """Run it. ``progress``: called at each look, with the seconds since the start.

    What goes wrong with the runtime is in the record. Raises InputError where the model does not start, DeviceError where the
    machine lacks what a soak needs, MissingExtraError without paho-mqtt.
    """
    need_gstreamer()
    plan = Plan.of(options.seconds, options.cameras)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgevision-soak-")))
        broker = stack.enter_context(SoakBroker(folder, options.broker))
        arrivals, topic = Arrivals(), f"edgevision-soak-{secrets.token_hex(4)}"
        subscriber = stack.enter_context(contextlib.closing(Subscriber(broker.host, broker.port, topic, arrivals)))
        stack.callback(subscriber.clear, plan.roles)
        shown = CameraSettings(
            width=options.width, height=options.height, fps=options.fps, announced_fps=round(options.fps)
        )
        cameras = {
            name: stack.enter_context(SimulatedCamera(shown))
            for name, role in plan.roles.items()
            if role is not Role.UNREACHABLE
        }
        urls = {name: cameras[name].url if name in cameras else _nobody(stack) for name in plan.roles}
        settings = Settings(
            str(options.model),
            urls,
            f"mqtt://127.0.0.1:{broker.door.port}/{topic}",
            str(folder / "soak.spool"),
            options.threads,
            plan.shadow_frames,
        )
        subject = stack.enter_context(SubjectProcess(settings))
        return _Soak(options, plan, cameras, broker, subject, arrivals).run(progress), plan


def _nobody(stack: contextlib.ExitStack) -> str:
    """An address where nothing answers: its port is taken, and nobody listens."""
    taken = stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    return f"rtsp://127.0.0.1:{taken.getsockname()[1]}/cam"


class _Soak:
    def __init__(
        self, options: SoakOptions, plan: Plan, cameras: dict[str, SimulatedCamera], broker: SoakBroker,
        subject: SubjectProcess, arrivals: Arrivals,
    ) -> None:  # fmt: skip
        self._options, self._plan = options, plan
        self._cameras, self._broker, self._subject, self._arrivals = cameras, broker, subject, arrivals
        self._record = Record()
        self._start_s = time.monotonic()

    def run(self, progress: Progress) -> Record:
        """Do everything when its time comes; whatever the runtime does, the record is complete."""
        try:
            for step in self._steps(progress):
                time.sleep(max(0.0, self._start_s + step.at_s - time.monotonic()))
                step.do()
            self._drain(progress)
            self._stop()
        except EdgeVisionError as error:
            self._record.end = f"after {time.monotonic() - self._start_s:.0f} s the runtime failed: {error}"
        self._record.arrivals = {name: self._arrivals.of(name) for name in self._plan.roles}
        return self._record

    def _steps(self, progress: Progress) -> Iterator[_Step]:
        plan = self._plan
        looks = (
            _Step(number * plan.sample_s, partial(self._look, progress))
            for number in range(1, int(plan.seconds / plan.sample_s))
        )
        faults = (_Step(turn.at_s, partial(self._fail, turn)) for turn in upcoming(plan.faults, plan.quiet_s))
        outages = (
            _Step(at_s, self._away if begins else self._broker.back) for at_s, begins in plan.away.turns(plan.quiet_s)
        )
        swaps = (_Step(at_s, self._swap) for at_s, _ in plan.swap.turns(plan.quiet_s))
        return heapq.merge(looks, faults, outages, swaps, key=lambda step: step.at_s)

    def _look(self, progress: Progress) -> None:
        told = self._subject.look()
        usage = self._subject.usage()
        accounts = self._keep(told)
        served = {account.camera: account.fates.get(Fate.SERVED, 0) for account in accounts}
        arrived = sum(self._arrivals.of(name).results for name in served)
        at_s = time.monotonic() - self._start_s
        self._record.samples.append(
            Sample(
                at_s=round(at_s, 3), usage=usage, served=served,
                unbalanced=tuple(account.camera for account in accounts if not account.balanced),
                age_s=told["told_s"], clock_age_s=told["clock_s"], waiting=sum(served.values()) - arrived,
            )
        )  # fmt: skip
        progress(at_s)

    def _fail(self, turn: Any) -> None:
        apply(turn, self._cameras)
        if turn.begins and self._plan.roles[turn.fault.camera] is Role.FREEZING:
            self._record.freezes += 1

    def _away(self) -> None:
        self._record.outages += 1
        self._broker.away()

    def _swap(self) -> None:
        bundles = (self._options.swap_to or self._options.model, self._options.model)
        self._subject.swap(bundles[self._record.swaps % 2])
        self._record.swaps += 1

    def _drain(self, progress: Progress) -> None:
        """Wait until nothing is behind: the runtime may have to wait for its next try to reach the broker."""
        until_s = time.monotonic() + _DRAIN_S
        while self._record.samples and self._record.samples[-1].waiting > _FEW and time.monotonic() < until_s:
            time.sleep(self._plan.sample_s)
            self._look(progress)

    def _stop(self) -> None:
        told = self._subject.stop()
        accounts = self._keep(told)
        self._wait_for_arrivals(sum(account.fates.get(Fate.SERVED, 0) for account in accounts))
        if not told["stopped"] or told["threads_left"]:
            self._record.end = f"it did not stop; left are the threads {', '.join(told['threads_left']) or 'of others'}"
        elif told["status"] != 0:
            self._record.end = f"it ended with status {told['status']}"

    def _keep(self, told: dict[str, Any]) -> list[Account]:
        accounts = [Account.from_dict(one) for one in told["accounts"]]
        self._record.accounts = {account.camera: account for account in accounts}
        self._record.steps, self._record.refusal = told["steps"], told["refusal"]
        return accounts

    def _wait_for_arrivals(self, served: int) -> None:
        """The broker hands on what it has confirmed a little later."""
        until_s = time.monotonic() + _ARRIVE_S
        while time.monotonic() < until_s and sum(self._arrivals.of(name).results for name in self._plan.roles) < served:
            time.sleep(0.05)
