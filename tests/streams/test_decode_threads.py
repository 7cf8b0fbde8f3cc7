from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from edgevision.streams.decode_threads import DecodeThreads


def test_calls_run_at_once_in_as_many_threads_as_are_needed_and_no_more():
    threads = DecodeThreads(3)
    together = threading.Barrier(4)  # three calls and the test
    for _ in range(3):
        threads.submit(lambda: together.wait(10))
    together.wait(10)
    done = threading.Event()
    threads.submit(done.set)
    assert done.wait(10)
    found = threads.stop()
    assert len(found) == 3
    for one in found:
        one.join(10)
        assert not one.is_alive()


def test_one_call_after_the_other_needs_one_thread():
    threads = DecodeThreads(8)
    for _ in range(5):
        done = threading.Event()
        threads.submit(done.set)
        assert done.wait(10)
        while threads.idle < 1:
            pass
    assert len(threads.stop()) == 1


def test_stopping_forgets_what_was_not_begun():
    threads = DecodeThreads(1)
    begun, go_on = threading.Event(), threading.Event()
    made: list[int] = []

    def first() -> None:
        begun.set()
        go_on.wait(10)

    threads.submit(first)
    assert begun.wait(10)
    threads.submit(lambda: made.append(1))
    (left,) = threads.stop()
    threads.submit(lambda: made.append(2))
    go_on.set()
    left.join(10)
    assert not left.is_alive()
    assert made == []
    assert DecodeThreads(2).stop() == []


def test_a_thread_that_is_at_something_else_is_replaced():
    """Also where calls wait for it already; and when it comes back there are as many as before."""
    threads = DecodeThreads(1)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        go_on.wait(10)
        threads.one_less()

    threads.submit(hang)
    assert begun.wait(10)
    threads.submit(done.set)
    assert not done.wait(0.05)
    threads.one_more()
    assert done.wait(10)
    go_on.set()
    for one in threads.stop():
        one.join(10)
    assert threads.most == 1


@pytest.mark.parametrize("turns", [1, 4])
def test_who_came_back_makes_no_more_calls_at_once_than_before(turns):
    """The threads that were started in its place stay, and wait."""
    threads = DecodeThreads(1)
    for _ in range(turns):
        away, back, done = threading.Event(), threading.Event(), threading.Event()

        def goes_away(away: threading.Event = away, back: threading.Event = back) -> None:
            threads.one_more()
            away.set()
            back.wait(10)
            threads.one_less()

        threads.submit(goes_away)
        assert away.wait(10)
        threads.submit(done.set)
        assert done.wait(10)
        back.set()
        while threads.idle < 2:
            pass
    lock, at_once, most_at_once = threading.Lock(), 0, 0
    all_done = threading.Barrier(2)

    def call(is_last: bool) -> None:
        nonlocal at_once, most_at_once
        with lock:
            at_once += 1
            most_at_once = max(most_at_once, at_once)
        time.sleep(0.005)
        with lock:
            at_once -= 1
        if is_last:
            all_done.wait(10)

    for number in range(20):
        threads.submit(partial(call, number == 19))
    all_done.wait(10)
    assert most_at_once == 1
    assert len(threads.stop()) == 2


def test_calls_that_wait_are_made_when_there_may_be_more():
    """A thread that waits is woken by ``one_more``, and not only started."""
    threads = DecodeThreads(2)
    together, go_on = threading.Barrier(3), threading.Event()
    for _ in range(2):
        threads.submit(lambda: together.wait(10))
    together.wait(10)
    while threads.idle < 2:
        pass
    threads.one_less()
    begun, done = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait(10)

    threads.submit(first)
    assert begun.wait(10)
    threads.submit(done.set)
    assert not done.wait(0.05)
    threads.one_more()
    assert done.wait(10)
    go_on.set()
    assert len(threads.stop()) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_call_that_raises_harms_no_other():
    def fails() -> None:
        raise MemoryError

    threads = DecodeThreads(1)
    for _ in range(2):
        threads.submit(fails)
    done = threading.Event()
    threads.submit(done.set)
    assert done.wait(10)
    assert len(threads.stop()) == 1


def test_where_the_system_gives_no_more_threads_those_that_are_there_make_the_calls(monkeypatch):
    threads = DecodeThreads(2)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait(10)

    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError):
            threads.submit(done.set)  # nobody would make it, and nobody does later
    threads.submit(first)
    assert begun.wait(10)
    assert not done.is_set()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        threads.submit(done.set)
    go_on.set()
    assert done.wait(10)
    assert len(threads.stop()) <= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12, for a process with threads
def test_a_child_of_fork_stops_them_at_once():
    """Also where another thread of the parent held the lock; its threads are not in the child."""
    threads = DecodeThreads(1)
    done = threading.Event()
    threads.submit(done.set)
    assert done.wait(10)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with threads._changed:
            held.set()
            let_go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout's would raise, and this go on as a second pytest
        signal.alarm(20)
        try:
            threads.submit(done.clear)
            os._exit(7 if threads.stop() == [] else 8)
        finally:
            os._exit(9)
    let_go.set()
    holder.join(10)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert len(threads.stop()) == 1


DECODING = """
import sys, time
import cv2, numpy as np
from edgevision.decode import to_frame
from edgevision.streams.decode_threads import DecodeThreads
picture = cv2.resize(np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8), (2000, 2000))
jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
threads = DecodeThreads(2)
for _ in range(60):
    threads.submit(lambda: to_frame(jpeg, 1 << 30))
time.sleep(float(sys.argv[2]))
if sys.argv[1] == "stopped":
    threads.stop()
"""


@pytest.mark.parametrize("how", ["stopped", "left"])
def test_a_program_that_ends_while_pictures_are_decoded_is_not_aborted(how):
    """A thread that is torn out of C++ by the interpreter's end aborts the process: without waiting, some of these did."""
    for wait_s in (0.03, 0.06, 0.09, 0.12, 0.15, 0.18):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DECODING, how, str(wait_s)],
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
