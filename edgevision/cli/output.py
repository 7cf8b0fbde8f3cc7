"""How commands print: tables, progress, warnings, errors, JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


WIDE = 160  # columns where nobody looks at a terminal: tables need not fold


def console(*, error: bool = False) -> Console:
    """A rich console on stdout, or stderr. Names and paths may hold anything: square brackets are not markup."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(stderr=error, highlight=False, soft_wrap=True, markup=False, emoji=False, width=width)


def say(text: str, style: str | None = None) -> None:
    """Print text for people on stdout, with rich's ``style`` ("bold", "dim")."""
    console().print(plain(text, keep="\n"), style=style)


def plain(text: str, keep: str = "") -> str:
    """The text without control characters but ``keep``: a label in a file must not steer the terminal."""
    return "".join(c if c.isprintable() or c in keep else "\ufffd" for c in text)


def counted(count: int, one: str) -> str:
    """How many there are of what ``one`` is called.

    >>> counted(1, "product"), counted(0, "example")
    ('1 product', '0 examples')
    """
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def show_json(data: object) -> None:
    """One JSON value on stdout. Numbers that JSON does not have (NaN, infinite) become null."""
    print(json.dumps(_finite(data), indent=1, ensure_ascii=False, allow_nan=False, default=str))


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, (list, tuple)) else data


def brief(error: BaseException, limit: int = 300) -> str:
    """What an error of somebody else's says, as one line of at most ``limit`` characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def show_error(message: str, status: int, *, json: bool, details: Mapping[str, Any] | None = None) -> None:
    """An error for people on stderr; with ``--json`` also as an object on stdout, with all ``details``."""
    if json:
        show_json({"error": message, "status": status, **(details or {})})
    print(f"edgevision: {plain(message, keep=chr(10))}", file=sys.stderr)


def show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    """A warning as one line, without the place in the code."""
    from edgevision.errors import CacheWarning, DeviceWarning, DoubtWarning, UnprovenWarning

    if issubclass(category, (CacheWarning, DeviceWarning, DoubtWarning, UnprovenWarning)):
        print(f"edgevision: warning: {plain(str(message))}", file=sys.stderr)


def table(
    title: str, header: Sequence[str], lines: Sequence[Sequence[str]], *, bold: int | None = None, left: int = 1,
    whole: bool = False,
) -> None:  # fmt: skip
    """Print a table; the first ``left`` columns are set left, the others right. ``bold`` marks a line.

    ``whole``: the first column holds short names that must not be folded.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(plain(title)) if title else None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
                 show_header=any(header))  # fmt: skip
    for place, name in enumerate(header):
        made.add_column(
            Text(name), justify="left" if place < left else "right", overflow="fold", no_wrap=whole and not place
        )
    for place, line in enumerate(lines):
        made.add_row(*(Text(plain(str(cell))) for cell in line), style="bold green" if place == bold else None)
    console().print(made, soft_wrap=False)
