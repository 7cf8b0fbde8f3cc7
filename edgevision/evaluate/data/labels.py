"""Labels files: the classes of a data set, by name and number."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from edgevision.errors import DataError, InputError
from edgevision.tasks.results import Label

MAX_TEXT_BYTES = 64 * 2**20  # a list of a million photos is smaller; a model given by mistake is often larger


def read_text(path: Path, what: str) -> str:
    """The text of a UTF-8 file (a byte-order mark is dropped). Raises DataError for anything else."""
    try:
        size = path.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise DataError(f"expected {what}, but {path} has {size / 2**20:.0f} MB: it does not look like text")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {what} {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"expected {what} as UTF-8 text, but {path} is not text; check the path") from error
    if "\0" in text:
        raise DataError(f"expected {what} as UTF-8 text, but {path} is binary; check the path")
    return text


def read_labels(path: Path | str) -> tuple[Label, ...]:
    """The labels in a file, ordered by id.

    ``.csv``: a header and one class a row; the first column whose heading holds the word "name" and the first that
    holds the word "id" are read, whatever else is there. Any other suffix: one name a line, its id is the line's
    number counted from 0.

    Raises DataError when the file cannot be read, has no classes, or holds an id or a name twice.
    """
    return tuple(sorted(_read_rows(Path(path)), key=lambda label: label.id))


def read_output_labels(path: Path | str) -> tuple[Label, ...]:
    """The labels in a file, in the order of a model's outputs, of which the file does not speak.

    Ids 0…n-1 number the outputs. With other ids, the rows have to be in their order: sorted in some other way, they
    might be the outputs' or not, and a wrong guess would call every product by another's name.

    Raises InputError for such a file, DataError as ``read_labels`` does.
    """
    path = Path(path)
    rows = _read_rows(path)
    labels = sorted(rows, key=lambda label: label.id)
    if labels != rows and [label.id for label in labels] != list(range(len(labels))):
        here, there = next((row, label) for row, label in zip(rows, labels, strict=True) if row != label)
        raise InputError(
            f"which output is which class is ambiguous in {path}: by rows {here.name!r} (id {here.id}) comes before "
            f"{there.name!r} (id {there.id}), by ids after it. Give one row for each output, in the order of the "
            "outputs, with ids that ascend; or a text file with one name a line"
        )
    return tuple(labels)


def _read_rows(path: Path) -> list[Label]:
    """The labels as they stand in the file. Raises DataError."""
    text = read_text(path, "a labels file")
    labels = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _name_lines(path, text)
    if not labels:
        raise DataError(f"expected at least one class in the labels file {path}, got none")
    for what, values in (("id", [str(label.id) for label in labels]), ("name", [label.name for label in labels])):
        if repeated := [value for value, count in Counter(values).items() if count > 1]:
            raise DataError(
                f"each {what} may occur once in the labels file {path}; repeated: {first_three(map(repr, repeated))}"
            )
    return labels


def first_three(items: Iterable[str]) -> str:
    """``a, b, c and 7 more``: enough of a list for a message."""
    listed = list(items)
    more = len(listed) - 3
    return ", ".join(listed[:3]) + (f" and {more} more" if more > 0 else "")


def words(heading: str) -> set[str]:
    """The lower-case words of a heading, also of ``class_id`` and ``ClassId``."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", heading)}


def _name_lines(path: Path, text: str) -> list[Label]:
    lines = [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []
    if empty := [str(number) for number, line in enumerate(lines, 1) if not line]:
        raise DataError(
            f"expected a class name on every line of {path} (its number is the class's id), "
            f"but these lines are empty: {first_three(empty)}"
        )
    return [Label(id, name) for id, name in enumerate(lines)]


def _csv_rows(path: Path, text: str) -> list[Label]:
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error as error:
        raise DataError(f"expected rows of comma-separated values in {path}: {error}") from error
    header = rows[0] if rows else []
    name_column = next((i for i, heading in enumerate(header) if "name" in words(heading)), None)
    id_column = next((i for i, heading in enumerate(header) if "id" in words(heading)), None)
    if name_column is None or id_column is None:
        raise DataError(
            f"expected a header with a 'name' and an 'id' column in {path}, got {', '.join(header) or 'nothing'!r}"
        )
    labels, bad = [], []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            name = row[name_column].strip()
            if not name:
                raise ValueError
            labels.append(Label(int(row[id_column]), name))
        except (ValueError, IndexError):
            bad.append(f"row {number}: {','.join(row)[:80]!r}")
    if bad:
        raise DataError(f"expected a name and an integer id in each row of {path}, got {first_three(bad)}")
    return labels
