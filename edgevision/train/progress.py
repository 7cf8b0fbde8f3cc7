"""What a run tells while it goes on, and two ways to show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgevision.errors import MissingExtraError


@dataclass(frozen=True)
class StepReport:
    """After an optimiser step. ``progress`` 0…1 of the run; ``size`` of the pictures in pixels; ``lr`` the network's.

    ``photos_per_s`` counts since the last report; ``left_s`` is an estimate.
    """

    step: int
    steps: int
    progress: float
    loss: float
    lr: float
    size: int
    photos_per_s: float
    left_s: float


class EpochScore(Protocol):
    """How well a network does on the ``val`` photos."""

    @property
    def metrics(self) -> dict[str, float]:
        """Every figure by its name."""

    @property
    def headline(self) -> str:
        """The figure that says most, with name and unit."""

    def better_than(self, other: Any) -> bool:
        """Than another score of the same kind, or than None."""


@dataclass(frozen=True)
class EpochReport:
    """After a pass over the photos. ``score``: of the averaged weights on the ``val`` photos, None without them."""

    epoch: int
    step: int
    seconds: float
    train_loss: float
    score: EpochScore | None
    best: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values; ``val`` has the score's metrics."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "train_loss": self.train_loss,
            "val": None if self.score is None else self.score.metrics,
            "best": self.best,
        }


class Progress(Protocol):
    """Listens to a run. An exception that it raises ends the run; the state file is kept."""

    def message(self, text: str) -> None:
        """A sentence for the user."""

    def photos_checked(self, done: int, total: int) -> None:
        """Before the first step: so many photos of a data set are read."""

    def step(self, report: StepReport) -> None:
        """A step is done."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch is done and validated."""

    def close(self) -> None:
        """The run is over, well or not."""


class SilentProgress:
    """Says nothing."""

    def message(self, text: str) -> None:
        """Nothing."""

    def photos_checked(self, done: int, total: int) -> None:
        """Nothing."""

    def step(self, report: StepReport) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class ProgressGroup:
    """Passes everything on to several listeners."""

    def __init__(self, listeners: Sequence[Progress]) -> None:
        self._listeners = tuple(listeners)

    def message(self, text: str) -> None:
        """To each."""
        for listener in self._listeners:
            listener.message(text)

    def photos_checked(self, done: int, total: int) -> None:
        """To each."""
        for listener in self._listeners:
            listener.photos_checked(done, total)

    def step(self, report: StepReport) -> None:
        """To each."""
        for listener in self._listeners:
            listener.step(report)

    def epoch(self, report: EpochReport) -> None:
        """To each."""
        for listener in self._listeners:
            listener.epoch(report)

    def close(self) -> None:
        """To each."""
        for listener in self._listeners:
            listener.close()


class RichProgress:
    """A progress bar with loss, speed and time left, and a line for each epoch; in a log, the lines alone."""

    def __init__(self, console: Any = None) -> None:
        from rich import get_console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._bar = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[facts]}"),
            console=console, disable=not (console or get_console()).is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("train", total=1.0, facts="")

    def message(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)

    def photos_checked(self, done: int, total: int) -> None:
        """Show a bar of its own, which goes away with the first step."""
        facts = f"{done} of {total}"
        self._bar.update(self._task, description="check photos", completed=done, total=total, facts=facts)
        self._bar.start()

    def step(self, report: StepReport) -> None:
        """Move the bar, which appears with the first step."""
        self._bar.start()
        left = f"{int(report.left_s) // 60}:{int(report.left_s) % 60:02d} left"
        facts = f"loss {report.loss:.3f}  {report.size} px  {report.photos_per_s:.0f} photos/s  {left}"
        self._bar.update(self._task, description="train", completed=report.progress, total=1.0, facts=facts)

    def epoch(self, report: EpochReport) -> None:
        """A line with the epoch's scores."""
        score = "" if report.score is None else f"  val {report.score.headline}"
        mark = "  best so far" if report.best and report.score is not None else ""
        self.message(f"epoch {report.epoch:3d}  {report.seconds:6.0f} s  loss {report.train_loss:.3f}{score}{mark}")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()


class TensorBoardProgress:
    """Writes losses, rates and scores as TensorBoard events into a folder."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtraError("tensorboard", "tensorboard", "--tensorboard") from None
        self._writer: Any = SummaryWriter(str(folder))

    def message(self, text: str) -> None:
        """Not kept."""

    def photos_checked(self, done: int, total: int) -> None:
        """Not kept."""

    def step(self, report: StepReport) -> None:
        """Loss, learning rate, picture size and speed."""
        for name, value in (
            ("train/loss", report.loss),
            ("train/lr", report.lr),
            ("train/size_px", report.size),
            ("train/photos_per_s", report.photos_per_s),
        ):
            self._writer.add_scalar(name, value, report.step)

    def epoch(self, report: EpochReport) -> None:
        """Scores on the val photos."""
        for name, value in ({} if report.score is None else report.score.metrics).items():
            self._writer.add_scalar(f"val/{name}", value, report.step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
