"""List files: a photo and its class on each line, as people and other programs write them.

Commas, tabs, semicolons or spaces separate the cells. Which of them it is, the photos tell: where the first cells of all
lines are files that exist, the reading is certain. Nothing else is guessed.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import DataError
from edgevision.evaluate.data.folders import PHOTO_SUFFIXES
from edgevision.evaluate.data.labels import words
from edgevision.evaluate.data.names import spellings
from edgevision.evaluate.data.text import first_three, read_text, split_row

_SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", " ": "space"}
_LABEL_WORDS = frozenset({"label", "class", "category", "target"})
_PATH_WORDS = frozenset({"path", "file", "filename", "name", "image", "img", "photo", "picture"})


@dataclass(frozen=True)
class ListedPhoto:
    """One line: its number (from 1), the photo, and what it says of the class (None: nothing)."""

    line: int
    path: Path
    label: str | None


def read_list(path: Path) -> list[ListedPhoto]:
    """The photos of a list file, all of which exist.

    Each line holds ``path, label, …``, separated by commas, tabs, semicolons or spaces, all lines alike; cells may be
    quoted; further columns are ignored, and so are blank lines and lines that start with ``#``. Under a header of three
    columns or more, the label is the one that is called so. Paths are relative to the file, or absolute; they may have
    Windows' backslashes.

    Raises DataError for lines that name no photo, or can be read in two ways.
    """
    lines = [
        (number, line.strip())
        for number, line in enumerate(read_text(path, "a list of photos").split("\n"), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise DataError(f"expected 'path, label' on each line of {path}, got no lines")
    for separator in _SEPARATORS:
        rows = _rows(path, lines, separator)
        photos = _photos(path.parent, rows)
        if photos:
            _check_width(path, rows, separator)
            return photos
    raise _no_reading(path, lines)


def _photos(folder: Path, rows: list[tuple[int, list[str]]]) -> list[ListedPhoto]:
    """The photos that the rows name; [] where one of them names none."""
    photos = []
    for number, cells in rows:
        photo = _locate(folder, cells[0])
        if photo is None:
            return []
        photos.append(ListedPhoto(number, photo, _label(cells)))
    return photos


def refuse_lines(path: Path, what: str, lines: list[tuple[int, str]]) -> None:
    """Raise DataError that names the ``lines`` (number, text) of which ``what`` is true, if there are any."""
    if lines:
        raise DataError(f"{len(lines)} lines of {path} {what}: {_named(lines)}")


def _named(lines: list[tuple[int, str]]) -> str:
    return first_three(f"line {number}: {text}" for number, text in lines)


def _rows(path: Path, lines: list[tuple[int, str]], separator: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of each line but the header. Raises DataError for a line that cannot be split."""
    rows = []
    for number, line in lines:
        try:
            rows.append((number, split_row(line, separator)))
        except csv.Error as error:
            raise DataError(f"expected 'path, label' on each line of {path}; line {number}: {error}") from error
    header = rows[0][1]
    if not _is_header(header[0]) or _locate(path.parent, header[0]) is not None:
        return rows
    column = _label_column(path, header)
    return [(number, [cells[0], *cells[column : column + 1]]) for number, cells in rows[1:]]


def _label_column(path: Path, header: list[str]) -> int:
    """The column of the classes: the second of two, else the one whose heading says so. Raises DataError where none does."""
    if len(header) <= 2:
        return 1
    named = [place for place, heading in enumerate(header) if words(heading) & _LABEL_WORDS]
    exact = [place for place in named if words(header[place]) <= _LABEL_WORDS]
    for found in (exact, named):
        if len(found) == 1:
            return found[0]
    raise DataError(
        f"which column of {path} holds the classes is not clear: {', '.join(header[:6])}{', …' if len(header) > 6 else ''}. "
        "Call one of them 'label'; a column for each class is not read"
    )


def _is_header(cell: str) -> bool:
    return Path(cell).suffix.lower() not in PHOTO_SUFFIXES and bool(words(cell)) and words(cell) <= _PATH_WORDS


def _label(cells: list[str]) -> str | None:
    return cells[1] if len(cells) > 1 and cells[1] else None


def _locate(folder: Path, cell: str) -> Path | None:
    """The file that a cell names, however it is written; None where there is none."""
    for spelling in _written(cell):
        path = folder / spelling
        if os.path.isfile(path):  # noqa: PTH113 - unlike Path.is_file, False for a name no file can have
            return path
    return None


def _written(cell: str) -> Iterator[str]:
    """The path as it is; with slashes for backslashes; in the Unicode forms of other systems."""
    yield from spellings(cell)
    if "\\" in cell:
        yield from spellings(cell.replace("\\", "/"))


def _check_width(path: Path, rows: list[tuple[int, list[str]]], separator: str) -> None:
    """Refuse lines with spaces between the cells where a label of several words would be cut to its first."""
    if separator != " ":
        return
    wide = [
        (number, " ".join(cells)) for number, cells in rows if not all(cell.lstrip("-").isdigit() for cell in cells[2:])
    ]
    refuse_lines(
        path,
        "have more than 'path label' between spaces; put quotes around labels that hold spaces, or separate by commas",
        wide,
    )


def _no_reading(path: Path, lines: list[tuple[int, str]]) -> DataError:
    """What to say of a list in which no reading finds all photos: what the best one lacks."""
    looks = _looks(path, lines)
    rows = _rows(path, lines, looks)
    missing = [(number, cells[0]) for number, cells in rows if _locate(path.parent, cells[0]) is None]
    swapped = [cells for _, cells in rows if len(cells) > 1 and _locate(path.parent, cells[1]) is not None]
    if not rows:
        return DataError(f"expected 'path, label' on each line of {path}, got a header alone")
    if len(swapped) == len(rows):
        return DataError(
            f"expected 'path, label' on each line of {path}, but the photos stand in the second column; swap the two"
        )
    read_as = "" if looks == "," else f"this looks {_SEPARATORS[looks]}-separated, and was read so; "
    return DataError(
        f"expected 'path, label' on each line; {read_as}{len(missing)} lines of {path} do not name a photo that exists "
        f"(paths are relative to the file, or absolute): {_named(missing)}"
    )


def _looks(path: Path, lines: list[tuple[int, str]]) -> str:
    """The separator with which most lines name a photo; where none does, the first that all lines hold; else a comma."""
    found = {
        separator: sum(_locate(path.parent, cells[0]) is not None for _, cells in _rows(path, lines, separator))
        for separator in _SEPARATORS
    }
    best = max(found, key=lambda separator: found[separator])
    if found[best]:
        return best
    held = (separator for separator in ("\t", ",", ";", " ") if all(separator in line for _, line in lines))
    return next(held, ",")
