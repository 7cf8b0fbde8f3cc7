"""Items handed to a function of the app."""

from __future__ import annotations

from collections.abc import Callable

from edgevision.streams.sinks.base import Item


class CallbackSink:
    """Calls ``function`` with each item, in the runner's thread. What it raises is counted, and stops nothing else: it is called again
    with the same item after a pause, once; with an inventory event until it takes it, where it raises OSError or SinkError. After
    ItemError it goes on with the next item at once.

    ``frames``: whether results have to carry their frames.

    >>> sink = CallbackSink(print, name="till app")
    """

    def __init__(self, function: Callable[[Item], object], *, name: str = "callback", frames: bool = False) -> None:
        self.name = name
        self.wants_frames = frames
        self._function = function

    def open(self) -> None:
        """Nothing to do."""

    def write(self, item: Item) -> None:
        """Call the function."""
        self._function(item)

    def close(self, timeout_s: float) -> None:
        """Nothing to do."""
