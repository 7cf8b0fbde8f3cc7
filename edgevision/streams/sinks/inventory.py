"""Inventory events into a database, as a stream's sink."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from edgevision.streams.inventory.counting import closing_events
from edgevision.streams.inventory.stock import Inventory
from edgevision.streams.sinks.base import Item, Kind
from edgevision.tracking.events import InventoryEvent


class InventorySink:
    """Adds inventory events to a database; it takes nothing else.

    ``place``: a path for SQLite, or a URL for SQLAlchemy. ``name``: shown to people, for a URL may hold a password.
    ``zones``: (camera, zone) of zones that are counted anew: what an earlier run, which was killed, left in them leaves them when the
    database is opened for the first time.
    """

    wants_frames = False
    takes: tuple[Kind, ...] = ("event",)

    def __init__(self, place: str | Path, *, name: str) -> None:
        self.name = name
        self.zones: Sequence[tuple[str, str]] = ()
        self._place = place
        self._inventory: Inventory | None = None

    def open(self) -> None:
        """Open the database, and make its table where there is none."""
        self._inventory = Inventory(self._place)
        for camera, zone in self.zones:
            self._inventory.add(closing_events(self._inventory.stock(camera=camera, place=zone), time.time()))
        self.zones = ()

    def write(self, item: Item) -> None:
        """Add it, if it is an event that is not there yet."""
        if isinstance(item, InventoryEvent):
            assert self._inventory is not None  # the runner opens first
            self._inventory.add([item])

    def close(self, timeout_s: float) -> None:
        """Close the database."""
        inventory, self._inventory = self._inventory, None
        if inventory is not None:
            inventory.close()
