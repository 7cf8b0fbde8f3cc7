"""The shop's price list, a CSV file: what each product costs, by its id or its name."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from edgevision.errors import EdgeVisionError, InputError
from edgevision.evaluate.data.names import composed
from edgevision.evaluate.data.text import read_text, split_row
from edgevision.kiosk.service.money import currency, written_amount
from edgevision.tasks.results import Label

MOST_ROWS = 200_000
_SEPARATORS = (";", "\t", ",")  # a comma may stand in a price, so that it is the last to be thought of
_COLUMNS = ("id", "name", "price", "currency")
_MOST_SHOWN = 10  # bad rows that a message lists
_FORM = "expected a price list: a CSV with the columns price, currency, and id or name"
_Key = TypeVar("_Key", int, str)


@dataclass(frozen=True)
class PriceList:
    """Prices by id and by name, in one currency. ``currency``: None where there is no price at all."""

    by_id: Mapping[int, Decimal] = field(default_factory=dict)
    by_name: Mapping[str, Decimal] = field(default_factory=dict)
    currency: str | None = None

    def price_of(self, label: Label) -> Decimal | None:
        """What a product costs; None where the list does not say. The id counts before the name."""
        found = self.by_id.get(label.id)
        return self.by_name.get(composed(label.name)) if found is None else found


@dataclass(frozen=True)
class PriceChange:
    """What a price list said before it changed, of the ids and names whose price changed alone; None: it had no price."""

    by_id: Mapping[int, Decimal | None]
    by_name: Mapping[str, Decimal | None]

    @classmethod
    def between(cls, old: PriceList, new: PriceList) -> PriceChange:
        """What leads from ``new`` back to ``old``."""
        return cls(_changed(old.by_id, new.by_id), _changed(old.by_name, new.by_name))


def prices_before(label: Label, now: PriceList, changes: Iterable[PriceChange]) -> Iterator[Decimal | None]:
    """What a product cost before each of the changes, the newest first; None where the list did not say.

    >>> pear, old, new = Label(7, "pear"), PriceList({7: Decimal(1)}), PriceList({7: Decimal(2)})
    >>> list(prices_before(pear, new, [PriceChange.between(old, new)]))
    [Decimal('1')]
    """
    name = composed(label.name)
    by_id, by_name = now.by_id.get(label.id), now.by_name.get(name)
    for change in changes:
        by_id, by_name = change.by_id.get(label.id, by_id), change.by_name.get(name, by_name)
        yield by_name if by_id is None else by_id


def _changed(old: Mapping[_Key, Decimal], new: Mapping[_Key, Decimal]) -> dict[_Key, Decimal | None]:
    return {key: old.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


@dataclass(frozen=True)
class _Row:
    id: int | None
    name: str
    price: Decimal
    currency: str


def read_price_list(path: Path) -> PriceList:
    """The price list in a file, in UTF-8 (or UTF-16 with a byte-order mark), its cells separated by semicolons, tabs or commas.

    The first row names the columns: ``price``, ``currency``, and ``id`` or ``name`` or both; others are passed over. A row with an
    empty price is passed over too. A product that the model does not know does no harm: a shop has more of them.

    Raises InputError, which names every bad row by its line (the first ten in full).

    >>> read_price_list(Path("prices.csv")).by_name["pear"]  # doctest: +SKIP
    Decimal('0.45')
    """
    lines = read_text(path, "a price list").split("\n")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise InputError(f"{_FORM}; {path} is empty")
    if len(numbered) > MOST_ROWS:
        raise InputError(f"{_FORM}, of at most {MOST_ROWS} rows; {path} has {len(numbered)}")
    separator, width, columns = _header(path, numbered[0][1])
    rows: dict[int, _Row] = {}
    bad: list[tuple[int, str]] = []
    for number, line in numbered[1:]:
        try:
            row = _row(line, separator, width, columns)
        except (EdgeVisionError, csv.Error) as error:
            bad.append((number, str(error)))
        else:
            if row is not None:
                rows[number] = row
    bad += _contradictions(rows)
    if bad:
        raise InputError(f"{len(bad)} rows of the price list {path} cannot be used: {_listed(sorted(bad))}")
    return PriceList(
        {row.id: row.price for row in rows.values() if row.id is not None},
        {row.name: row.price for row in rows.values() if row.name},
        next((row.currency for row in rows.values()), None),
    )


def _header(path: Path, line: str) -> tuple[str, int, Mapping[str, int]]:
    """The separator, how many columns there are, and where each known one stands."""
    for separator in _SEPARATORS:
        try:
            headings = [cell.strip().lower() for cell in split_row(line, separator)]
        except csv.Error:
            continue
        columns = {name: headings.index(name) for name in _COLUMNS if name in headings}
        twice = [name for name in _COLUMNS if headings.count(name) > 1]
        if twice:
            raise InputError(f"{_FORM}; the first line of {path} has {twice[0]!r} twice")
        if {"price", "currency"} <= set(columns) and columns.keys() & {"id", "name"}:
            return separator, len(headings), columns
    raise InputError(f"{_FORM}; the first line of {path} is {line[:80]!r}")


def _row(line: str, separator: str, width: int, columns: Mapping[str, int]) -> _Row | None:
    """One row; None where it has no price. ``width``: how many cells the first line has."""
    cells = split_row(line, separator)
    needed = max(columns.values()) + 1
    if len(cells) < needed:
        raise InputError(f"expected at least {needed} cells, got {len(cells)}")
    if any(cells[width:]):
        hint = (
            " (a price with a comma stands in double quotes, or semicolons separate the cells)"
            if separator == ","
            else ""
        )
        raise InputError(f"expected {width} cells, as in the first line, got {len(cells)}{hint}")
    given = {name: cells[place] for name, place in columns.items()}
    name, number = composed(given.get("name", "")), given.get("id", "")
    if not given["price"]:
        return None
    if not name and not number:
        raise InputError("it has neither an id nor a name")
    code = currency(given["currency"])
    return _Row(_id(number), name, written_amount(given["price"], code), code)


def _id(text: str) -> int | None:
    if not text:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise InputError(f"an id is a whole number, got {text[:40]!r}")
    return int(text)


def _contradictions(rows: Mapping[int, _Row]) -> list[tuple[int, str]]:
    """Rows that say again, or otherwise, what an earlier one said."""
    bad: list[tuple[int, str]] = []
    first_of: dict[object, int] = {}
    first = next(iter(rows.items()), None)
    for number, row in rows.items():
        keys: list[tuple[str, object]] = [] if row.id is None else [("id", row.id)]
        keys += [("name", row.name)] if row.name else []
        for key in keys:
            earlier = first_of.setdefault(key, number)
            if earlier != number:
                bad.append((number, f"{key[0]} {key[1]!r} stands in line {earlier} already"))
                break
        if first is not None and row.currency != first[1].currency:
            bad.append(
                (number, f"{row.currency}, where line {first[0]} has {first[1].currency}: a basket has one currency")
            )
    return bad


def _listed(bad: Sequence[tuple[int, str]]) -> str:
    shown = "; ".join(f"line {number}: {why}" for number, why in bad[:_MOST_SHOWN])
    if len(bad) <= _MOST_SHOWN:
        return shown
    return f"{shown}; and lines {', '.join(str(number) for number, _ in bad[_MOST_SHOWN:])}"
