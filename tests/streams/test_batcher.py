"""The batcher, with its threads: order, poison, calls that hang, removal, stopping."""

from __future__ import annotations

import threading
import time

import pytest
from batcher_rig import PATIENT, QUEUE, Rig, running
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_frames import Pictures, captured, damaged
from stream_items import wait_until
from stream_models import Gate, ToyModel

from edgevision.streams.batcher import Batcher
from edgevision.streams.clock import FakeClock
from edgevision.streams.encoded import EncodedFrame
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.options import EVERY, Mode, Service, StreamOptions


def test_each_frame_gets_its_own_result():
    with running(ToyModel(), {"a": QUEUE, "b": QUEUE}) as rig:
        for _ in range(50):
            rig.put("a")
            rig.put("b", 2)
            rig.wait_for("a", 1)
            rig.wait_for("b", 1)
    for camera, settled in rig.settled.items():
        served = [one for one in settled if one.fate is Fate.SERVED]
        assert [one.result for one in served] == [(camera, one.captured.sequence) for one in served]
        assert {one.model_id for one in served} == {"toy"}


def test_frames_that_came_while_the_model_was_at_work_run_together():
    gate = Gate()
    model = ToyModel(before=gate)
    with running(model, dict.fromkeys("abc", PATIENT)) as rig:
        rig.put("a")
        gate.wait_for_calls(1)
        for camera in "abc":
            rig.put(camera, 3)
        gate.let_go(2)
        for camera in "abc":
            rig.wait_for(camera, 1)
        rig.wait_for("a", 2)
    assert [sorted(call) for call in model.calls] == [[("a", 0)], [("a", 3), ("b", 2), ("c", 2)]]
    assert rig.settled["a"][1].gap == {Fate.SUPERSEDED: 2}
    assert rig.settled["b"][0].gap == {Fate.SUPERSEDED: 2}


def test_results_of_a_camera_stay_in_order_where_a_later_batch_is_quicker():
    first_may_end = threading.Event()

    def slow_first(frames) -> None:
        if any(frame.sequence == 0 for frame in frames):
            assert first_may_end.wait(30)

    model = ToyModel(max_batch=1, parallel=2, before=slow_first)
    with running(model, {"a": QUEUE, "b": QUEUE}) as rig:
        rig.put("a", 4)
        while len(model.calls) < 4:
            time.sleep(0.001)
        assert rig.fates("a") == []  # 1 to 3 are ready, and wait for 0
        first_may_end.set()
        rig.wait_for("a", 4)
    assert rig.fates("a") == [(i, Fate.SERVED) for i in range(4)]


@pytest.mark.parametrize("bad", [{0}, {3}, {7}, {1, 6}, {0, 1, 2, 3, 4, 5, 6, 7}])
def test_a_frame_that_makes_the_model_raise_is_dropped_alone(bad):
    def raise_for_bad(frames) -> None:
        if any(frame.camera == "a" and frame.sequence in bad for frame in frames):
            raise RuntimeError("bad frame")

    gate = Gate()
    model = ToyModel(before=gate)
    with running(model, {"a": QUEUE, "b": PATIENT}) as rig:
        rig.put("b")
        gate.wait_for_calls(1)
        rig.put("a", 8)
        model.before = raise_for_bad
        gate.let_go()
        rig.wait_for("a", 8)
        rig.put("b")
        rig.wait_for("b", 2)  # it goes on
    assert rig.fates("a") == [(i, Fate.POISON if i in bad else Fate.SERVED) for i in range(8)]
    told = [one for one in rig.settled["a"] if one.fate is Fate.POISON]
    assert all(isinstance(one.error, RuntimeError) for one in told)
    assert [(one.camera, one.sequence) for one in rig.troubles] == [("a", i) for i in sorted(bad)]
    assert "the model failed on frame" in rig.troubles[0].words
    served = [one for one in rig.settled["a"] if one.fate is Fate.SERVED]
    assert sum(one.gap.get(Fate.POISON, 0) for one in served) == len(
        {i for i in bad if any(j > i for j in set(range(8)) - bad)}
    )


