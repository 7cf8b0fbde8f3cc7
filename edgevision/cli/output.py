"""How commands print: tables, progress, warnings, errors, JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console(*, error: bool = False) -> Console:
    """A rich console on stdout, or stderr."""
    from rich.console import Console

    return Console(stderr=error, highlight=False, soft_wrap=True)


def show_json(data: object) -> None:
    """One JSON object on stdout."""
    print(json.dumps(data, indent=1, ensure_ascii=False, default=str))


def show_error(message: str, status: int, *, json: bool) -> None:
    """An error for people on stderr; with ``--json`` also as an object on stdout."""
    if json:
        show_json({"error": message, "status": status})
    print(f"edgevision: {message}", file=sys.stderr)


def show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    """A warning as one line, without the place in the code."""
    from edgevision.errors import DeviceWarning, UnprovenWarning

    if issubclass(category, (DeviceWarning, UnprovenWarning)):
        print(f"edgevision: warning: {message}", file=sys.stderr)


def table(
    title: str, header: Sequence[str], lines: Sequence[Sequence[str]], *, bold: int | None = None, left: int = 1
) -> None:
    """Print a table; the first ``left`` columns are set left, the others right. ``bold`` marks a line."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False,
                 show_header=any(header))  # fmt: skip
    for place, name in enumerate(header):
        made.add_column(Text(name), justify="left" if place < left else "right", overflow="fold")
    for place, line in enumerate(lines):
        made.add_row(*(Text(str(cell)) for cell in line), style="bold green" if place == bold else None)
    console().print(made, soft_wrap=False)


@contextlib.contextmanager
def progress(enabled: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr for each step; silent when stderr is not a terminal."""
    if not enabled or not sys.stderr.isatty():
        yield lambda step, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console(error=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total or None)
            bars.update(tasks[step], completed=done, total=total or None)

        yield update
