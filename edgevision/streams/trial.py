"""The trial of a new model in shadow: when it may run beside the live one, and what it has shown. Pure: no thread, and no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevision.streams.agreement import agreement
from edgevision.streams.batcher import BatchDone
from edgevision.streams.model_change import TrialReport
from edgevision.streams.options import SwapOptions

_MOST_SAMPLES = 50  # batches whose time is remembered
_FIRST_SLOWDOWN = 2.0  # expected of a model that has not run yet, at most


@dataclass
class _Sum:
    total: float = 0.0
    count: int = 0


@dataclass
class _Times:
    """Seconds a frame of batches that both models ran."""

    live: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)


class Trial:
    """Collects batches that both models have run. ``began_s``: the present.

    The new model may run a batch again that the live one just ran, where it is at work for no more than ``share`` of the time so far, and
    will be done before the next frame is expected, or so soon after it that its result will still be within its camera's ``max_age``.
    """

    def __init__(self, options: SwapOptions, began_s: float) -> None:
        self._options = options
        self._began_s = began_s
        self._busy_s = 0.0
        self._frames = _Sum()
        self._cameras: dict[str, _Sum] = {}
        self._times = _Times()
        self.costs: list[tuple[int, float]] = []
        self.live_costs: list[tuple[int, float]] = []

    @property
    def is_complete(self) -> bool:
        """Whether enough frames were compared."""
        return self._frames.count >= self._options.frames

    @property
    def ends_s(self) -> float:
        """When it has to be complete."""
        return self._began_s + self._options.within_s

    def may_run(self, done: BatchDone, now_s: float) -> bool:
        """Whether there is time to spare for this batch."""
        expected_s = self._expected_s(done)
        if expected_s > done.idle_s + max(0.0, done.spare_s):
            return False
        return self._busy_s + expected_s <= self._options.share * (now_s - self._began_s)

    def add(self, done: BatchDone, results: Sequence[Any], seconds: float, beside: BatchDone | None = None) -> None:
        """What the new model gave for the frames of a batch, and how long it took. ``beside``: a batch that the live model ran meanwhile:
        where both share the cores, both have to be measured so. Raises ValueError for answers that cannot be compared."""
        count = len(done.frames)
        self._busy_s += seconds
        is_like = beside is not None and len(beside.frames) == count and beside.error is None
        timed = beside if beside is not None and is_like else done
        self._times.live.append(timed.seconds / count)
        self._times.new.append(seconds / count)
        self.costs = [*self.costs, (count, seconds)][-_MOST_SAMPLES:]
        self.live_costs = [*self.live_costs, (count, done.seconds)][-_MOST_SAMPLES:]
        for frame, live, new in zip(done.frames, done.results, results, strict=True):
            value = agreement(live, new)
            for one in (self._frames, self._cameras.setdefault(str(frame.camera), _Sum())):
                one.total += value
                one.count += 1

    @property
    def report(self) -> TrialReport:
        """What was seen so far."""
        if not self._frames.count:
            return TrialReport(0, None, {}, None)
        return TrialReport(
            self._frames.count,
            self._frames.total / self._frames.count,
            {camera: one.total / one.count for camera, one in self._cameras.items()},
            _usual(self._times.new) / max(_usual(self._times.live), 1e-9),
        )

    def objection(self) -> str:
        """Why the new model must not take over; empty where it may."""
        options, report = self._options, self.report
        if not self.is_complete:
            return (
                f"only {report.frames} of {options.frames} frames could be compared within {options.within_s:g} s: too few came, or there was "
                "no time to spare"
            )
        if report.agreement is not None and report.agreement < options.min_agreement:
            return f"{report.words}; {options.min_agreement:.1%} is asked for"
        if report.slowdown is not None and report.slowdown > options.max_slowdown:
            return f"{report.words}; {options.max_slowdown:g} times is allowed"
        return ""

    def _expected_s(self, done: BatchDone) -> float:
        """How long the new model will take for it: at first as long as it is allowed to, within reason."""
        if not self.costs:
            return done.seconds * min(self._options.max_slowdown, _FIRST_SLOWDOWN)
        count, seconds = sorted(self.costs, key=lambda one: one[1] / one[0])[
            3 * len(self.costs) // 4
        ]  # one hiccup says nothing
        return seconds * max(1.0, len(done.frames) / count)


def _usual(seconds: Sequence[float]) -> float:
    """The lower quartile: what else runs on the machine makes calls longer and never shorter."""
    return sorted(seconds)[len(seconds) // 4]
