"""Results to several sinks, with the inventory events that they add up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgevision.errors import InputError
from edgevision.streams.inventory.counting import InventoryCounter
from edgevision.streams.ledger import Ledger
from edgevision.streams.metrics import Metrics
from edgevision.streams.results import StreamResult
from edgevision.streams.sink_status import Health, SinkCounts, SinkStatus
from edgevision.streams.sinks.base import Item, Sink
from edgevision.streams.sinks.runner import SinkRunner, close_all, statuses_of


class Distributor:
    """A sink that hands every item on to other sinks, each with a queue and a thread of its own.

    ``counter``: follows the products in the results; its events go to the sinks after the result they come from, and when the
    stream ends. Where it fails, the results reach the sinks all the same: ``fault`` says why. ``watch``: is called with each item, in
    this sink's thread; it has to be quick.
    """

    name = "distributor"
    capacity = 1000  # it hands on at once: what waits here waits for the tracker alone

    def __init__(
        self, sinks: Sequence[Sink], counter: InventoryCounter | None = None, *,
        watch: Callable[[Item], object] | None = None,
    ) -> None:  # fmt: skip
        self.runners = tuple(SinkRunner(sink) for sink in sinks)
        self.fault = ""
        self.wants_frames = any(sink.wants_frames for sink in sinks)
        self._sinks = tuple(sinks)
        self._counter = counter
        self._next_counter = counter
        self._watch = watch
        self._started = False

    @property
    def counts(self) -> dict[str, SinkCounts]:
        """Sink → what became of its items."""
        return {runner.sink.name: runner.counts for runner in self.runners}

    def statuses(self) -> tuple[SinkStatus, ...]:
        """How each sink is."""
        return statuses_of(self.runners)

    def health(self) -> Health:
        """Whether products can be counted."""
        return Health(f"counting failed: {self.fault}" if self.fault else "")

    def count_with(self, counter: InventoryCounter | None) -> None:
        """Other lines and zones from the next item on; cameras that keep theirs are counted without a break. May be called by any thread."""
        self._next_counter = counter

    def observe(self, ledger: Ledger, metrics: Metrics) -> None:
        """Show the stream to the sinks that want to see it."""
        for sink in self._sinks:
            observe = getattr(sink, "observe", None)
            if observe is not None:
                observe(ledger, metrics)

    def open(self) -> None:
        """Start every sink, the first time."""
        if not self._started:
            self._started = True
            for runner in self.runners:
                runner.start()

    def write(self, item: Item) -> None:
        """Hand it on, and what follows from it. Never raises: the runner would close every sink."""
        self._take_up_counter(self._next_counter)
        self._hand_on(item)
        if isinstance(item, StreamResult) and self._counter is not None:
            try:
                events = self._counter.update(item)
            except InputError as error:
                self.fault = str(error)
                return
            for event in events:
                self._hand_on(event)

    def close(self, timeout_s: float) -> None:
        """What is inside zones leaves them; then every sink is closed, all within ``timeout_s`` seconds."""
        self._end_counting()
        close_all(self.runners, timeout_s)

    def _take_up_counter(self, counter: InventoryCounter | None) -> None:
        if counter is self._counter:
            return
        before, self._counter = self._counter, counter
        if before is None:
            return
        for event in before.end_all() if counter is None else counter.take_over(before):
            self._hand_on(event)

    def _end_counting(self) -> None:
        if self._counter is not None:
            for event in self._counter.end_all():
                self._hand_on(event)

    def _hand_on(self, item: Item) -> None:
        if self._watch is not None:
            self._watch(item)
        bare = replace(item, frame=None) if isinstance(item, StreamResult) and item.frame is not None else item
        for runner in self.runners:  # frames are large: they wait in the queues of those alone who draw on them
            runner.put(item if runner.sink.wants_frames else bare)
