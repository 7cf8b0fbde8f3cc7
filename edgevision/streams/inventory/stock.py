"""What inventory events add up to: the stock of each place, now or at any time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from edgevision.errors import InputError
from edgevision.streams.inventory.database import COLUMNS, TABLE, open_database
from edgevision.tracking.events import InventoryEvent

_STOCK = f"""
SELECT camera, place, product,
       SUM(CASE WHEN delta > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN delta < 0 THEN 1 ELSE 0 END), MAX(time_s)
FROM {TABLE} WHERE {{where}}
GROUP BY camera, place, product ORDER BY camera, place, product
"""
_EVENTS = f"SELECT {', '.join(COLUMNS)} FROM {TABLE} WHERE {{where}} ORDER BY time_s, event_id"


@dataclass(frozen=True)
class StockRow:
    """One product at one place. ``plus`` and ``minus``: events of each direction; ``last_s``: camera time of the last of them."""

    camera: str
    place: str
    product: str
    plus: int
    minus: int
    last_s: float

    @property
    def net(self) -> int:
        """What there is more than at the beginning: what is in a zone, or what crossed a line to the right and did not come back."""
        return self.plus - self.minus

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "net": self.net}


class Inventory:
    """Inventory events in a database: SQLite for a path, any other by URL. Each event counts once, however often it is added.

    Thread-safe as far as the database is; a context manager. Raises InputError for what is no inventory, SinkError where the database
    cannot be used.

    >>> with Inventory("stock.db") as inventory:  # doctest: +SKIP
    ...     inventory.add([event])
    ...     [(row.place, row.product, row.net) for row in inventory.stock()]
    """

    def __init__(self, place: str | Path, *, write: bool = True) -> None:
        self._database = open_database(place, write=write)

    def add(self, events: Iterable[InventoryEvent]) -> int:
        """Add events, all or none. How many were new."""
        return self._database.insert([event.to_dict() for event in events])

    def stock(
        self,
        at_s: float | None = None,
        *,
        camera: str | None = None,
        place: str | None = None,
        product: str | None = None,
    ) -> list[StockRow]:
        """The stock as of ``at_s`` (seconds since 1970, camera time; None: now), by camera, place and product."""
        where, parameters = _conditions(until_s=at_s, camera=camera, place=place, product=product)
        rows = self._database.query(_STOCK.format(where=where), parameters)
        return [
            StockRow(one, at, what, int(plus), int(minus), float(last)) for one, at, what, plus, minus, last in rows
        ]

    def events(
        self,
        *,
        after_s: float | None = None,
        until_s: float | None = None,
        camera: str | None = None,
        place: str | None = None,
        product: str | None = None,
    ) -> Iterator[InventoryEvent]:
        """Events later than ``after_s`` and up to ``until_s``, in the order of their time."""
        where, parameters = _conditions(after_s, until_s, camera, place, product)
        for row in self._database.query(_EVENTS.format(where=where), parameters):
            yield InventoryEvent.from_dict(dict(zip(COLUMNS, row, strict=True)))

    def close(self) -> None:
        """Give the database back. Closing twice is allowed."""
        self._database.close()

    def __enter__(self) -> Inventory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _conditions(
    after_s: float | None = None,
    until_s: float | None = None,
    camera: str | None = None,
    place: str | None = None,
    product: str | None = None,
) -> tuple[str, dict[str, Any]]:
    """The condition in SQL, and its parameters."""
    for name, value in (("after_s", after_s), ("until_s", until_s)):
        if value is not None and not math.isfinite(value):
            raise InputError(f"{name} is a finite number of seconds since 1970, got {value}")
    wanted = {
        "time_s > :after_s": after_s, "time_s <= :until_s": until_s, "camera = :camera": camera, "place = :place": place,
        "product = :product": product,
    }  # fmt: skip
    given = {condition: value for condition, value in wanted.items() if value is not None}
    parameters = {condition.partition(":")[2]: value for condition, value in given.items()}
    return " AND ".join(given) or "1 = 1", parameters
