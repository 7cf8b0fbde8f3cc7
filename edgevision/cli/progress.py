"""Progress of long commands on stderr: bars on a terminal, a line now and then elsewhere; with the time that is left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from edgevision.cli.output import console, plain

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

FIRST_LINE_S = 10.0  # a log hears nothing of commands that are done before
NEXT_LINE_S = 30.0
SHOWS_S = 1.0  # of a step, before its own pace is believed


class StepProgress(Protocol):
    """Where a command tells how far it is. A step with a total of 0 does not know how much there is to do."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """``done`` of ``total`` of a step."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """What the steps to come will take, by name, in their order."""


class TimeLeft:
    """Seconds that are left, from what each step was expected to take and how far the running one is.

    >>> left = TimeLeft(clock=lambda: 0.0)
    >>> left.expect({"calibrate": 60, "measure": 30})
    >>> left("calibrate", 0, 100)
    90.0
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expected: dict[str, float] = {}
        self._begun: dict[str, float] = {}

    def expect(self, seconds: Mapping[str, float]) -> None:
        """See ``StepProgress.expect``."""
        self._expected = {step: value for step, value in seconds.items() if value > 0}

    def __call__(self, step: str, done: int, total: int) -> float | None:
        """What is left while ``step`` is at ``done`` of ``total``; None where nothing was expected."""
        now = self._clock()
        spent = now - self._begun.setdefault(step, now)
        if not self._expected:
            return None
        own = self._expected.get(step, 0.0) - spent
        if done > 0 and total > 0 and spent > SHOWS_S:  # what was done tells better than what was expected
            own = spent / done * (total - done)
        return max(0.0, own) + sum(value for name, value in self._expected.items() if name not in self._begun)


@contextlib.contextmanager
def step_progress(enabled: bool = True) -> Iterator[StepProgress]:
    """Progress on stderr, or nowhere."""
    if not enabled:
        yield _Silent()
        return
    if not sys.stderr.isatty():
        yield LogLines(sys.stderr)
        return
    with _bars() as bars:
        yield _OnTerminal(bars)


class _Silent:
    def __call__(self, step: str, done: int, total: int) -> None:
        return None

    def expect(self, seconds: Mapping[str, float]) -> None:
        return None


class LogLines:
    """A line when a command has run for ``FIRST_LINE_S``, and one each ``NEXT_LINE_S`` after: a log that says nothing for
    an hour looks like a program that hangs. ``clock``: seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._left = TimeLeft(clock)
        self._began = clock()
        self._next = self._began + FIRST_LINE_S

    def __call__(self, step: str, done: int, total: int) -> None:
        """See ``StepProgress``."""
        left = self._left(step, done, total)
        now = self._clock()
        if now < self._next:
            return
        self._next = now + NEXT_LINE_S
        place = f" {done}/{total}" if total else ""
        ahead = "" if left is None else f", about {duration(left)} left"
        self._say(f"[{duration(now - self._began)}] {step}{place}{ahead}")

    def expect(self, seconds: Mapping[str, float]) -> None:
        """See ``StepProgress``. Said at once where it is long."""
        self._left.expect(seconds)
        if sum(seconds.values()) > FIRST_LINE_S:
            self._say(f"[{duration(self._clock() - self._began)}] {plan_line(seconds)}")

    def _say(self, text: str) -> None:
        print(f"edgevision: {plain(text)}", file=self._stream, flush=True)


def plan_line(seconds: Mapping[str, float]) -> str:
    """``about 6 min to go: calibrate 2 min, measure 4 min``; steps of less than a second are left out."""
    steps = ", ".join(f"{step} {duration(value)}" for step, value in seconds.items() if value >= 1)
    return f"about {duration(sum(seconds.values()))} to go: {steps}"


def duration(seconds: float) -> str:
    """For people: ``40 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _bars() -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.fields[left]}", markup=False),
    )  # fmt: skip
    return Progress(*columns, console=console(error=True), transient=True)


class _OnTerminal:
    """A bar for each step; beside the running one, what is left of all."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._left = TimeLeft()
        self._tasks: dict[str, Any] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        left = self._left(step, done, total)
        step = plain(step)
        if step not in self._tasks:
            for task in self._tasks.values():
                self._bars.update(task, left="")
            self._tasks[step] = self._bars.add_task(step, total=total or None, left="")
        text = "" if left is None else f"about {duration(left)} left"
        self._bars.update(self._tasks[step], completed=done, total=total or None, left=text)

    def expect(self, seconds: Mapping[str, float]) -> None:
        self._left.expect(seconds)
        if sum(seconds.values()) > FIRST_LINE_S:
            self._bars.console.print(plain(plan_line(seconds)))
