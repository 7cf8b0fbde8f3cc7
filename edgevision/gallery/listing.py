"""Many products at once: a folder with one folder for each, or a CSV with a line for each photo."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgevision.errors import GalleryError, InputError
from edgevision.evaluate.data.folders import class_folders, photos_below
from edgevision.files import read_regular
from edgevision.gallery.checks import checked_name, checked_product
from edgevision.gallery.products import FieldValue, GalleryProduct

MAX_CSV_BYTES = 64 << 20
PHOTO_COLUMN, ID_COLUMN, NAME_COLUMN = "photo", "id", "name"

_NUMBERED = re.compile(r"(-?\d{1,15})[ _.-]+(\S.*)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_CODE = re.compile(r"[+-]?0\d+", re.ASCII)  # 04006381333931 is a code, whose zero would be lost


@dataclass(frozen=True)
class ListedProduct:
    """A product and its photos. ``is_new``: the gallery does not have it."""

    product: GalleryProduct
    photos: tuple[Path, ...]
    is_new: bool


@dataclass
class _Gathered:
    """What a list says of one product, as it is read."""

    id: int | None
    name: str | None
    fields: dict[str, FieldValue] = field(default_factory=dict)
    photos: list[Path] = field(default_factory=list)
    where: str = ""


def field_value(text: str) -> FieldValue:
    """What a text says: a number, true, false, nothing or text. Numbers with a leading zero stay text, for they are codes.

    >>> [field_value(text) for text in ("1.29", "true", "", "apple", "0401")]
    [1.29, True, None, 'apple', '0401']
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


def products_in_folder(folder: Path, known: Sequence[GalleryProduct]) -> list[ListedProduct]:
    """One product for each folder directly inside: its name is the folder's; a number before it, as in ``7 Royal Gala``, is the id.

    ``known``: the gallery's products; one of the same id, or without a number of the same name, gets the photos. Others without a
    number get the next free ids.
    """
    gathered = []
    for inner in class_folders(folder)[0]:
        numbered = _NUMBERED.fullmatch(inner.name)
        number, name = (int(numbered[1]), numbered[2]) if numbered else (None, inner.name)
        photos = list(photos_below(inner).photos)
        if photos:
            gathered.append(_Gathered(number, checked_name(name.replace("_", " ")), {}, photos, str(inner)))
    if not gathered:
        raise InputError(
            f"expected a folder with one folder of photos for each product, got {folder} without any; for photos of one product give "
            "--id and --name"
        )
    return _placed(gathered, known)


def products_in_csv(path: Path, known: Sequence[GalleryProduct]) -> list[ListedProduct]:
    """One photo a line, in columns that the first line names: ``photo``, its path from where the file lies; ``id``, ``name``, or both;
    all others are fields. A product's name and fields may be given on one of its lines alone.
    """
    try:
        text = read_regular(path, MAX_CSV_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; save it as CSV in UTF-8") from None
    gathered: dict[object, _Gathered] = {}
    for line, row in _rows(path, text):
        where = f"{path}, line {line}"
        number, name = _identity(where, row)
        one = gathered.setdefault(name if number is None else number, _Gathered(number, name, where=where))
        _say(one, name, row, where)
        if row.get(PHOTO_COLUMN, "").strip():
            photo = path.parent / row[PHOTO_COLUMN].strip()
            if not photo.is_file():
                raise InputError(f"{where}: there is no photo {photo}")
            one.photos.append(photo)
    if not gathered:
        raise InputError(f"{path} lists no products")
    return _placed(list(gathered.values()), known)


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
    return int(number) if number else None, checked_name(name) if name else None


def _say(one: _Gathered, name: str | None, row: Mapping[str, str], where: str) -> None:
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


def _placed(gathered: Sequence[_Gathered], known: Sequence[GalleryProduct]) -> list[ListedProduct]:
    """With an id for each, and what the gallery has already. Raises GalleryError where two want to be one."""
    by_id = {product.id: product for product in known}
    by_name: dict[str, GalleryProduct] = {}
    for product in known:
        by_name.setdefault(product.name, product)
    taken = set(by_id) | {one.id for one in gathered if one.id is not None}
    following = max(taken, default=0) + 1
    placed: dict[int, ListedProduct] = {}
    for one in gathered:
        old = by_name.get(one.name or "") if one.id is None else by_id.get(one.id)
        if old is not None:
            listed = ListedProduct(old, tuple(one.photos), is_new=False)
        elif one.name is None:
            raise GalleryError(
                f"{one.where}: the gallery has no product {one.id}, and the list gives it no name; add one"
            )
        else:
            number = following if one.id is None else one.id
            following = max(following, number + 1)
            listed = ListedProduct(
                checked_product(GalleryProduct(number, one.name, one.fields)), tuple(one.photos), is_new=True
            )
        if listed.product.id in placed:
            raise GalleryError(
                f"{one.where}: the product {listed.product.id} is listed twice, by its id and by its name; give both"
            )
        placed[listed.product.id] = listed
    return list(placed.values())