def test_too_few_results_are_a_failure():
    model = ToyModel()
    model.predict_frames = lambda frames: []
    with running(model, {"a": PATIENT}) as rig:
        rig.put("a")
        rig.wait_for("a", 1)
    assert "0 results for 1 frames" in str(rig.settled["a"][0].error)


def test_a_model_that_always_fails_is_not_tried_at_full_speed():
    """Three batches fail; then 0.1 s of rest, 0.2, 0.4, … 5."""
    clock = FakeClock()

    def fail(frames) -> None:
        raise RuntimeError("broken")

    model = ToyModel(before=fail)
    with running(model, {"a": PATIENT}, clock=clock) as rig:
        for _second in range(200):  # ten frames a second
            clock.wait_for_sleepers(2)
            before = clock.sleeps
            rig.put("a")
            clock.wait_for_sleeps(before + 1)
            clock.advance(0.1)
        calls = len(model.calls)
        assert calls < 16
        model.before = lambda frames: None
        for _ in range(60):
            clock.wait_for_sleepers(2)
            clock.advance(0.1)
        rig.wait_for("a", calls + 1)
    assert rig.fates("a")[-1][1] is Fate.SERVED


def test_a_call_that_hangs_is_given_up_and_others_go_on():
    clock, gate = FakeClock(), Gate()
    model = ToyModel(max_batch=2, before=lambda frames: gate(frames) if frames[0].camera == "bad" else None)
    with running(model, {"bad": PATIENT, "good": QUEUE}, clock=clock, model_timeout_s=4.0) as rig:
        clock.wait_for_sleepers(2)
        rig.put("bad")
        gate.wait_for_calls(1)
        rig.put("good", 3)
        clock.advance(3.9)
        assert rig.settled == {}
        for _ in range(3):
            clock.wait_for_sleepers(1)  # the watchdog
            clock.advance(0.5)
        rig.wait_for("good", 3)
        assert rig.fates("bad") == [(0, Fate.POISON)]
        assert "did not come back within 4 s" in rig.troubles[0].words
        assert not rig.batcher.gave_up
        gate.let_go()  # it comes back after all: its result is for nobody
        rig.put("good")
        rig.wait_for("good", 4)
    assert rig.fates("bad") == [(0, Fate.POISON)]
    assert rig.fates("good") == [(i, Fate.SERVED) for i in range(4)]


def test_what_is_held_back_behind_a_call_that_hangs_is_bounded():
    """Results come in order: those after the frame that hangs wait, with their frames, until it has its fate."""
    gate = Gate()

    def hang(frames) -> None:
        if (frames[0].camera, frames[0].sequence) == ("a", 0):
            gate(frames)

    model = ToyModel(max_batch=1, parallel=2, before=hang)
    with running(model, {"a": QUEUE, "b": QUEUE}) as rig:
        rig.put("a")
        gate.wait_for_calls(1)
        for count in range(2, 65):
            rig.put("a")
            wait_until(lambda: len(model.calls) == count)  # noqa: B023 - it is called at once
        rig.put("a", 3)
        rig.put("b")
        rig.wait_for("b", 1)  # others are served
        assert len(model.calls) == 65
        assert rig.settled["a"] == []
        gate.let_go()
        rig.wait_for("a", 67)
    assert rig.fates("a") == [(i, Fate.SERVED) for i in range(67)]


def hang_twice(rig, gate, clock):
    """Two calls of a model that hang behind the ``gate``, and are given up after a time: so is the model."""
    for hung in (1, 2):
        rig.put("a")
        gate.wait_for_calls(hung)
        while len(rig.troubles) < hung:
            clock.wait_for_sleepers(1)
            clock.advance(1.0)
            time.sleep(0.001)
    assert rig.batcher.gave_up


