"""What a sink of results has to do."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from edgevision.streams.camera_state import StateChange
from edgevision.streams.model_change import ModelChange
from edgevision.streams.results import StreamResult
from edgevision.tracking.events import InventoryEvent

Item: TypeAlias = StreamResult | InventoryEvent | StateChange | ModelChange
Kind: TypeAlias = Literal["result", "state", "model", "event"]

# The least precious first. Results are many, and the next one replaces the last; a change is told once; an event is money.
KINDS: tuple[Kind, ...] = ("result", "state", "model", "event")


def kind_of(item: Item) -> Kind:
    """What an item is."""
    if isinstance(item, StreamResult):
        return "result"
    if isinstance(item, StateChange):
        return "state"
    return "model" if isinstance(item, ModelChange) else "event"


class Sink(Protocol):
    """Where results, events, changes of state and changes of the model go. Every method is called by the thread of its runner alone.

    ``name``: for messages and metrics, without secrets. ``wants_frames``: whether results must carry their frame.

    A sink may also have: ``takes``, the kinds of items that it wants, all where it has none; ``capacity``, how many results may wait
    for it; ``observe(ledger, metrics)``, called once before ``open``; ``health()``, which gives a ``Health``: what the sink knows
    of the other side while it takes items.
    """

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def wants_frames(self) -> bool:
        """Whether it needs the pictures as well."""

    def open(self) -> None:
        """Get ready. May be called again after a failure. May raise anything: it is tried again later."""

    def write(self, item: Item) -> None:
        """Take one item. May raise anything: the sink is closed and opened again, nothing else stops, and the item is given to it once
        more. An inventory event is given to it again for as long as the program runs, where it raises OSError or SinkError. After
        ItemError the sink stays open: this item alone is lost."""

    def close(self, timeout_s: float) -> None:
        """Send what can be sent within ``timeout_s`` seconds, and give everything back."""
