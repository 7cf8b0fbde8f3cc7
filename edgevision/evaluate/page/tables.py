"""What the tables of reports have in common: long names, and long tables."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.evaluate.page.drawing import shorten
from edgevision.evaluate.page.html import Cell, Rich, Table

LONGEST = 30  # rows of a table that is shown whole
FIRST = 12  # rows that are shown of a longer one

Line = tuple[Cell, ...]


def named(text: str, length: int = 36, full: str = "") -> Cell:
    """``text`` on one line; what is too long loses its middle. The title has ``full``, or all of ``text``, if that differs.

    >>> named("salt"), named("a name that is too long to be shown", 12)
    ('salt', Rich(value='a na…e shown', shown='', title='a name that is too long to be shown', share=None, tone='plain'))
    """
    plain = shorten(text, max(1, len(text)))
    head = length // 3
    shown = plain if len(plain) <= length else f"{plain[:head]}…{plain[len(plain) - (length - head - 1) :]}"
    title = full or text
    return shown if shown == title else Rich(shown, title=title)


def long_table(
    columns: tuple[str, ...], lines: Sequence[Line], order: Sequence[int], first: str, whole: str
) -> tuple[Table, ...]:
    """The table with its lines in ``order`` (places in ``lines``).

    Where there are more than ``LONGEST``: a table of its ``FIRST`` ones in that order, which ``first`` describes, and all
    of them as they are given, folded, under ``whole``.

    >>> [table.rows for table in long_table(("name",), [("a",), ("b",)], [1, 0], "the best", "all")]
    [(('b',), ('a',))]
    """
    ranked = [lines[index] for index in order]
    if len(lines) <= LONGEST:
        return (Table(columns, tuple(ranked)),)
    return (
        Table(columns, tuple(ranked[:FIRST]), f"{FIRST} of {len(lines)}: {first}."),
        Table(columns, tuple(lines), f"{len(lines)} rows: {whole}", folded=True),
    )