def test_after_two_hanging_calls_no_more_are_made_until_one_comes_back():
    clock, gate = FakeClock(), Gate()
    model = ToyModel(before=gate)
    with running(model, {"a": PATIENT}, clock=clock, model_timeout_s=4.0) as rig:
        hang_twice(rig, gate, clock)
        assert "Restart the program" in rig.troubles[1].words
        rig.put("a", 5)
        clock.wait_for_sleepers(2)
        assert len(model.calls) == 2
        gate.let_go(3)
        rig.wait_for("a", 3)
        assert not rig.batcher.gave_up
    assert rig.fates("a") == [(0, Fate.POISON), (1, Fate.POISON), (6, Fate.SERVED)]


def test_stop_is_bounded_while_the_model_hangs():
    gate = Gate()
    rig = Rig(ToyModel(before=gate), {"a": PATIENT, "b": PATIENT})
    rig.batcher.start()
    rig.put("a")
    gate.wait_for_calls(1)
    rig.put("b")
    left = rig.batcher.stop(0.05)
    assert [thread.name for thread in left] == ["edgevision-batcher"]
    assert rig.fates("a") == [(0, Fate.STOPPED)]
    assert {one.camera: one.fates for one in rig.batcher.ledger.accounts()} == {
        "a": {Fate.STOPPED: 1}, "b": {Fate.STOPPED: 1},
    }  # fmt: skip
    gate.let_go()
    left[0].join(30)
    assert rig.fates("a") == [(0, Fate.STOPPED)]  # its result came too late


def test_a_frame_is_settled_after_its_answer_was_given():
    """Whoever finds no frame in flight must have all answers."""
    seen = []
    rig = Rig(ToyModel(), {"a": QUEUE})
    ledger = rig.batcher.ledger
    camera = rig.batcher._cameras["a"]
    camera.answer = lambda settled: seen.append((settled.captured.sequence, ledger.in_flight("a")))
    ended = []
    rig.batcher._settler._settled = lambda: ended.append(ledger.in_flight("a"))
    rig.put("a", 3)
    rig.batcher.start()
    wait_until(lambda: len(ended) == 3)
    assert rig.batcher.stop(10.0) == []
    assert seen == [(0, 3), (1, 2), (2, 1)]
    assert ended[:3] == [2, 1, 0]


def test_what_is_being_told_of_a_removed_camera_has_been_told_when_it_is_removed():
    """Else a result of it could come after those of the next camera of its name."""
    told, telling, go_on = [], threading.Event(), threading.Event()

    def slowly(settled) -> None:
        telling.set()
        assert go_on.wait(30)
        told.append("old")

    rig = Rig(ToyModel(), {"a": PATIENT})
    rig.batcher._cameras["a"].answer = slowly
    rig.batcher.start()
    rig.put("a")
    assert telling.wait(30)
    remover = threading.Thread(target=lambda: (rig.batcher.remove("a"), told.append("removed")))
    remover.start()
    time.sleep(0.05)
    go_on.set()
    remover.join(30)
    assert rig.batcher.stop(10.0) == []
    assert told == ["old", "removed"]


def test_the_frames_that_were_chosen_run_and_those_they_overtake_expire():
    """It is the turn of "b", and a batch of two ends after the deadline of the first frame of "a", but not of its second."""
    clock = FakeClock()
    model = ToyModel(before=lambda frames: clock.advance(cost[len(frames) - 1]))
    ledger, cost = Ledger(), [0.1, 0.107]
    batcher = Batcher(model, ledger, options=StreamOptions(warm_up=False), clock=clock, cost=list(enumerate(cost, 1)))
    told = []
    boxes = {name: batcher.add(name, Service(EVERY, max_age_s=0.11), told.append) for name in "ba"}
    batcher.start()
    boxes["a"].put(captured(ledger.captured("a"), clock.now_s(), camera="a"))
    wait_until(lambda: len(told) == 1)
    batcher.hold()
    for camera, age_s in (("b", 0.0), ("a", 0.005), ("a", 0.0)):
        boxes[camera].put(captured(ledger.captured(camera), clock.now_s(), camera=camera, age_s=age_s))
    batcher.go_on()
    wait_until(lambda: len(told) == 4)
    assert batcher.stop(10.0) == []
    assert sorted(model.calls[1]) == [("a", 2), ("b", 0)]
    fates = {(one.captured.camera, one.captured.sequence): one.fate for one in told[1:]}
    assert fates == {("a", 1): Fate.EXPIRED, ("a", 2): Fate.SERVED, ("b", 0): Fate.SERVED}


