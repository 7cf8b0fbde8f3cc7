from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from edgevision.streams.decode_ahead import DecodeAhead


@dataclass(eq=False)
class Ticket:
    """What it asks of a ticket."""

    camera: str
    is_settled: bool = False


def nothing() -> None:
    return None


def test_what_is_decoded_waits_in_the_order_in_which_it_was():
    ahead = DecodeAhead(4)
    a, b, c = (Ticket(name) for name in "abc")
    for ticket in (a, b, c):
        ahead.begin(ticket, 1.0, nothing)
    assert (len(ahead), ahead.free, ahead.take(8)) == (3, 1, [])
    ahead.end(b, 1.1)
    ahead.end(a, 1.2)
    assert (len(ahead), ahead.free) == (3, 3)
    assert [ahead.decodes(one) for one in "abc"] == [False, False, True]
    assert ahead.take(1) == [b]
    assert ahead.take(8) == [a]
    assert len(ahead) == 1
    ahead.stop()


def test_what_nobody_waits_for_is_no_part_of_a_batch():
    ahead = DecodeAhead(2)
    damaged, stopped, whole = Ticket("a"), Ticket("b"), Ticket("c")
    for ticket in (damaged, stopped, whole):
        ahead.begin(ticket, 0.0, nothing)
    damaged.is_settled = True
    for ticket in (damaged, stopped, whole):
        ahead.end(ticket, 0.1)
    stopped.is_settled = True
    assert ahead.take(8) == [whole]
    assert len(ahead) == 0
    ahead.stop()


@pytest.mark.parametrize(
    ("pictures", "seconds"),
    [(1, 0.010), (2, 0.010), (3, 0.020), (8, 0.040)],
)
def test_many_pictures_are_taken_sooner_than_few(pictures, seconds):
    ahead = DecodeAhead(2)
    assert ahead.take_s(5.0, pictures) is None  # nothing was decoded yet
    ticket = Ticket("a")
    ahead.begin(ticket, 1.0, nothing)
    ahead.end(ticket, 1.010)
    assert ahead.lead_s == pytest.approx(0.010)
    assert ahead.take_s(5.0, pictures) == pytest.approx(5.0 - seconds)
    ahead.stop()


def test_one_that_hangs_has_its_thread_replaced_until_it_ends():
    ahead = DecodeAhead(1)
    begun, go_on, other = threading.Event(), threading.Event(), threading.Event()
    hangs, next_one = Ticket("a"), Ticket("b")
    ahead.begin(hangs, 1.0, lambda: begun.set() or (go_on.wait(10) and None))
    assert begun.wait(10)
    assert ahead.give_up(0.9) == []
    assert ahead.give_up(1.0) == [hangs]
    assert ahead.decodes("a")
    assert (len(ahead), ahead.free) == (0, 1)
    ahead.begin(next_one, 2.0, other.set)
    assert other.wait(10)
    assert ahead.free == 0
    go_on.set()
    ahead.end(hangs, 3.0)
    ahead.end(next_one, 3.0)
    assert (ahead.take(8), ahead.free, ahead.decodes("a")) == ([next_one], 1, False)
    assert ahead.lead_s == pytest.approx(1.0)  # what hung says nothing of how long decoding takes
    for thread in ahead.stop():
        thread.join(10)
        assert not thread.is_alive()


def test_the_end_forgets_everything():
    ahead = DecodeAhead(2)
    decoding, decoded = Ticket("a"), Ticket("b")
    for ticket in (decoding, decoded):
        ahead.begin(ticket, 0.0, nothing)
    ahead.end(decoded, 0.1)
    ahead.stop()
    ahead.end(decoding, 0.2)
    assert len(ahead) == 0
    assert ahead.take(8) == []
