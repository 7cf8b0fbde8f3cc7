"""Runners of sinks: nothing that a sink does reaches who puts items in, and each item is accounted for."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from stream_items import change, event, result, threads_named, wait_until

from edgevision.errors import InputError, ItemError, SinkError
from edgevision.streams.backoff import Pace
from edgevision.streams.sink_status import Health, SinkCounts, SpoolStatus
from edgevision.streams.sinks.base import Item
from edgevision.streams.sinks.callback import CallbackSink
from edgevision.streams.sinks.inventory import InventorySink
from edgevision.streams.sinks.runner import SinkRunner, close_all

QUICK = Pace(0.001, 0.002)


class Scripted:
    """``raises``: what the next calls of a method raise, None for none. ``gate``: writing waits for it."""

    name = "scripted"

    def __init__(self, *, wants_frames: bool = False, **raises: list[Exception | None]) -> None:
        self.wants_frames = wants_frames
        self.raises = raises
        self.calls: list[str] = []
        self.written: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def open(self) -> None:
        self._call("open")

    def write(self, item: Item) -> None:
        self.gate.wait()
        self._call("write")
        self.written.append(item.sequence)  # type: ignore[union-attr]

    def close(self, timeout_s: float) -> None:
        self._call("close")

    def _call(self, method: str) -> None:
        self.calls.append(method)
        planned = self.raises.get(method)
        if planned and (error := planned.pop(0)) is not None:
            raise error


def run(sink: Any, count: int, **options: Any) -> SinkRunner:
    runner = SinkRunner(sink, pace=QUICK, **options)
    runner.start()
    for number in range(count):
        runner.put(result(number))
    return runner


def balanced(counts: SinkCounts) -> bool:
    return counts.put == (
        counts.written + counts.overflow + counts.failed + counts.unwritten + counts.waiting
    )  # fmt: skip


def test_everything_is_written_in_order_and_the_sink_is_closed():
    sink = Scripted()
    runner = run(sink, 50)
    assert runner.close(10.0)
    assert sink.written == list(range(50))
    assert sink.calls[0] == "open"
    assert sink.calls[-1] == "close"
    assert runner.counts == SinkCounts(put=50, written=50)
    assert not threads_named("scripted")


def test_a_sink_is_opened_before_the_first_item():
    sink = Scripted()
    runner = run(sink, 0)
    wait_until(lambda: sink.calls == ["open"])
    assert runner.close(10.0)


def test_a_slow_sink_loses_the_oldest_and_nobody_waits_for_it():
    sink = Scripted()
    sink.gate.clear()
    runner = run(sink, 1, capacity=3)
    wait_until(lambda: runner.counts.waiting == 1 and not runner._queue)
    for number in range(1, 11):
        runner.put(result(number))  # comes back although the sink hangs
    assert runner.counts == SinkCounts(put=11, overflow=7, waiting=4)
    sink.gate.set()
    assert runner.close(10.0)
    assert sink.written == [0, 8, 9, 10]
    assert runner.counts == SinkCounts(put=11, written=4, overflow=7)


def test_results_push_out_no_event_and_no_change_of_state():
    """A sink that hangs while a shop goes on: events are money."""
    sink = Scripted()
    seen: list[Item] = []
    sink.write = lambda item: (sink.gate.wait(), seen.append(item))  # type: ignore[method-assign,assignment]
    sink.gate.clear()
    runner = SinkRunner(sink, capacity=10)
    runner.start()
    precious = [item for number in range(20) for item in (event(number), change())]
    for number, item in enumerate(precious):
        runner.put(item)
        for place in range(50):
            runner.put(result(50 * number + place))
    sink.gate.set()
    assert runner.close(10.0)
    assert [one for one in seen if one in precious] == precious
    newest = [one.sequence for one in seen if one not in precious][-10:]  # type: ignore[union-attr]
    assert newest == list(range(1990, 2000))
    lost = runner.counts.overflow
    assert runner.status.lost == {"result": lost}
    assert lost == 2000 - (len(seen) - len(precious))


@pytest.mark.parametrize(("kind", "made"), [("event", event), ("state", lambda number: change(camera=str(number)))])
def test_even_what_is_precious_is_bounded_and_its_loss_is_counted(monkeypatch, kind, made):
    monkeypatch.setattr("edgevision.streams.sinks.lanes.EVENTS", 5)
    monkeypatch.setattr("edgevision.streams.sinks.lanes.STATES", 5)
    runner = SinkRunner(Scripted())
    for number in range(8):
        runner.put(made(number))
    assert runner.counts == SinkCounts(put=8, overflow=3, waiting=5)
    assert runner.status.lost == {kind: 3}
    assert runner._queue.take() == made(3)


def test_the_inventory_is_given_events_alone(tmp_path):
    """Results that wait for a database that hangs would be no loss, and must not count as one."""
    runner = SinkRunner(InventorySink(tmp_path / "s.db", name="stock"))
    for item in (result(0), change(), event(1)):
        runner.put(item)
    assert runner.counts == SinkCounts(put=1, waiting=1)


def test_an_item_that_a_sink_cannot_take_is_lost_alone():
    """The sink stays open: what is wrong is the item."""
    sink = Scripted(write=[None, ItemError("no JSON"), None])
    runner = run(sink, 3)
    wait_until(lambda: runner.counts.waiting == 0)
    assert (runner.fault, runner.status.bad_item, runner.status.up) == ("", "no JSON", True)
    assert runner.close(10.0)
    assert sink.written == [0, 2]
    assert sink.calls == ["open", "write", "write", "write", "close"]
    assert runner.counts == SinkCounts(put=3, written=2, failed=1)


def test_who_is_asked_to_end_while_it_waits_tries_once_more():
    """The other side may be back since the last try, half a minute ago."""
    sink = Scripted(open=[OSError("down")])
    runner = SinkRunner(sink, pace=Pace(60.0, 60.0))
    runner.start()
    for number in range(3):
        runner.put(result(number))
    wait_until(lambda: runner.fault != "")
    assert runner.close(30.0)
    assert sink.written == [0, 1, 2]
    assert runner.counts == SinkCounts(put=3, written=3)


def test_all_are_closed_at_the_same_time():
    """Each waits until all are being closed: one after the other, none would end."""
    together = threading.Barrier(3)
    sinks = [Scripted() for _ in range(3)]
    for sink in sinks:
        sink.close = lambda timeout_s: together.wait(20.0)  # type: ignore[method-assign,assignment]
    runners = [run(sink, 2) for sink in sinks]
    assert close_all(runners, 20.0) == [True] * 3
    assert not together.broken
    assert [sink.written for sink in sinks] == [[0, 1]] * 3


def test_a_sink_says_how_the_other_side_is():
    sink = Scripted()
    spool = SpoolStatus(waiting=3, waiting_bytes=600, delivered=9, late=2, dropped={("size", "result"): 7})
    sink.health = lambda: Health("nobody answers", spool)  # type: ignore[attr-defined]
    status = SinkRunner(sink).status
    assert not status.up
    assert status.to_dict() == {
        "sink": "scripted", "up": False, "fault": "nobody answers", "counts": SinkCounts().to_dict(), "lost": {}, "bad_item": "",
        "spool": {"waiting": 3, "waiting_bytes": 600, "delivered": 9, "late": 2, "dropped": {"size": {"result": 7}}, "set_aside": ""},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raises", "written", "failed", "opened"),
    [
        ({"open": [OSError("no disk"), None]}, [0, 1, 2], 0, 2),
        ({"write": [None, ValueError("once"), None]}, [0, 1, 2], 0, 2),  # tried again after opening anew
        ({"write": [None, ValueError("bad"), ValueError("bad"), None]}, [0, 2], 1, 3),
        ({"write": [ZeroDivisionError()] * 4}, [2], 2, 5),
        ({"write": [OSError("x")], "close": [RuntimeError("broken"), None]}, [0, 1, 2], 0, 2),
    ],
)
def test_a_sink_that_raises_is_opened_again(raises, written, failed, opened):
    sink = Scripted(**raises)
    runner = run(sink, 3)
    wait_until(lambda: runner.counts.waiting == 0)
    assert runner.close(10.0)
    assert sink.written == written
    assert runner.counts == SinkCounts(put=3, written=len(written), failed=failed)
    assert sink.calls.count("open") == opened


@pytest.mark.parametrize(
    ("made", "error", "is_written"),
    [
        (event, SinkError("the database is locked"), True),
        (event, OSError("no space left on device"), True),
        (event, ValueError("nobody knows why"), False),
        (event, ItemError("too long"), False),
        (result, OSError("no space left on device"), False),
    ],
)
def test_an_event_waits_until_the_disk_or_the_database_takes_it(made, error, is_written):
    sink = Scripted(write=[error] * 5)
    seen: list[Item] = []
    sink.write = lambda item: (sink._call("write"), seen.append(item))  # type: ignore[method-assign,assignment]
    runner = SinkRunner(sink, pace=QUICK)
    runner.start()
    items = [made(number) for number in range(6)]
    for item in items:
        runner.put(item)
    wait_until(lambda: runner.counts.waiting == 0)
    assert runner.close(10.0)
    assert (seen == items) is is_written
    assert (runner.counts.failed == 0) is is_written


def test_an_event_that_is_never_taken_does_not_keep_the_sink_from_closing():
    runner = SinkRunner(Scripted(write=[OSError("full")] * 10_000), pace=QUICK)
    runner.start()
    runner.put(event())
    wait_until(lambda: runner.fault != "")
    assert runner.close(10.0)
    assert runner.counts == SinkCounts(put=1, unwritten=1)


def test_the_fault_is_told_and_goes_away():
    sink = Scripted(open=[OSError("no disk")] * 3)
    runner = SinkRunner(sink, pace=Pace(0.05, 0.05))
    runner.start()
    wait_until(lambda: runner.fault == "OSError: no disk")
    wait_until(lambda: runner.fault == "")
    assert runner.close(10.0)


def test_closing_is_bounded_where_a_sink_hangs_and_says_so():
    sink = Scripted()
    sink.gate.clear()
    runner = run(sink, 5)
    wait_until(lambda: runner.counts.waiting == 5 and len(runner._queue) == 4)
    assert not runner.close(0.05)
    runner.put(result(9))
    assert runner.counts == SinkCounts(put=6, unwritten=5, waiting=1)
    sink.gate.set()
    wait_until(lambda: not threads_named("scripted"))
    assert runner.counts == SinkCounts(put=6, written=1, unwritten=5)


def test_closing_does_not_wait_for_a_sink_that_cannot_be_opened():
    runner = SinkRunner(Scripted(open=[OSError("down")] * 1000), pace=Pace(60.0, 60.0))
    runner.start()
    runner.put(result(0))
    wait_until(lambda: runner.fault != "")
    assert runner.close(30.0)
    assert runner.counts == SinkCounts(put=1, unwritten=1)


def test_closing_what_was_never_started():
    runner = SinkRunner(Scripted())
    runner.put(result(0))
    assert runner.close(1.0)
    assert runner.counts == SinkCounts(put=1, unwritten=1)


def test_one_that_wants_frames_holds_few():
    """A thousand pictures would be gigabytes."""
    sink = Scripted(wants_frames=True)
    sink.gate.clear()
    runner = run(sink, 100)
    assert runner.counts.waiting <= 33
    sink.gate.set()
    assert runner.close(10.0)


@pytest.mark.parametrize("seed", range(3))
def test_each_item_is_accounted_for_at_every_moment(seed):
    """Random failures, delays and readers in between."""
    draw = random.Random(seed)
    errors = [OSError("x") if draw.random() < 0.3 else None for _ in range(500)]
    sink = Scripted(write=list(errors), open=[OSError("y") if draw.random() < 0.2 else None for _ in range(200)])
    runner = SinkRunner(sink, capacity=5, pace=QUICK)
    runner.start()
    for number in range(300):
        runner.put(result(number))
        if number % 7 == 0:
            threading.Event().wait(0.002)
        assert balanced(runner.counts)
    runner.close(5.0)
    assert balanced(runner.counts)
    assert runner.counts.waiting == 0
    assert sink.written == sorted(set(sink.written))
    assert len(sink.written) == runner.counts.written


def test_a_queue_needs_room():
    with pytest.raises(InputError, match="at least 1"):
        SinkRunner(Scripted(), capacity=0)


def test_a_callback_gets_the_items_in_the_runners_thread():
    seen: list[tuple[Any, str]] = []
    sink = CallbackSink(lambda item: seen.append((item, threading.current_thread().name)), name="app", frames=True)
    assert sink.wants_frames
    runner = SinkRunner(sink)
    runner.start()
    item = result()
    runner.put(item)
    assert runner.close(10.0)
    assert seen == [(item, "edgevision sink app")]