def test_what_runs_is_finished_when_it_stops():
    gate = Gate()
    rig = Rig(ToyModel(before=gate), {"a": PATIENT, "b": PATIENT})
    rig.batcher.start()
    rig.put("a")
    gate.wait_for_calls(1)
    rig.put("b")
    gate.let_go()
    assert rig.batcher.stop(30.0) == []
    assert rig.fates("a") == [(0, Fate.SERVED)]
    assert rig.batcher.ledger.counts("b") == {Fate.STOPPED: 1}
    rig.put("b")
    assert rig.batcher.ledger.counts("b") == {Fate.STOPPED: 2}


def test_a_removed_camera_gets_no_more_results():
    gate = Gate()
    with running(ToyModel(before=gate), {"a": QUEUE, "b": PATIENT}) as rig:
        rig.put("a")
        gate.wait_for_calls(1)
        rig.put("a", 2)
        rig.batcher.remove("a")
        assert rig.batcher.ledger.counts("a") == {Fate.STOPPED: 3}
        rig.put("b")
        gate.let_go(2)
        rig.wait_for("b", 1)
        assert rig.fates("a") == [(0, Fate.STOPPED)]
        rig.mailboxes["a"] = rig.batcher.add("a", QUEUE, rig.answer)
        rig.put("a")
        gate.let_go()
        rig.wait_for("a", 2)
    assert rig.fates("a")[-1] == (3, Fate.SERVED)  # its numbers go on


def test_a_name_is_taken_once():
    rig = Rig(ToyModel(), {"a": PATIENT})
    with pytest.raises(ValueError, match="'a' is there already"):
        rig.batcher.add("a", PATIENT, rig.answer)


def test_held_it_takes_no_frames():
    model = ToyModel()
    with running(model, {"a": PATIENT, "b": PATIENT, "c": PATIENT}) as rig:
        rig.batcher.hold()
        for camera in "abc":
            rig.put(camera, 3)
        assert model.calls == []
        rig.batcher.go_on(places=2)
        for camera in "abc":
            rig.wait_for(camera, 1)
    assert [len(call) for call in model.calls] == [2, 1]


def test_expired_frames_are_settled_and_told():
    clock, gate = FakeClock(), Gate()
    model = ToyModel(before=gate)
    with running(model, {"a": Service(max_age_s=0.25), "b": PATIENT}, clock=clock, model_timeout_s=1e9) as rig:
        gate.let_go(9)
        for quick in range(1, 10):
            rig.put("b")
            rig.wait_for("b", quick)
        rig.put("b")
        gate.wait_for_calls(1)
        rig.put("a")
        clock.advance(0.3)
        gate.let_go()
        rig.wait_for("a", 1)
        rig.put("a")
        gate.let_go()
        rig.wait_for("a", 2)
    assert rig.fates("a") == [(0, Fate.EXPIRED), (1, Fate.SERVED)]
    assert rig.settled["a"][1].gap == {Fate.EXPIRED: 1}
    assert rig.settled["a"][0].age_s == pytest.approx(0.3)


def test_the_next_batch_is_the_new_models():
    gate = Gate()
    old, new = ToyModel(before=gate, id="old"), ToyModel(id="new")
    with running(old, {"a": PATIENT}) as rig:
        rig.put("a")
        gate.wait_for_calls(1)
        rig.batcher.switch(new)
        assert rig.batcher.in_use(old)
        gate.let_go()
        rig.wait_for("a", 1)
        rig.put("a")
        rig.wait_for("a", 2)
        assert not rig.batcher.in_use(old)
    assert [one.model_id for one in rig.settled["a"]] == ["old", "new"]


