"""What the live view shows: the frame as coloured half blocks, the answers, and the counts so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from edgevision.demo.scene import SceneKind
from edgevision.demo.stream import Shot
from edgevision.demo.tally import Tally
from edgevision.frames import ImageArray
from edgevision.tasks.results import Classification

MIN_WIDTH, MIN_HEIGHT = 76, 22
BAR = 24


class Picture:
    """A frame, ``width`` characters wide: two pixels in each, one above the other."""

    def __init__(self, frame: ImageArray, width: int) -> None:
        self.width = width - width % 2
        rows = 2 * round(self.width * frame.shape[0] / frame.shape[1] / 2)
        self.pixels = cv2.resize(frame, (self.width, rows), interpolation=cv2.INTER_AREA)[..., ::-1].tolist()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for upper, lower in zip(self.pixels[::2], self.pixels[1::2], strict=True):
            for top, bottom in zip(upper, lower, strict=True):
                yield Segment("▀", Style(color=Color.from_rgb(*top), bgcolor=Color.from_rgb(*bottom)))
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> object:
        from rich.measure import Measurement

        return Measurement(self.width, self.width)


@dataclass(frozen=True)
class Moment:
    """One frame with everything known of it. ``answers``: of the variants, in the order of ``tallies``."""

    shot: Shot
    frame: ImageArray
    answers: tuple[Classification, ...]
    tallies: tuple[Tally, ...]
    threshold: float
    frames: int
    fps: float


def fits(console: Console) -> bool:
    """Whether the live view can be shown: a terminal with colours and some room."""
    return (
        console.is_terminal and not console.is_dumb_terminal and console.color_system is not None
        and console.width >= MIN_WIDTH and console.height >= MIN_HEIGHT
    )  # fmt: skip


def view(moment: Moment, console: Console) -> Panel:
    """The whole view."""
    side = max(24, min(56, 2 * (console.height - 5), console.width - 48))
    body = Table.grid(padding=(0, 2))
    body.add_column(width=side - side % 2)
    body.add_column()
    body.add_row(Picture(moment.frame, side), Group(*_facts(moment)))
    done = f"frame {moment.shot.index + 1} of {moment.frames} · drawn and shown at {moment.fps:.0f} frames/s"
    return Panel(body, title="[bold]EdgeVision[/bold] · a shop's camera, rendered", subtitle=done, width=side + 50)


def truth_of(shot: Shot) -> str:
    """What the frame really shows."""
    product = shot.scene.product
    if product is None:
        return "nothing"
    return product.name if shot.scene.kind is SceneKind.LISTED else f"{product.name} (not listed)"


def verdict_of(shot: Shot, answer: Classification) -> tuple[str, str]:
    """A sign with a word for an answer, and its style."""
    label = shot.scene.label
    if label is None:
        return ("✗ false accept", "bold red") if answer.known else ("✓ rightly unknown", "bold cyan")
    if not answer.known:
        return "? unknown", "bold yellow"
    return ("✓ right", "bold green") if answer.best.id == label else ("✗ mistaken", "bold red")


def bar(share: float, threshold: float, width: int = BAR) -> Text:
    """A score 0…1 as a bar, with a mark where "unknown" ends."""
    text, mark = Text(), min(width - 1, round(threshold * width))
    style = "green" if share >= threshold else "yellow"
    for place in range(width):
        filled = place < round(share * width)
        text.append("┃" if place == mark else "█" if filled else "░", style if filled or place == mark else "dim")
    return text


def _facts(moment: Moment) -> Iterable[Text | Table]:
    chosen, answer = moment.tallies[0], moment.answers[0]
    word, style = verdict_of(moment.shot, answer)
    yield Text("shown", "dim")
    yield Text(truth_of(moment.shot), "bold", no_wrap=True, overflow="ellipsis")
    yield Text()
    yield Text(f"{chosen.name} says", "dim")
    yield Text(answer.best.name if answer.known else "I don't know", style, no_wrap=True, overflow="ellipsis")
    yield bar(answer.best.score, moment.threshold).append(f" {answer.best.score:.2f}")
    yield Text(word, style)
    yield Text()
    counts = Table.grid(padding=(0, 2))
    counts.add_column(no_wrap=True)
    for _ in moment.tallies:
        counts.add_column(justify="right", no_wrap=True)
    counts.add_row("", *(Text(t.name.rpartition("-")[2], "bold") for t in moment.tallies))  # "int8", "float"
    counts.add_row("answers right", *(f"{t.right_percent:.1f} %" for t in moment.tallies))
    top1 = ["–" if t.top1_percent is None else f"{t.top1_percent:.1f} %" for t in moment.tallies]
    counts.add_row("top-1, listed", *top1)
    accepted = [f"{sum(t.accepted.values())} of {sum(t.others.values())}" for t in moment.tallies]
    counts.add_row("false accepts", *accepted)
    counts.add_row("engine, median", *(f"{t.median_ms:.2f} ms" for t in moment.tallies))
    yield counts
    yield Text()
    yield Text.assemble(*((("●", "green") if right else ("●", "red")) for right in chosen.recent))
