"""What the live view of the belt shows: the frame with its boxes, and the counts beside the truth."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edgevision.demo.box_tally import BoxTally
from edgevision.demo.screen import Picture
from edgevision.frames import ImageArray

_FACTS = 44  # characters beside the picture


def view(drawn: ImageArray, tally: BoxTally, console: Console) -> Panel:
    """The whole view. ``drawn``: the frame, with boxes and line, H×W×3 uint8 BGR."""
    rows = console.height - 4
    width = max(32, min(console.width - _FACTS - 8, round(2 * rows * drawn.shape[1] / drawn.shape[0])))
    body = Table.grid(padding=(0, 2))
    body.add_column(width=width - width % 2)
    body.add_column()
    body.add_row(Picture(drawn, width), Group(*_facts(tally, rows - 8)))
    speed = f"{tally.frames} frames · {tally.median_ms:.1f} ms each to detect, track and count"
    return Panel(body, title="[bold]EdgeVision[/bold] · a belt, rendered", subtitle=speed, width=width + _FACTS + 6)


def _facts(tally: BoxTally, most_rows: int) -> Iterable[Text | Table]:
    counts = Table.grid(padding=(0, 2))
    counts.add_column(no_wrap=True, max_width=24, overflow="ellipsis")
    counts.add_column(justify="right")
    counts.add_column(justify="right")
    counts.add_row("", Text("counted", "bold"), Text("truth", "bold"))
    counts.add_row("passed the line", str(tally.counted.total()), str(tally.crossed.total()))
    for name, counted, crossed in tally.rows[: max(1, most_rows)]:
        style = "green" if counted == crossed else "yellow"
        counts.add_row(f"  {name}", Text(str(counted), style), str(crossed))
    yield counts
    yield Text()
    yield Text(f"views found     {tally.percent(tally.found):5.1f} %")
    yield Text(f"named rightly   {tally.percent(tally.named):5.1f} %")
    yield Text(f"false boxes     {tally.false:5d}")