def test_a_new_model_is_not_held_back_by_what_the_old_one_did():
    """The old one hangs twice and is given up; the new one gains from two calls at once."""
    clock, gate, both = FakeClock(), Gate(), threading.Barrier(2)
    old = ToyModel(before=gate, parallel=1)
    new = ToyModel(max_batch=1, parallel=2, id="new", before=lambda frames: both.wait(30))
    with running(old, {"a": PATIENT, "b": PATIENT}, clock=clock, model_timeout_s=4.0) as rig:
        hang_twice(rig, gate, clock)
        rig.batcher.switch(new)
        assert not rig.batcher.gave_up
        rig.put("a")
        rig.put("b")
        rig.wait_for("a", 3)
        rig.wait_for("b", 1)
        gate.let_go(2)
    assert rig.settled["b"][0].model_id == "new"


def test_whoever_watches_sees_each_batch():
    def fail(frames) -> None:
        if frames[0].sequence == 1:
            raise RuntimeError("bad")

    done = []
    with running(ToyModel(before=fail), {"a": Service(max_age_s=1000.0)}) as rig:
        rig.put("a")
        rig.wait_for("a", 1)  # nobody watches yet
        rig.batcher.watch = done.append
        for count in (2, 3):
            rig.put("a")
            rig.wait_for("a", count)
    assert [[frame.sequence for frame in one.frames] for one in done] == [[1], [2]]
    assert isinstance(done[0].error, RuntimeError)
    assert (done[1].error, list(done[1].results)) == (None, [("a", 2)])
    assert 990 < done[1].spare_s < 1000


@pytest.mark.parametrize(("late_s", "expected_s"), [(0.0, 0.1), (0.04, 0.06), (0.2, 0.0), (0.5, 0.0)])
def test_whoever_watches_is_told_when_the_next_frame_is_expected(late_s, expected_s):
    """A camera that sends every 0.1 s, and another that is gone: it is not waited for."""
    clock, done = FakeClock(), []
    with running(ToyModel(), {"a": QUEUE, "gone": QUEUE}, clock=clock) as rig:
        for _ in range(10):
            rig.put("gone")
            clock.advance(0.01)
        for turn in range(1, 11):
            clock.advance(0.1)
            rig.put("a")
            rig.wait_for("a", turn)
        rig.batcher.watch = done.append
        rig.batcher._model.before = lambda frames: clock.advance(late_s)
        clock.advance(0.1)
        rig.put("a")
        wait_until(lambda: bool(done))
    assert done[0].idle_s == pytest.approx(expected_s)


@pytest.mark.parametrize(("per_batch_s", "sizes"), [(0.0, [1, 1, 1, 1, 4]), (0.02, [8])])
def test_single_frames_where_batches_gain_nothing(per_batch_s, sizes):
    """Eight frames wait; the cost of batches is known, and looked at again after four."""
    seed = [(1, per_batch_s + 0.01), (8, per_batch_s + 0.08)]
    clock = FakeClock()
    model = ToyModel(before=lambda frames: clock.advance(per_batch_s + 0.01 * len(frames)))
    ledger = Ledger()
    batcher = Batcher(model, ledger, options=StreamOptions(warm_up=False), clock=clock, cost=seed)
    done = threading.Semaphore(0)
    mailbox = batcher.add("a", QUEUE, lambda settled: done.release())
    for _ in range(8):
        mailbox.put(captured(ledger.captured("a"), batcher.clock.now_s(), camera="a"))
    batcher.start()
    for _ in range(8):
        assert done.acquire(timeout=30)
    assert batcher.stop(10.0) == []
    assert [len(call) for call in model.calls] == sizes


