"""Tables of attributes: a CSV with a row for each photo, or for each class, and a column for each attribute.

The first column is the key: the photo's path (``path``, ``file``, ``photo``, …), or the class (``class``, ``label``, ``product``,
``id``). Every other column is an attribute, whatever it is called; a cell that is empty, ``?``, ``-``, ``NA`` or ``null`` is a value that
nobody knows.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgevision.errors import DataError
from edgevision.evaluate.data.labels import words
from edgevision.evaluate.data.names import composed, spellings
from edgevision.evaluate.data.text import first_three, read_text, split_row

SEPARATOR = ": "  # as tasks.attributes has it in labels
_SEPARATORS = (",", ";", "\t")
_PATH_WORDS = frozenset({"path", "file", "filename", "image", "img", "photo", "picture"})
_CLASS_WORDS = frozenset({"class", "label", "product", "category", "id", "name", "sku"})
_LABEL_WORDS = frozenset({"label", "class", "category", "target"})  # as lists have them
_MISSING = frozenset({"", "?", "-", "na", "n/a", "nan", "null"})


@dataclass(frozen=True)
class TableRow:
    """One line: its number (from 1), what the key is, and the known values by attribute."""

    line: int
    key: str
    values: tuple[tuple[str, str], ...]

    def photo(self, folder: Path) -> Path:
        """The photo that the key names, relative to ``folder``; where there is none, what it would be called."""
        for spelling in (*spellings(self.key), *spellings(self.key.replace("\\", "/"))):
            if os.path.isfile(folder / spelling):  # noqa: PTH113 - unlike Path.is_file, False for a name no file can have
                return folder / spelling
        return folder / self.key


@dataclass(frozen=True)
class AttributeTable:
    """What a file says. ``key``: what its first column is called; ``by_class``: whether that is a class, and not a photo.
    ``heads``: the known values of each attribute, sorted; of some there may be one or none."""

    path: Path
    key: str
    by_class: bool
    heads: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[TableRow, ...]

    @property
    def folder(self) -> Path:
        """What paths in it are relative to."""
        return self.path.parent

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """``"colour: red"`` for each value of each attribute."""
        return tuple(f"{head}{SEPARATOR}{value}" for head, values in self.heads for value in values)

    def places(self, row: TableRow) -> tuple[int, ...]:
        """Where the row's values stand in ``labels``, ascending."""
        return tuple(sorted(self._places[head, value] for head, value in row.values if (head, value) in self._places))

    def of_class(self, names: Sequence[str]) -> TableRow | None:
        """The row of the class that is called by any of ``names``; None where there is none."""
        return next((self._by_key[composed(name)] for name in names if composed(name) in self._by_key), None)

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        pairs = [(head, value) for head, values in self.heads for value in values]
        return {pair: place for place, pair in enumerate(pairs)}

    @cached_property
    def _by_key(self) -> dict[str, TableRow]:
        return {composed(row.key): row for row in self.rows}


def is_photo_table(path: Path) -> bool:
    """Whether the file is a table of photos' attributes: its name ends in .csv or .tsv, its first heading is a word for a photo's path,
    there are two or more further columns, and none of them is called label or class, as a list of classes has it; nor are they a column
    for each class, of which one is 1."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return False
    try:
        lines = _lines(path)
        header, separator = _header(path, lines)
        rows = [_cells(path, number, line, separator)[1:] for number, line in lines[1:]]
    except DataError:  # whoever reads it as a list says what is wrong
        return False
    return (
        len(header) > 2
        and bool(words(header[0]) & _PATH_WORDS)
        and not any(words(heading) & _LABEL_WORDS for heading in header[1:])
        and not _is_one_hot(rows)
    )


def _is_one_hot(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the columns are classes: each row has a 1 in one of them, and 0 in the others."""
    return bool(rows) and all(sorted(row) == ["0"] * (len(row) - 1) + ["1"] for row in rows)


def read_table(path: Path | str, only: Sequence[str] = ()) -> AttributeTable:
    """The attributes in a file. ``only``: the columns to take, where not all of them are to be learnt (a price, a description).

    Raises DataError for a file that is no such table, ``only`` what it has not, and a key that occurs twice.
    """
    path = Path(path)
    lines = _lines(path)
    header, separator = _header(path, lines)
    by_class = _key_is_class(path, header[0] if header else "")
    columns = _columns(path, header, only)
    rows = [_row(path, number, line, separator, header, columns) for number, line in lines[1:]]
    if not rows:
        raise DataError(f"expected a row for each {'class' if by_class else 'photo'} in {path}, got a header alone")
    repeated = [key for key, count in Counter(composed(row.key) for row in rows).items() if count > 1]
    if repeated:
        raise DataError(
            f"each '{header[0]}' may stand in one row of {path}; repeated: {first_three(map(repr, repeated))}"
        )
    heads = tuple(
        (name, tuple(sorted({v for row in rows for head, v in row.values if head == name}))) for name in columns
    )
    if not any(values for _, values in heads):
        raise DataError(f"no value is known in any column of {path}: {first_three(columns)}")
    return AttributeTable(path, header[0], by_class, heads, tuple(rows))


def _lines(path: Path) -> list[tuple[int, str]]:
    text = read_text(path, "a table of attributes")
    return [
        (number, line)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _header(path: Path, lines: list[tuple[int, str]]) -> tuple[list[str], str]:
    """The headings, and what separates them: that which gives most of them."""
    if not lines:
        raise DataError(f"expected a header and rows in {path}, got no lines")
    found = [(_cells(path, 1, lines[0][1], separator), separator) for separator in _SEPARATORS]
    return max(found, key=lambda one: len(one[0]))


def _key_is_class(path: Path, heading: str) -> bool:
    """Whether the first column holds classes; Raises DataError where its heading says neither that nor that it holds photos."""
    if words(heading) & _PATH_WORDS:
        return False
    if words(heading) & _CLASS_WORDS:
        return True
    raise DataError(
        f"the first column of {path} is to be the photo's path (called 'path') or its class (called 'class'), got {heading!r}"
    )


def _columns(path: Path, header: list[str], only: Sequence[str]) -> list[str]:
    names = header[1:]
    if not names or not all(names):
        raise DataError(f"expected a heading for each column of {path}, and two columns or more, got {header}")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"each column of {path} has a name of its own; repeated: {first_three(map(repr, repeated))}")
    if odd := [name for name in names if SEPARATOR in f"{name} "]:
        raise DataError(f"the name of an attribute has no colon at its end or before a space, got {odd[0]!r} in {path}")
    if unknown := [name for name in only if name not in names]:
        raise DataError(f"{path} has no column {unknown[0]!r}; it has {', '.join(names)}")
    return [name for name in names if not only or name in only]


def _row(
    path: Path, number: int, line: str, separator: str, header: list[str], columns: Sequence[str]
) -> TableRow:  # fmt: skip
    cells = _cells(path, number, line, separator)
    if len(cells) > len(header) or not cells[0]:
        raise DataError(
            f"expected {len(header)} cells ({', '.join(header[:4])}…), the first not empty, in line {number} of {path}, got "
            f"{len(cells)}: {line.strip()[:80]!r}"
        )
    named = zip(header[1:], cells[1:], strict=False)  # a short row leaves its last cells out
    values = tuple((name, cell) for name, cell in named if name in columns and cell.casefold() not in _MISSING)
    return TableRow(number, cells[0], values)


def _cells(path: Path, number: int, line: str, separator: str) -> list[str]:
    try:
        return split_row(line, separator)
    except csv.Error as error:
        raise DataError(f"expected rows of cells between {separator!r} in {path}; line {number}: {error}") from error
