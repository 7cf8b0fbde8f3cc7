"""A thread that brought a frame and runs it itself: see ``Batcher.lend``."""

from __future__ import annotations

import threading
import time

import pytest
from batcher_rig import QUEUE, Rig, running
from stream_models import Gate, ToyModel

from edgevision.streams.clock import FakeClock
from edgevision.streams.fates import Fate


def test_a_thread_that_is_lent_runs_the_frame_that_it_put():
    threads = []
    model = ToyModel(max_batch=1, before=lambda frames: threads.append(threading.current_thread()))
    with running(model, {"a": QUEUE}) as rig:
        for _ in range(20):
            rig.put_and_lend("a")
    # Most times: a worker that is about to wait may take the next frame first.
    assert threads.count(threading.current_thread()) >= 15
    assert rig.fates("a") == [(i, Fate.SERVED) for i in range(20)]


def test_where_the_model_is_busy_a_worker_runs_what_a_lent_thread_put():
    gate = Gate()
    with running(ToyModel(max_batch=1, before=gate), {"a": QUEUE, "b": QUEUE}) as rig:
        rig.put("a")
        gate.wait_for_calls(1)
        rig.put_and_lend("b")  # at once
        assert rig.settled["b"] == []
        gate.let_go(2)
        rig.wait_for("b", 1)


def test_what_came_while_a_lent_thread_ran_is_run_by_a_worker():
    """Also what came without anybody being woken for it."""
    gate = Gate()
    with running(ToyModel(max_batch=1, before=gate), {"a": QUEUE, "b": QUEUE}) as rig:
        lent = threading.Thread(target=rig.put_and_lend, args=("a",))
        lent.start()
        gate.wait_for_calls(1)
        rig.put_and_lend("b")
        gate.let_go(2)
        rig.wait_for("b", 1)
        lent.join(10)
        assert not lent.is_alive()


def test_a_lent_thread_that_does_not_come_back_costs_no_worker():
    clock, gate = FakeClock(), Gate()
    model = ToyModel(max_batch=1, before=lambda frames: gate(frames) if frames[0].sequence == 0 else None)
    with running(model, {"a": QUEUE}, clock=clock, model_timeout_s=4.0) as rig:
        workers = {one for one in threading.enumerate() if one.name == "edgevision-batcher"}
        lent = threading.Thread(target=rig.put_and_lend, args=("a",))
        lent.start()
        gate.wait_for_calls(1)
        while not rig.troubles:
            clock.wait_for_sleepers(1)
            clock.advance(1.0)
            time.sleep(0.001)
        rig.put("a")
        rig.wait_for("a", 2)  # by the worker that there was
        assert {one for one in threading.enumerate() if one.name == "edgevision-batcher"} == workers
        gate.let_go()
        lent.join(10)
        assert not lent.is_alive()
    assert rig.fates("a") == [(0, Fate.POISON), (1, Fate.SERVED)]


@pytest.mark.parametrize("comes_back", [True, False])
def test_stop_waits_for_a_lent_thread(comes_back):
    gate = Gate()
    rig = Rig(ToyModel(max_batch=1, before=gate), {"a": QUEUE})
    rig.batcher.start()
    lent = threading.Thread(target=rig.put_and_lend, args=("a",))
    lent.start()
    gate.wait_for_calls(1)
    if comes_back:
        threading.Timer(0.2, gate.let_go).start()
        assert rig.batcher.stop(30.0) == []
        assert rig.fates("a") == [(0, Fate.SERVED)]  # before ``stop`` returned
    else:
        assert rig.batcher.stop(0.2) == [lent]
        gate.let_go()
    lent.join(10)


def test_a_stopped_batcher_runs_nothing_in_a_lent_thread():
    model = ToyModel(max_batch=1)
    rig = Rig(model, {"a": QUEUE})
    rig.batcher.start()
    assert rig.batcher.stop(10.0) == []
    rig.put_and_lend("a")
    assert model.calls == []


def test_a_lent_thread_that_stops_the_batcher_does_not_wait_for_itself():
    left = []

    def before(frames):
        left.append(rig.batcher.stop(60.0))  # as an answer or a trouble may do

    rig = Rig(ToyModel(before=before), {"a": QUEUE})
    rig.batcher.start()
    thread = threading.Thread(target=rig.put_and_lend, args=("a",))
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert left == [[]]


def test_where_the_policy_waits_a_worker_looks_again_after_a_lent_thread():
    """The frame is brought by a thread that is lent, and the policy wants it to wait for the other camera's: somebody has to come back to it."""
    clock = FakeClock()
    model = ToyModel(max_batch=8, before=lambda frames: clock.advance(0.02))
    with running(model, {"a": QUEUE, "b": QUEUE}, clock=clock, age_budget_s=2.0) as rig:
        for count in range(1, 13):
            rig.put("a")
            rig.put("b")
            rig.wait_for("a", count)
            rig.wait_for("b", count)
            clock.advance(0.3)
        rig.put_and_lend("a")
        assert len(rig.settled["a"]) == 12
        clock.wait_for_sleepers(1)
        clock.advance(2.0)
        rig.wait_for("a", 13)
