"""Labels files: the classes of a data set, by name and number."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from edgevision.errors import DataError, InputError
from edgevision.evaluate.data.names import alike, composed
from edgevision.evaluate.data.text import first_three, read_text, split_row
from edgevision.tasks.results import Label

_SEPARATORS = (",", ";", "\t")
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_NUMBERED = re.compile(r"(\d{1,9})(?:\s*[,;:]\s*|\s+)(\S.*)", re.ASCII)
_JSON_FORMS = 'a list of names, {"id": "name"}, {"name": id}, or a Hugging Face config with id2label or label2id'


def read_labels(path: Path | str) -> tuple[Label, ...]:
    """The labels in a file, ordered by id.

    ``.csv``, ``.tsv``: a header and one class a row, the cells separated by commas, semicolons or tabs; the first column
    whose heading holds the word "name" and the first that holds the word "id" are read, whatever else is there. JSON: a
    list of names, an object {id: name} or {name: id}, or one with such an object as ``id2label`` or ``label2id``. Any
    other text: one name a line, its id is the line's number counted from 0; or a name and an id with a tab between them.

    Raises DataError when the file cannot be read, can be read in two ways, has no classes, or holds an id or a name twice
    (names in Unicode's form NFC).
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
    labels = _rows_of(path, text)
    if not labels:
        raise DataError(f"expected at least one class in the labels file {path}, got none")
    if pairs := alike(label.name for label in labels):
        raise DataError(
            f"each name may occur once in the labels file {path}; these are one name, written as different systems do: "
            f"{first_three(pairs)}. Keep one of them"
        )
    for what, values in (("id", [str(label.id) for label in labels]), ("name", [label.name for label in labels])):
        if repeated := [value for value, count in Counter(values).items() if count > 1]:
            raise DataError(
                f"each {what} may occur once in the labels file {path}; repeated: {first_three(map(repr, repeated))}"
            )
    return labels


def _rows_of(path: Path, text: str) -> list[Label]:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _csv_rows(path, text)
    if suffix == ".json" or text.lstrip().startswith(("{", "[")):
        return _json_rows(path, text)
    return _tab_rows(text) or _name_lines(path, text)


def are_numbered(names: Collection[str]) -> bool:
    """Whether these are no names, but each an id and a name: "0 tea", "1 salt", with the ids 0…n-1 or 1…n.

    >>> are_numbered(["0 tea", "1 salt"]), are_numbered(["1 l", "2 l"]), are_numbered(["7 up", "cola"])
    (True, False, False)
    """
    found = [_NUMBERED.fullmatch(name) for name in names]
    parts = [match.groups() for match in found if match is not None]
    ids = sorted(int(id) for id, _ in parts)
    count = len(names)
    return (
        len(parts) == count >= 2
        and ids in (list(range(count)), list(range(1, count + 1)))
        and len({name for _, name in parts}) == count
    )


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
    if are_numbered(lines):
        raise DataError(
            f"each line of {path} holds an id and a name (line 1: {lines[0]!r}), where a name alone is expected: the line's number "
            "is the id. Put a tab between the two, leave the ids out, or give a CSV with the columns name and id"
        )
    return [Label(id, name) for id, name in enumerate(lines)]


def _tab_rows(text: str) -> list[Label]:
    """Lines of a name and an id with a tab between them, in either order; [] where not every line is so.

    No name holds a tab. Where both columns are ids, neither order is certain.
    """
    rows = [[cell.strip() for cell in line.split("\t")] for line in text.split("\n") if line.strip()]
    if not all(len(row) == 2 and all(row) for row in rows):
        return []
    ids = [all(_INTEGER.fullmatch(row[column]) for row in rows) for column in (0, 1)]
    if ids[0] == ids[1]:
        return []
    return [Label(int(row[0 if ids[0] else 1]), row[1 if ids[0] else 0]) for row in rows]


def _csv_rows(path: Path, text: str) -> list[Label]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    name_column, id_column, separator = _header(path, lines[0][1] if lines else "")
    labels, bad = [], []
    for number, line in lines[1:]:
        row = _split(path, line, separator)
        if not any(row):
            continue
        try:
            if not row[name_column]:
                raise ValueError
            labels.append(Label(int(row[id_column]), row[name_column]))
        except (ValueError, IndexError):
            bad.append(f"row {number}: {separator.join(row)[:80]!r}")
    if bad:
        raise DataError(f"expected a name and an integer id in each row of {path}, got {first_three(bad)}")
    return labels


def _header(path: Path, line: str) -> tuple[int, int, str]:
    """The places of name and id among the headings, and what separates them."""
    for separator in _SEPARATORS:
        header = _split(path, line, separator)
        name_column = next((i for i, heading in enumerate(header) if "name" in words(heading)), None)
        id_column = next((i for i, heading in enumerate(header) if "id" in words(heading)), None)
        if name_column is not None and id_column is not None and name_column != id_column:
            return name_column, id_column, separator
    raise DataError(
        f"expected a header with a 'name' and an 'id' column in {path}, separated by commas, semicolons or tabs, got "
        f"{', '.join(_split(path, line, ',')) or 'nothing'!r}"
    )


def _split(path: Path, line: str, separator: str) -> list[str]:
    try:
        return split_row(line, separator)
    except csv.Error as error:
        raise DataError(f"expected rows of comma-separated values in {path}: {error}") from error


# ---- JSON ----


def _json_rows(path: Path, text: str) -> list[Label]:
    try:
        data = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected {_JSON_FORMS} in {path}; it is not JSON that can be read: {error}") from None
    if isinstance(data, dict) and not {"id2label", "label2id"}.isdisjoint(data):
        return _one_reading(path, _from_ids(data.get("id2label")), _from_names(data.get("label2id")))
    if isinstance(data, list) and all(isinstance(name, str) and name.strip() for name in data):
        return [Label(id, name.strip()) for id, name in enumerate(data)]
    if data == {}:
        return []
    return _one_reading(path, _from_ids(data), _from_names(data))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; keys that occur twice are refused, where ``json`` would drop all but the last."""
    if repeated := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise ValueError(f"{repeated[0]!r} occurs twice in one object")
    return dict(pairs)


def _from_ids(data: Any) -> list[Label] | None:
    """The classes of {id: name}; None where it is none."""
    if not isinstance(data, dict) or not all(_is_id(id) and _is_name(name) for id, name in data.items()):
        return None
    return [Label(int(id), str(name).strip()) for id, name in data.items()]


def _from_names(data: Any) -> list[Label] | None:
    """The classes of {name: id}; None where it is none."""
    if not isinstance(data, dict) or not all(_is_name(name) and _is_id(id) for name, id in data.items()):
        return None
    return [Label(int(id), name.strip()) for name, id in data.items()]


def _is_id(value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (isinstance(value, str) and _INTEGER.fullmatch(value.strip()) is not None)


def _is_name(value: object) -> bool:
    """A text, or a number that may be one."""
    return _is_id(value) or (isinstance(value, str) and bool(value.strip()))


def _one_reading(path: Path, by_id: list[Label] | None, by_name: list[Label] | None) -> list[Label]:
    """The one reading there is, or both where they say the same. Raises DataError otherwise."""
    if by_id is None and by_name is None:
        raise DataError(f"expected {_JSON_FORMS} in {path}; ids are whole numbers, got something else")
    if by_id is None or by_name is None:
        return by_id or by_name or []
    first, second = ({(label.id, composed(label.name)) for label in labels} for labels in (by_id, by_name))
    if first != second:
        raise DataError(
            f"the labels file {path} has two readings: only as {{id: name}} {_some(first - second)}, only as {{name: id}} "
            f"{_some(second - first)}. Give a list of names, or a CSV with the columns name and id"
        )
    return by_id


def _some(labels: set[tuple[int, str]]) -> str:
    return first_three(f"class {id} is {name!r}" for id, name in sorted(labels)) or "nothing"
