from __future__ import annotations

import threading
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


def test_the_pool_never_lends_more_slots_than_its_capacity(engine):
    pool = pool_of(engine, 3)
    lent, most, lock = [0], [0], threading.Lock()
    barrier = threading.Barrier(12)

    def work():
        barrier.wait()
        for _ in range(20):
            with pool.slot() as slot:
                with lock:
                    lent[0] += 1
                    most[0] = max(most[0], lent[0])
                engine.run(slot.slot)
                with lock:
                    lent[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most[0] <= 3
    pool.close()
    with pytest.raises(EdgeVisionError, match="closed"), pool.slot():
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
            with pool.slot():
                outcome.append("lent")
        except EdgeVisionError:
            outcome.append("refused")

    with pool.slot():
        waiter = threading.Thread(target=wait)
        waiter.start()
        waiting.wait(60)
        closer = threading.Thread(target=pool.close)
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
        with pool.slot() as slot:
            assert slot.slot is made[0]
            slot.padding[0] = "known"  # what is known of a slot's padding stays with it
    assert len(made) == 1
    first, second = pool.take(), pool.take()
    assert (first.padding, second.padding) == ({0: "known"}, {})
    assert len(made) == 2
    pool.give_back(first)
    assert pool.take() is first


def test_a_slot_comes_back_from_a_block_that_raises():
    pool = SlotPool(object, 1)
    for _ in range(3):
        with pytest.raises(ValueError, match="mine"), pool.slot():
            raise ValueError("mine")


def test_a_slot_that_cannot_be_made_takes_no_place():
    answers = [MemoryError("out of memory"), "a slot"]

    def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pool = SlotPool(make, 1)
    with pytest.raises(MemoryError), pool.slot():
        pass
    with pool.slot() as slot:
        assert slot.slot == "a slot"
    pool.close()
