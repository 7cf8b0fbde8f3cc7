"""Events wait for whoever reads them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edgevision.kiosk.events import Unblocked
from edgevision.kiosk.station.event_queue import KEPT, EventQueue
from edgevision.streams.awaiting import next_of
from edgevision.streams.outlet import Ended


def event(at_s: float) -> Unblocked:
    return Unblocked("till", at_s)


def test_what_waits_comes_in_order_and_then_the_end():
    queue = EventQueue()
    for at_s in (1.0, 2.0):
        queue.put(event(at_s))
    queue.end()
    assert [queue.get().at_s, queue.get().at_s] == [1.0, 2.0]
    with pytest.raises(Ended):
        queue.get()


def test_nobody_reading_does_not_fill_the_memory():
    queue = EventQueue()
    for number in range(KEPT + 5):
        queue.put(event(number))
    assert queue.lost == 5
    assert [one.at_s for one in queue.all()] == list(range(5, KEPT + 5))
    assert queue.all() == []


def test_a_reader_that_waits_is_woken():
    queue, got = EventQueue(), []
    reader = threading.Thread(target=lambda: got.append(queue.get()))
    reader.start()
    queue.put(event(3.0))
    reader.join(10)
    assert [one.at_s for one in got] == [3.0]


def test_async_readers_wait_and_may_be_cancelled():
    async def main() -> list[float]:
        queue = EventQueue()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(next_of(queue), 0.01)
        assert queue._tell == []  # nothing is left behind
        threading.Timer(0.05, lambda: queue.put(event(1.0))).start()
        first = await asyncio.wait_for(next_of(queue), 10)
        threading.Timer(0.05, queue.end).start()
        with pytest.raises(Ended):
            await asyncio.wait_for(next_of(queue), 10)
        return [first.at_s]

    assert asyncio.run(main()) == [1.0]
