"""Logs of what was bought: the kiosk's receipts as JSON lines, or a CSV file."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from edgevision.errors import InputError
from edgevision.recommend.baskets import Baskets

MOST_ITEMS = 10_000
MAX_LINE = 1 << 20  # characters
_COLUMNS = ("basket", "product", "time", "shopper")


@dataclass(frozen=True)
class LoggedBasket:
    """One purchase. ``products``: ids, each once. ``time_s``: seconds since 1970; ``shopper``: what tells shoppers apart. Both None
    where the log does not say."""

    products: tuple[int, ...]
    time_s: float | None = None
    shopper: str | None = None


def read_log(path: str | Path) -> Iterator[LoggedBasket]:
    """The baskets of a log, in its order. Raises InputError, which names the line.

    JSON lines (``.jsonl``, ``.ndjson``, ``.json``): one receipt each, as ``POST /v1/receipts`` takes it and a webhook gets it:
    ``{"items": [{"id": 3, "quantity": 1}], "at": "2026-11-28T15:30:00+01:00"}``; ``"shopper"`` may be added, and items may be bare ids. A receipt
    that comes again with the same ``id`` counts once. CSV: a header, then a line for each product of each basket; columns ``basket``
    and ``product``, and where they are known ``time`` (ISO 8601, or seconds since 1970) and ``shopper``.
    """
    path = Path(path)
    read = _read_csv if path.suffix.lower() in {".csv", ".tsv", ".txt"} else _read_receipts
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
            raise OSError(errno.EINVAL, "it is not a regular file")
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from read(file, path)
    except OSError as error:
        raise InputError(f"cannot read the log {path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise InputError(f"the log {path} is not in UTF-8; save it so") from None


def count_log(log: Iterable[LoggedBasket], baskets: Baskets) -> Baskets:
    """Add all baskets of a log to ``baskets``, and return these."""
    for one in log:
        baskets.add(one.products, shopper=one.shopper)
    return baskets


# ---- JSON lines ----


def _read_receipts(file: TextIO, path: Path) -> Iterator[LoggedBasket]:
    seen: set[str] = set()
    for number, line in _lines(file, path):
        where = f"{path}, line {number}"
        try:
            given = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{where}: expected a JSON object, such as a receipt") from None
        if not isinstance(given, dict) or not isinstance(given.get("items"), list):
            raise InputError(f'{where}: expected a receipt with its "items"')
        id = given.get("id")
        if isinstance(id, str):
            if id in seen:
                continue
            seen.add(id)
        products = tuple(dict.fromkeys(_item(one, where) for one in given["items"]))
        yield LoggedBasket(_bounded(products, where), _time(given.get("at"), where), _shopper(given.get("shopper")))


def _lines(file: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers; none is read beyond what is allowed."""
    for number in itertools.count(1):
        line = file.readline(MAX_LINE + 1)
        if not line:
            return
        if len(line) > MAX_LINE:
            raise InputError(f"{path}, line {number}: longer than {MAX_LINE} characters; expected one receipt a line")
        if line.strip():
            yield number, line


def _item(given: Any, where: str) -> int:
    id = given.get("id") if isinstance(given, dict) else given
    if isinstance(id, bool) or not isinstance(id, int):
        raise InputError(f"{where}: a product's id is a whole number, got {str(id)[:40]!r}")
    return id


# ---- CSV ----


def _read_csv(file: TextIO, path: Path) -> Iterator[LoggedBasket]:
    """Lines of one basket need not follow one another: baskets come in the order of their first lines."""
    header = file.readline(MAX_LINE)
    delimiter = max(",;\t", key=header.count)
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    if "basket" not in names or "product" not in names:
        raise InputError(f"{path}: the first line names the columns: basket, product, and where known time and shopper")
    places = {name: names.index(name) for name in _COLUMNS if name in names}
    found: dict[str, tuple[dict[int, None], float | None, str | None]] = {}
    for number, line in _lines(file, path):
        where = f"{path}, line {number + 1}"
        cells = next(csv.reader([line], delimiter=delimiter), [])
        if len(cells) < len(names):
            raise InputError(f"{where}: expected {len(names)} columns, got {len(cells)}")
        row = {name: cells[place].strip() for name, place in places.items()}
        basket = found.get(row["basket"])
        if basket is None:
            basket = found[row["basket"]] = ({}, _csv_time(row, where), row.get("shopper") or None)
        basket[0][_whole(row["product"], where)] = None
    for products, time_s, shopper in found.values():
        yield LoggedBasket(_bounded(tuple(products), str(path)), time_s, shopper)


def _csv_time(row: Mapping[str, str], where: str) -> float | None:
    text = row.get("time", "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return _time(text, where)


def _whole(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{where}: a product's id is a whole number, got {text[:40]!r}") from None


# ---- both ----


def _bounded(products: tuple[int, ...], where: str) -> tuple[int, ...]:
    if len(products) > MOST_ITEMS:
        raise InputError(f"{where}: a basket has at most {MOST_ITEMS} products, got {len(products)}")
    return products


def _shopper(given: Any) -> str | None:
    return None if given is None else str(given)


def _time(given: Any, where: str) -> float | None:
    if given is None:
        return None
    try:
        return datetime.fromisoformat(given.replace("Z", "+00:00")).timestamp()
    except (ValueError, AttributeError, TypeError, OverflowError, OSError):
        raise InputError(f'{where}: a time is such as "2026-11-28T15:30:00+01:00", got {str(given)[:40]!r}') from None
