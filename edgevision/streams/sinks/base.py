"""What a sink of results has to do."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from edgevision.streams.camera_state import StateChange
from edgevision.streams.model_change import ModelChange
from edgevision.streams.results import StreamResult
from edgevision.tracking.events import InventoryEvent

Item: TypeAlias = StreamResult | InventoryEvent | StateChange | ModelChange


class Sink(Protocol):
    """Where results, events, changes of state and changes of the model go. Every method is called by the thread of its runner alone.

    ``name``: for messages and metrics, without secrets. ``wants_frames``: whether results must carry their frame.
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
        """Take one item. May raise anything: the sink is closed and opened again, and nothing else stops."""

    def close(self, timeout_s: float) -> None:
        """Send what can be sent within ``timeout_s`` seconds, and give everything back."""