def test_a_wrong_belief_in_batches_is_given_up():
    """What was measured first says that they gain, as where the machine was busy; they do not."""
    clock = FakeClock()
    model = ToyModel(before=lambda frames: clock.advance(0.01 * len(frames)))
    ledger = Ledger()
    options = StreamOptions(warm_up=False)
    batcher = Batcher(model, ledger, options=options, clock=clock, cost=[(1, 1.0), (8, 1.1)])
    done = threading.Semaphore(0)
    mailbox = batcher.add("a", QUEUE, lambda settled: done.release())
    for turn in range(90):
        for _ in range(8):
            mailbox.put(captured(ledger.captured("a"), batcher.clock.now_s(), camera="a"))
        if turn == 0:
            batcher.start()
        for _ in range(8):
            assert done.acquire(timeout=30)
    assert batcher.stop(10.0) == []
    assert len(model.calls[0]) == 8
    assert {len(call) for call in model.calls[-20:]} == {1}


def test_no_frame_runs_beside_the_black_ones():
    """What these take is what is believed of the model."""
    go = threading.Event()
    model = ToyModel(max_batch=4, parallel=2, before=lambda frames: frames[0].camera is None and go.wait(30))
    rig = Rig(model, {"a": PATIENT})
    rig.batcher = Batcher(model, Ledger(), trouble=rig.troubles.append)
    rig.mailboxes = {"a": rig.batcher.add("a", PATIENT, rig.answer)}
    rig.put("a")
    rig.batcher.start()
    wait_until(lambda: bool(model.calls))
    time.sleep(0.1)  # the other worker had the time
    assert all(camera is None for call in model.calls for camera, _ in call)
    go.set()
    rig.wait_for("a", 1)
    assert rig.batcher.stop(10.0) == []


def test_a_model_is_warmed_up_before_the_first_frame():
    model = ToyModel(max_batch=4)
    batcher = Batcher(model, Ledger())
    batcher.start()
    while len(model.calls) < 7:
        time.sleep(0.001)
    assert batcher.stop(10.0) == []
    assert [len(call) for call in model.calls] == [1, 1, 1, 2, 4, 4, 4]


def test_a_model_that_fails_when_warmed_up_is_tried_all_the_same():
    model = ToyModel(before=lambda frames: 1 / 0 if frames[0].camera is None else None)
    rig = Rig(model, {"a": PATIENT})
    rig.batcher = Batcher(model, Ledger(), trouble=rig.troubles.append)
    rig.mailboxes = {"a": rig.batcher.add("a", PATIENT, rig.answer)}
    rig.batcher.start()
    rig.put("a")
    rig.wait_for("a", 1)
    assert rig.batcher.stop(10.0) == []
    assert rig.fates("a") == [(0, Fate.SERVED)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "put", "file", "file", "remove", "pause", "switch"]), st.integers(0, 3)), max_size=60
    ),
    st.sets(st.integers(0, 30), max_size=6), st.sets(st.integers(0, 30), max_size=6), st.integers(1, 3), st.integers(1, 4),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_whatever_happens_every_frame_has_one_fate(steps, bad, broken, parallel, max_batch):
    """Frames come, some as files, some of these damaged, make the model fail, wait in both kinds of mailboxes; cameras are removed and come back,
    models change, while it runs."""

    def fail(frames) -> None:
        if any(frame.sequence in bad for frame in frames):
            raise ValueError("bad")

    services = {"0": PATIENT, "1": QUEUE, "2": Service(max_age_s=0.001), "3": Service(EVERY, max_age_s=0.001, fps=100)}
    pictures = Pictures(damaged(*broken))
    with running(ToyModel(max_batch, parallel, fail), services) as rig:
        for step, place in steps:
            camera = str(place)
            if step == "put":
                rig.put(camera, 1 + place)
            elif step == "file":
                rig.put(camera, 1 + place, pictures)
            elif step == "pause":
                time.sleep(0.0005)
            elif step == "switch":
                rig.batcher.switch(ToyModel(1 + place, 1 + place, fail))
            else:
                rig.batcher.remove(camera)
                rig.mailboxes[camera] = rig.batcher.add(camera, services[camera], rig.answer)
            assert all(account.balanced for account in rig.batcher.ledger.accounts())
    for settled in rig.settled.values():
        served = [one.captured.sequence for one in settled if one.fate is Fate.SERVED]
        assert served == sorted(set(served))
        assert not any(sequence in bad for sequence in served)
        assert [one.captured.sequence for one in settled] == sorted(one.captured.sequence for one in settled)
        told = sum(sum(one.gap.values()) for one in settled)
        assert told == (served[-1] + 1 - len(served) if served else 0)  # each gap tells of all frames before its result
        corrupt = [one.captured for one in settled if one.fate is Fate.CORRUPT]
        assert all(isinstance(one.frame, EncodedFrame) and one.sequence in broken for one in corrupt)


