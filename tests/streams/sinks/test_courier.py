"""The courier against a scripted carrier: everything arrives, in order, late where it was, and nothing is forgotten."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from stream_items import threads_named, wait_until

from edgevision.errors import SinkError
from edgevision.streams.backoff import Pace
from edgevision.streams.sink_status import Health, SpoolStatus
from edgevision.streams.sinks.courier import Courier, Outcome, Parcel, RefusedError, SpoolOptions, UndeliveredError
from edgevision.streams.sinks.messages import Message
from edgevision.streams.sinks.spool import Spool

QUICK = Pace(0.01, 0.02)


class Carrier:
    """``down``: connecting fails. ``break_after``: so many parcels of a delivery arrive, then it breaks, once."""

    def __init__(self) -> None:
        self.down = False
        self.lost = False
        self.break_after: int | None = None
        self.refuses: set[str] = set()
        self.arrived: list[dict[str, object]] = []
        self.connects = 0
        self.hang: threading.Event | None = None
        self.woken = threading.Event()

    def connect(self) -> None:
        self.connects += 1
        self.lost = False
        if self.down:
            raise SinkError("nobody answers")

    def deliver(self, parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        if self.hang is not None:
            self.hang.wait()
            raise SinkError("interrupted")
        for place, parcel in enumerate(parcels):
            if self.down or place == self.break_after:
                self.break_after = None
                raise SinkError("it broke")
            accepted = parcel.id not in self.refuses
            if accepted:
                self.arrived.append({"address": parcel.address, **json.loads(parcel.body)})
            yield Outcome(parcel.number, accepted)

    def idle(self, timeout_s: float) -> None:
        self.woken.wait(timeout_s)
        self.woken.clear()
        if self.lost:
            raise SinkError("the connection was lost")

    def wake(self) -> None:
        self.woken.set()

    def disconnect(self) -> None:
        pass

    def interrupt(self) -> None:
        if self.hang is not None:
            self.hang.set()

    @property
    def ids(self) -> list[object]:
        return [one["id"] for one in self.arrived]


def message(number: int) -> Message:
    body = json.dumps({"late": False, "kind": "event", "id": f"id-{number}"}).encode()
    return Message(f"id-{number}", "event", "till", body)


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def options(tmp_path: Path) -> SpoolOptions:
    return SpoolOptions(tmp_path / "s.spool")


@pytest.fixture
def courier(carrier, options) -> Iterator[Courier]:
    made = Courier("test", carrier, options, pace=QUICK)
    made.open()
    yield made
    assert made.close(5.0)
    assert not threads_named("edgevision test")


def expected(numbers: Sequence[int]) -> list[str]:
    return [f"id-{number}" for number in numbers]


def test_what_is_sent_arrives_in_order_and_is_not_late(courier, carrier):
    for number in range(250):  # more than one batch
        courier.send(message(number), f"shop/{number}")
    wait_until(lambda: courier.spool.pending == 0)
    assert carrier.ids == expected(range(250))
    assert [one["address"] for one in carrier.arrived] == [f"shop/{number}" for number in range(250)]
    assert not any(one["late"] for one in carrier.arrived)
    assert (courier.delivered, courier.refused, courier.fault) == (250, 0, "")


def test_what_came_while_the_other_side_was_down_arrives_late_and_the_rest_does_not(courier, carrier):
    courier.send(message(0))
    wait_until(lambda: carrier.ids == expected([0]))
    carrier.down = True
    for number in range(1, 6):
        courier.send(message(number))
    wait_until(lambda: courier.fault == "nobody answers")
    carrier.down = False
    wait_until(lambda: len(carrier.arrived) == 6)
    courier.send(message(6))
    wait_until(lambda: len(carrier.arrived) == 7)
    assert carrier.ids == expected(range(7))
    assert [one["late"] for one in carrier.arrived] == [False, True, True, True, True, True, False]
    assert courier.fault == ""


def test_what_breaks_in_the_middle_goes_on_from_there(courier, carrier):
    carrier.break_after = 3
    for number in range(10):  # the thread sees all ten at once
        courier.spool.append(f"id-{number}", message(number).body)
    carrier.wake()
    wait_until(lambda: courier.spool.pending == 0)
    assert carrier.ids == expected(range(10))
    assert [one["late"] for one in carrier.arrived] == [False] * 3 + [True] * 7


def test_what_an_earlier_run_left_arrives_first_and_late(carrier, options):
    spool = Spool(options.path)
    for number in range(3):
        spool.append(f"id-{number}", message(number).body)
    spool.close()
    carrier.down = True
    courier = Courier("test", carrier, options, pace=QUICK)
    courier.open()
    courier.send(message(3))
    carrier.down = False
    wait_until(lambda: courier.spool.pending == 0)
    assert courier.close(5.0)
    assert carrier.ids == expected(range(4))
    assert [one["late"] for one in carrier.arrived][:3] == [True] * 3


def test_the_start_alone_makes_nothing_late(courier, carrier):
    courier.send(message(0))
    wait_until(lambda: len(carrier.arrived) == 1)
    assert carrier.arrived[0]["late"] is False


def test_what_is_refused_is_dropped_counted_and_stops_nothing(courier, carrier):
    carrier.refuses = {"id-1", "id-3"}
    for number in range(5):
        courier.send(message(number))
    wait_until(lambda: courier.spool.pending == 0)
    assert carrier.ids == expected([0, 2, 4])
    assert (courier.delivered, courier.refused) == (3, 2)
    assert courier.spool.dropped == {"refused": 2}


def test_what_breaks_every_connection_is_refused_and_blocks_no_other(courier, carrier):
    """One poisoned message in the middle: its neighbours arrive, and no good one is refused."""
    poisoned = {"id-13"}
    first = carrier.deliver

    def deliver(parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        for parcel in parcels:
            if parcel.id in poisoned:
                raise UndeliveredError(f"broken at {len(parcels)}")
            yield from first([parcel])

    carrier.deliver = deliver  # type: ignore[method-assign]
    for number in range(40):
        courier.spool.append(f"id-{number}", message(number).body, kind="result")
    carrier.wake()
    wait_until(lambda: courier.spool.pending == 0)
    assert set(carrier.ids) == set(expected(range(40))) - poisoned
    assert len(carrier.ids) == 39
    assert courier.refused == 1
    assert courier.health().spool.dropped == {("refused", "result"): 1}
    line = json.loads(courier.spool.path.with_name("s.spool.refused").read_text("utf-8"))
    assert (line["id"], line["reason"]) == ("id-13", "broken at 1")


@pytest.mark.parametrize("error", [SinkError("down"), RefusedError("wrong password")])
def test_a_side_that_is_down_is_no_message_s_fault(carrier, options, monkeypatch, error):
    monkeypatch.setattr("edgevision.streams.sinks.courier.CAREFUL", QUICK)
    tries = []

    def deliver(parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        tries.append(len(parcels))
        raise error
        yield

    carrier.deliver = deliver  # type: ignore[method-assign]
    courier = Courier("test", carrier, options, pace=QUICK)
    courier.open()
    for number in range(3):
        courier.spool.append(f"id-{number}", message(number).body)
    carrier.wake()
    wait_until(lambda: len(tries) > 20)
    assert courier.close(5.0)
    assert courier.refused == 0
    assert tries[5] == 3


def test_who_is_closed_while_it_waits_tries_once_more(carrier, options):
    carrier.down = True
    courier = Courier("test", carrier, options, pace=Pace(60.0, 60.0))
    courier.open()
    courier.send(message(0))
    wait_until(lambda: courier.fault == "nobody answers")
    carrier.down = False
    assert courier.close(10.0)
    assert carrier.ids == ["id-0"]


def test_its_health_says_what_waits_and_what_was_late(carrier, options):
    carrier.down = True
    courier = Courier("test", carrier, options, pace=QUICK)
    assert courier.health() == Health()
    courier.open()
    for number in range(3):
        courier.send(message(number))
    wait_until(lambda: courier.fault != "")
    health = courier.health()
    assert (health.fault, health.spool.waiting, health.spool.delivered) == ("nobody answers", 3, 0)
    assert health.spool.waiting_bytes > 0
    carrier.down = False
    wait_until(lambda: courier.delivered == 3)
    courier.send(message(3))
    wait_until(lambda: courier.delivered == 4)
    assert courier.close(5.0)
    assert courier.health() == Health("", SpoolStatus(delivered=4, late=3))


def test_a_connection_lost_while_nothing_is_sent_is_made_again(courier, carrier):
    wait_until(lambda: carrier.connects == 1)
    carrier.lost = True
    carrier.wake()
    wait_until(lambda: carrier.connects == 2 and not carrier.lost)


def test_a_wrong_password_is_not_tried_again_soon(carrier, options):
    def refuse() -> None:
        carrier.connects += 1
        raise RefusedError("wrong password")

    carrier.connect = refuse  # type: ignore[method-assign]
    courier = Courier("test", carrier, options, pace=QUICK)
    courier.open()
    wait_until(lambda: courier.fault == "wrong password")
    threading.Event().wait(0.3)  # thirty tries at the usual pace
    assert carrier.connects == 1
    assert courier.close(5.0)  # and closing does not wait for the next one


def test_closing_delivers_what_waits(carrier, options):
    courier = Courier("test", carrier, options, pace=QUICK)
    courier.open()
    for number in range(300):
        courier.send(message(number))
    assert courier.close(10.0)
    assert carrier.ids == expected(range(300))


def test_closing_keeps_what_cannot_be_delivered(carrier, options):
    carrier.down = True
    courier = Courier("test", carrier, options, pace=QUICK)
    courier.open()
    courier.send(message(0))
    assert courier.close(5.0)
    spool = Spool(options.path)
    assert [one.id for one in spool.waiting()] == ["id-0"]
    spool.close()


def test_a_carrier_that_hangs_is_interrupted(carrier, options):
    carrier.hang = threading.Event()
    courier = Courier("test", carrier, options, pace=QUICK)
    courier.open()
    courier.send(message(0))
    assert courier.close(0.1)
    assert carrier.hang.is_set()
    spool = Spool(options.path)
    assert spool.pending == 1
    spool.close()


def test_a_carrier_that_raises_anything_is_tried_again(courier, carrier):
    first = carrier.deliver
    calls = iter([ZeroDivisionError("a bug"), None])

    def deliver(parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        error = next(calls, None)
        if error is not None:
            raise error
        return first(parcels)

    carrier.deliver = deliver  # type: ignore[method-assign]
    courier.send(message(0))
    wait_until(lambda: carrier.ids == ["id-0"])
