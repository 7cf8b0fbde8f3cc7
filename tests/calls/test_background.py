"""Threads that work while others go on: none too many, none at work for nobody, none left."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from edgevision.calls.background import MAX_WAITING, Background
from edgevision.errors import BusyError, EdgeVisionError


class Held:
    """Jobs that wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.threads: set[int] = set()

    def __call__(self) -> int:
        self.threads.add(threading.get_ident())
        self.begun.release()
        assert self.go.wait(60)
        return len(self.threads)


@pytest.fixture
def held():
    job = Held()
    yield job
    job.go.set()


def wait_for(held, count):
    for _ in range(count):
        assert held.begun.acquire(timeout=60)


def test_results_and_errors_come_back():
    background = Background(2)
    assert [background.submit(lambda i=i: i * i).result(60) for i in range(20)] == [i * i for i in range(20)]
    with pytest.raises(ZeroDivisionError):
        background.submit(lambda: 1 // 0).result(60)
    assert background.submit(lambda: "still there").result(60) == "still there"


def test_there_are_as_many_threads_as_are_needed_and_no_more(held):
    background = Background(3)
    alone = [background.submit(threading.get_ident).result(60) for _ in range(5)]
    futures = [background.submit(held) for _ in range(7)]
    wait_for(held, 3)
    assert background.waiting == 4
    held.go.set()
    assert max(future.result(60) for future in futures) == 3
    assert set(alone) <= held.threads


def test_a_job_that_is_cancelled_before_its_turn_is_forgotten_with_its_picture(held):
    background = Background(1)
    first = background.submit(held)
    wait_for(held, 1)

    class Picture:
        pass

    picture = Picture()
    gone = weakref.ref(picture)
    done = []
    second = background.submit(lambda picture=picture: done.append(picture))
    del picture
    assert second.cancel()
    gc.collect()
    assert gone() is None
    assert background.waiting == 0
    held.go.set()
    first.result(60)
    assert background.submit(lambda: 5).result(60) == 5
    assert not done


def test_jobs_that_wait_are_bounded_also_when_the_ones_before_were_cancelled(held):
    background = Background(1)
    background.submit(held)
    wait_for(held, 1)
    for _ in range(3):
        futures = [background.submit(int) for _ in range(MAX_WAITING)]
        with pytest.raises(BusyError, match=f"{MAX_WAITING} calls wait"):
            background.submit(int)
        assert all(future.cancel() for future in futures)
    last = background.submit(lambda: 7)
    held.go.set()
    assert last.result(60) == 7


def test_closing_does_what_was_submitted_and_takes_no_more(held):
    background = Background(1)
    futures = [background.submit(held), background.submit(lambda: 3)]
    wait_for(held, 1)
    background.close()
    with pytest.raises(EdgeVisionError, match="closed"):
        background.submit(int)
    held.go.set()
    assert [future.result(60) for future in futures] == [1, 3]


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_threads_end(how):
    """``sys._current_frames`` knows threads that ``threading`` did not start."""
    import sys

    background = Background(2)
    thread = background.submit(threading.get_ident).result(60)
    assert thread in sys._current_frames()
    if how == "closed":
        background.close()
    del background
    gc.collect()
    waiting = threading.Event()
    for _ in range(3000):
        if thread not in sys._current_frames():
            return
        waiting.wait(0.01)
    pytest.fail("the thread is there still")