# ---- frames that nobody waits for any more, and how long one would wait ----


def test_a_frame_that_waits_can_be_withdrawn_and_one_that_runs_cannot():
    gate = Gate()
    model = ToyModel(max_batch=1, before=gate)
    with running(model, {"a": QUEUE}) as rig:
        frames = [captured(rig.batcher.ledger.captured("a"), rig.batcher.clock.now_s(), camera="a") for _ in range(4)]
        rig.mailboxes["a"].put(frames[0])
        gate.wait_for_calls(1)
        for frame in frames[1:]:
            rig.mailboxes["a"].put(frame)
        assert [rig.batcher.withdraw("a", frame) for frame in (frames[0], frames[2], frames[2])] == [False, True, False]
        assert not rig.batcher.withdraw("b", frames[1])
        gate.let_go(3)
        rig.wait_for("a", 3)
    assert rig.fates("a") == [(0, Fate.SERVED), (1, Fate.SERVED), (3, Fate.SERVED)]
    assert model.calls == [[("a", 0)], [("a", 1)], [("a", 3)]]
    assert rig.batcher.ledger.counts("a") == {Fate.SERVED: 3, Fate.STOPPED: 1}


def test_frames_are_withdrawn_while_others_are_taken():
    """Of each frame: it was withdrawn, or it was answered; never both, never neither."""
    with running(ToyModel(max_batch=4, parallel=2), {"a": Service(Mode("every", 1000), max_age_s=1e9)}) as rig:
        frames = [captured(rig.batcher.ledger.captured("a"), rig.batcher.clock.now_s(), camera="a") for _ in range(400)]
        withdrawn = []
        for older, newer in zip([None, *frames], [*frames, None], strict=True):
            if newer is not None:
                rig.mailboxes["a"].put(newer)
            if older is not None and rig.batcher.withdraw("a", older):
                withdrawn.append(older.sequence)
        rig.wait_for("a", 400 - len(withdrawn))
    served = [sequence for sequence, _ in rig.fates("a")]
    assert served == sorted(served)
    assert sorted(served + withdrawn) == list(range(400))


@pytest.mark.parametrize(
    ("cost", "parallel", "ahead", "expected_s"),
    [
        ((), 1, 9, 0.0),
        (((1, 0.011), (8, 0.018)), 1, 0, 0.011),
        (((1, 0.011), (8, 0.018)), 1, 3, 0.014),
        (((1, 0.011), (8, 0.018)), 1, 7, 0.018),
        (((1, 0.011), (8, 0.018)), 1, 20, 2 * 0.018 + 0.015),
        (((1, 0.011), (8, 0.018)), 2, 20, 0.018 + 0.015),
        (((1, 0.01), (8, 0.08)), 1, 5, 6 * 0.01),
        (((1, 0.01), (8, 0.08)), 2, 5, 5 * 0.01 / 2 + 0.01),
    ],
    ids=["unknown", "idle", "joins a batch", "fills one", "two before", "two at once", "single frames", "singles at once"],
)  # fmt: skip
def test_how_long_a_frame_would_wait(cost, parallel, ahead, expected_s):
    batcher = Batcher(ToyModel(parallel=parallel), Ledger(), options=StreamOptions(warm_up=False), cost=cost)
    assert batcher.expected_s(ahead) == pytest.approx(expected_s)
