from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgevision.engines import open_engine
from edgevision.errors import EdgeVisionError
from edgevision.runtime.slots import SlotPool

GRAPH = (Path(__file__).parents[1] / "data" / "color.onnx").read_bytes()


@pytest.fixture
def engine():
    with open_engine("onnxruntime", GRAPH) as opened:
        yield opened


def pool_of(engine, capacity):
    return SlotPool(lambda: engine.slots(1)[0], capacity)


@contextmanager
def lent(pool):
    slot = pool.take()
    try:
        yield slot
    finally:
        pool.give_back(slot)
        pool.call_next()


def wait_for(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited a minute")


def test_the_pool_never_lends_more_slots_than_its_capacity(engine):
    pool = pool_of(engine, 3)
    out, most, lock = [0], [0], threading.Lock()
    barrier = threading.Barrier(12)

    def work():
        barrier.wait()
        for _ in range(20):
            with lent(pool) as slot:
                with lock:
                    out[0] += 1
                    most[0] = max(most[0], out[0])
                engine.run(slot.slot)
                with lock:
                    out[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most[0] <= 3
    pool.close(60)
    with pytest.raises(EdgeVisionError, match="closed"), lent(pool):
        pass
    with pytest.raises(EdgeVisionError, match="closed"):
        pool.take()


def test_closing_the_pool_wakes_those_who_wait(engine):
    pool = pool_of(engine, 1)
    waiting = threading.Event()
    outcome = []

    def wait():
        waiting.set()
        try:
            with lent(pool):
                outcome.append("lent")
        except EdgeVisionError:
            outcome.append("refused")

    with lent(pool):
        waiter = threading.Thread(target=wait)
        waiter.start()
        waiting.wait(60)
        closer = threading.Thread(target=pool.close, args=(60,))
        closer.start()
        waiter.join(60)  # refused while the slot is still out
        assert outcome == ["refused"]
        assert closer.is_alive()
    closer.join(60)
    assert not closer.is_alive()


def test_slots_are_made_when_they_are_needed_and_used_again():
    made = []
    pool = SlotPool(lambda: made.append(object()) or made[-1], 2)
    for _ in range(5):
        with lent(pool) as slot:
            assert slot.slot is made[0]
            slot.padding[0] = "known"  # what is known of a slot's padding stays with it
    assert len(made) == 1
    first, second = pool.take(), pool.take()
    assert (first.padding, second.padding) == ({0: "known"}, {})
    assert len(made) == 2
    pool.give_back(first)
    assert pool.take() is first


class Thing:
    """A slot that can be held weakly."""


def test_first_come_first_served():
    """Whoever gives a slot back and takes one again comes after those who wait already."""
    pool = SlotPool(Thing, 1)
    order = []
    slot = pool.take()

    def work(name):
        with lent(pool):
            order.append(name)

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        wait_for(lambda: len(pool._queue) == len(threads))
    pool.give_back(slot)
    pool.call_next()
    del slot
    work("again")
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3, 4, "again"]


def test_a_slot_that_nobody_has_any_more_is_made_anew():
    """As after an exception between taking and using it."""
    pool = SlotPool(Thing, 1)
    for _ in range(3):
        pool.take()
    assert pool.close(0)


def test_a_waiter_finds_a_slot_that_was_lost_without_a_call():
    pool = SlotPool(Thing, 1)
    lost = [pool.take()]
    waiter = threading.Thread(target=lambda: lent(pool).__enter__())
    waiter.start()
    wait_for(lambda: pool._queue)
    lost.clear()
    waiter.join(60)
    assert not waiter.is_alive()


@pytest.mark.parametrize(("own", "others", "expected"), [(0, 0, True), (1, 0, False), (0, 1, False), (1, 1, False)])
def test_closing_does_not_wait_for_ever(own, others, expected):
    pool = SlotPool(Thing, 2)
    held = [pool.take() for _ in range(own)]
    for _ in range(others):
        thread = threading.Thread(target=lambda: held.append(pool.take()))
        thread.start()
        thread.join(60)
    assert pool.close(0.05) is expected
    for slot in held:
        pool.give_back(slot)
    assert pool.close(0.05)


def test_a_slot_comes_back_from_a_block_that_raises():
    pool = SlotPool(Thing, 1)
    for _ in range(3):
        with pytest.raises(ValueError, match="mine"), lent(pool):
            raise ValueError("mine")


def test_a_slot_that_cannot_be_made_takes_no_place():
    answers = [MemoryError("out of memory"), "a slot"]

    def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pool = SlotPool(make, 1)
    with pytest.raises(MemoryError), lent(pool):
        pass
    with lent(pool) as slot:
        assert slot.slot == "a slot"
    pool.close(60)
