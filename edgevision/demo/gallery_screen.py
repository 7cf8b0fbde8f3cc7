"""What the live view of the gallery shows: the photo, what is made of it, and the counts so far."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edgevision.demo.gallery_moment import Moment
from edgevision.demo.gallery_tally import GalleryTally, words_of
from edgevision.demo.screen import Picture

_FACTS = 44  # characters beside the picture


def view(moment: Moment, tally: GalleryTally, console: Console) -> Panel:
    """The whole view."""
    rows = console.height - 4
    width = max(32, min(console.width - _FACTS - 8, 2 * rows))
    body = Table.grid(padding=(0, 2))
    body.add_column(width=width - width % 2)
    body.add_column()
    body.add_row(Picture(moment.photo, width), Group(*_facts(moment, tally)))
    return Panel(body, title="[bold]EdgeVision[/bold] · products that no network saw", width=width + _FACTS + 6)


def _facts(moment: Moment, tally: GalleryTally) -> Iterable[Text | Table]:
    yield Text("shown", "dim")
    yield Text(moment.product, "bold", no_wrap=True, overflow="ellipsis")
    yield Text()
    yield Text(moment.doing, "dim")
    yield Text(moment.said, "bold green" if moment.right else "bold yellow", no_wrap=True, overflow="ellipsis")
    yield Text()
    counts = Table.grid(padding=(0, 2))
    counts.add_column(no_wrap=True)
    counts.add_column(justify="right", no_wrap=True)
    counts.add_row("products learnt", str(len(tally.learn_ms)))
    for verdict, count in tally.shown.most_common():
        counts.add_row(f"  photos {words_of(verdict)}", str(count))
    if tally.photos:
        counts.add_row("new photos found", f"{tally.right} of {tally.photos}")
    if tally.strangers:
        counts.add_row("false accepts", f"{tally.accepted} of {tally.strangers}")
    yield counts
