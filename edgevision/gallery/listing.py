"""Many products at once: a folder with one folder for each, or a CSV with a line for each photo."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgevision.errors import InputError
from edgevision.evaluate.data.folders import PHOTO_SUFFIXES, class_folders, photos_below
from edgevision.files import read_regular
from edgevision.gallery.checks import checked_id, checked_name
from edgevision.gallery.products import FieldValue

MAX_CSV_BYTES = 64 << 20
PHOTO_COLUMN, ID_COLUMN, NAME_COLUMN = "photo", "id", "name"

_NUMBERED = re.compile(r"(\d+) +([^\W\d_].*)", re.DOTALL)  # "7 Royal Gala", but neither "7-Up" nor "100 % Juice"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_CODE = re.compile(r"[+-]?(0\d+|\d{16,})", re.ASCII)  # 04006381333931 would lose its zero, an SSCC its last digits


@dataclass
class ListedProduct:
    """What a list says of a product. ``id``, ``name``: None where it gives none. ``where``: in the list, for messages."""

    id: int | None
    name: str | None
    fields: dict[str, FieldValue] = field(default_factory=dict)
    photos: list[Path] = field(default_factory=list)
    where: str = ""


def field_value(text: str) -> FieldValue:
    """What a text says: a number, true, false, nothing or text. Whole numbers with a leading zero, or of more than 15 digits, stay text, for
    they are codes.

    >>> [field_value(text) for text in ("1.29", "true", "", "apple", "0401", "340123450000000018")]
    [1.29, True, None, 'apple', '0401', '340123450000000018']
    """
    word = text.strip()
    if not word:
        return None
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if not _NUMBER.fullmatch(word) or _CODE.fullmatch(word) or not math.isfinite(float(word)):
        return word
    return int(word) if re.fullmatch(r"[+-]?\d{1,15}", word) else float(word)


def photos_of(given: Iterable[Path]) -> tuple[Path, ...]:
    """Photos, and those in folders, each once. Raises InputError for what is not there, and where there is none."""
    found: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            found.update(dict.fromkeys(photos_below(path).photos))
        elif path.exists():
            found[path] = None
        else:
            raise InputError(f"there is no photo or folder {path}")
    if not found:
        raise InputError("there are no photos in what was given")
    return tuple(found)


def products_in_folder(folder: Path) -> list[ListedProduct]:
    """One product for each folder directly inside: its name is the folder's. A number and a space before a name that begins with a letter,
    as in ``7 Royal Gala``, is the id. Raises InputError where there is none, and for a folder that is called by a number alone."""
    listed = []
    for inner in class_folders(folder)[0]:
        photos = list(photos_below(inner).photos)
        if not photos:
            continue
        word = inner.name.strip(" _.-")
        if word.isdigit():
            raise InputError(
                f"{inner}: a number alone may be an id or a name; call the folder by both, such as '{word} Royal Gala'"
            )
        numbered = _NUMBERED.fullmatch(inner.name)
        number, name = (checked_id(int(numbered[1])), numbered[2]) if numbered else (None, inner.name)
        listed.append(ListedProduct(number, checked_name(name.replace("_", " ")), {}, photos, str(inner)))
    if not listed:
        raise InputError(
            f"expected a folder with one folder of photos for each product, got {folder} without any; for photos of one product give "
            "--id and --name"
        )
    return listed


def products_in_csv(path: Path) -> list[ListedProduct]:
    """One photo a line, in columns that the first line names: ``photo``, its path from where the file lies; ``id``, ``name``, or both;
    all others are fields. A product's name and fields may be given on one of its lines alone.
    """
    if path.suffix.lower() in PHOTO_SUFFIXES:
        raise InputError(
            f"{path} is a photo, and of which product is not said; give --name, and --id for a number of yours"
        )
    try:
        text = read_regular(path, MAX_CSV_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; save it as CSV in UTF-8") from None
    listed: dict[object, ListedProduct] = {}
    for line, row in _rows(path, text):
        where = f"{path}, line {line}"
        number, name = _identity(where, row)
        one = listed.setdefault(name if number is None else number, ListedProduct(number, name, where=where))
        _say(one, name, row, where)
        if row.get(PHOTO_COLUMN, "").strip():
            photo = path.parent / row[PHOTO_COLUMN].strip()
            if not photo.is_file():
                raise InputError(f"{where}: there is no photo {photo}")
            one.photos.append(photo)
    if not listed:
        raise InputError(f"{path} lists no products")
    return list(listed.values())


def _rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        columns = [name.strip() for name in next(reader, [])]
        if PHOTO_COLUMN not in columns or not {ID_COLUMN, NAME_COLUMN} & set(columns):
            raise InputError(
                f"the first line of {path} names the columns: photo, id or name or both, and fields; got {columns[:10]}"
            )
        if len(set(columns)) != len(columns):
            raise InputError(f"{path} has two columns of the same name; give each a name of its own")
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(columns):
                    raise InputError(
                        f"{path}, line {reader.line_num}: expected {len(columns)} columns, got {len(cells)}"
                    )
                yield reader.line_num, dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _identity(where: str, row: Mapping[str, str]) -> tuple[int | None, str | None]:
    number, name = row.get(ID_COLUMN, "").strip(), row.get(NAME_COLUMN, "").strip()
    if number and not re.fullmatch(r"-?\d{1,16}", number, re.ASCII):
        raise InputError(f"{where}: a product's id is a whole number, got {number!r:.60}")
    if not number and not name:
        raise InputError(f"{where}: a product has an id, a name, or both")
    return checked_id(int(number)) if number else None, checked_name(name) if name else None


def _say(one: ListedProduct, name: str | None, row: Mapping[str, str], where: str) -> None:
    """Add what a line says; raise InputError where it is not what an earlier one said."""
    if name is not None and one.name not in (None, name):
        raise InputError(f"{where}: the product {one.id} is called {one.name!r} before, and {name!r} here")
    one.name = one.name or name
    for column, text in row.items():
        if column in (PHOTO_COLUMN, ID_COLUMN, NAME_COLUMN) or not text.strip():
            continue
        value = field_value(text)
        if one.fields.get(column, value) != value:
            raise InputError(
                f"{where}: {column} is {one.fields[column]!r} before, and {value!r} here; a product has one"
            )
        one.fields[column] = value
