"""The batcher and pictures that came as files: which are decoded, when, by whom, and what becomes of damaged ones."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from batcher_rig import PATIENT, QUEUE, Rig, running
from picture_files import encoded, photo
from stream_frames import Pictures, captured, damaged
from stream_items import wait_until
from stream_models import Gate, ToyModel

import edgevision as ev
from edgevision.decode import pictures as decoder
from edgevision.decode import read_image, to_frame
from edgevision.streams import batcher as batcher_module
from edgevision.streams.clock import FakeClock
from edgevision.streams.fates import Fate
from edgevision.streams.options import StreamOptions
from edgevision.streams.sources.push import PushSource


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(batcher_module, "usable_cores", lambda: 2)


def test_what_a_newer_frame_replaces_is_never_decoded():
    gate, pictures = Gate(), Pictures()
    with running(ToyModel(before=gate), {"a": PATIENT}) as rig:
        rig.put("a", pictures=pictures)
        gate.wait_for_calls(1)
        rig.put("a", 50, pictures)
        gate.let_go(2)
        rig.wait_for("a", 2)
    assert pictures.decoded == [0, 50]
    assert rig.fates("a") == [(0, Fate.SERVED), (50, Fate.SERVED)]
    assert rig.settled["a"][1].gap == {Fate.SUPERSEDED: 49}
    assert rig.batcher.ledger.counts("a") == {Fate.SERVED: 2, Fate.SUPERSEDED: 49}


@pytest.mark.parametrize("bad", [{0}, {3}, {1, 6}, set(range(8))])
def test_a_damaged_one_is_one_drop_of_its_own_name_and_the_model_never_sees_it(bad):
    gate, pictures = Gate(), Pictures(damaged(*bad))
    model = ToyModel(before=gate)
    with running(model, {"a": QUEUE, "b": PATIENT}) as rig:
        rig.put("b")
        gate.wait_for_calls(1)
        rig.put("a", 8, pictures)
        gate.let_go(100)
        rig.wait_for("a", 8)
        rig.put("b")
        rig.wait_for("b", 2)  # it goes on
    assert rig.fates("a") == [(i, Fate.CORRUPT if i in bad else Fate.SERVED) for i in range(8)]
    assert sorted(pictures.decoded) == list(range(8))
    seen = {sequence for call in model.calls for camera, sequence in call if camera == "a"}
    assert seen == set(range(8)) - bad
    assert rig.troubles == []
    last = [one for one in rig.settled["a"] if one.fate is Fate.SERVED][-1:]
    lost_before = sum(sum(one.gap.values()) for one in rig.settled["a"] if one.fate is Fate.SERVED)
    assert lost_before == sum(one < last[0].captured.sequence for one in bad) if last else bad == set(range(8))
    for one in rig.settled["a"]:
        assert (one.error is not None) == (one.fate is Fate.CORRUPT)


def test_frames_of_several_cameras_are_decoded_at_once(two_cores):
    gate, together = Gate(), threading.Barrier(2)
    pictures = Pictures(lambda sequence: None if sequence < 0 else together.wait(10) and None)
    model = ToyModel(before=gate)
    with running(model, dict.fromkeys("abc", PATIENT)) as rig:
        rig.put("c")
        gate.wait_for_calls(1)
        for camera in "ab":
            rig.put(camera, pictures=pictures)
        gate.let_go(3)
        for camera in "ab":
            rig.wait_for(camera, 1)
    assert rig.fates("a") == rig.fates("b") == [(0, Fate.SERVED)]  # neither would be decoded before the other is


def holding(begun: threading.Event, go_on: threading.Event) -> Pictures:
    """Pictures whose decoding takes until ``go_on``."""
    return Pictures(lambda sequence: begun.set() or (go_on.wait(20) and None))


@pytest.mark.parametrize("max_batch", [1, 4])
def test_a_picture_that_is_slow_to_decode_holds_up_its_own_camera_only(max_batch, two_cores):
    begun, go_on = threading.Event(), threading.Event()
    slow, quick, model = holding(begun, go_on), Pictures(), ToyModel(max_batch=max_batch)
    with running(model, {"slow": QUEUE, "raw": QUEUE, "jpeg": QUEUE}) as rig:
        rig.put("slow", 5, slow)
        assert begun.wait(10)
        for count in range(1, 20):
            rig.put("raw")
            rig.put("jpeg", pictures=quick)
            rig.wait_for("raw", count)
            rig.wait_for("jpeg", count)
        assert rig.fates("slow") == []
        assert len(rig.mailboxes["slow"]) == 4  # one at a time
        go_on.set()
        rig.wait_for("slow", 5)
    assert rig.fates("slow") == [(i, Fate.SERVED) for i in range(5)]


def decode_two_ahead(rig: Rig, gate: Gate, pictures: Pictures) -> None:
    """Until one of camera d is with the model, and one each of a and b are decoded and wait for it."""
    rig.put("d", pictures=Pictures())
    gate.wait_for_calls(1)
    rig.batcher._ahead._lead.seconds = 60.0  # so that they are taken at once
    for camera in "ab":
        rig.put(camera, pictures=pictures)
    wait_until(lambda: len(rig.batcher._ahead.waiting) == 2)


def test_what_is_decoded_by_the_time_that_the_model_is_free_goes_into_one_batch(two_cores):
    gate, pictures = Gate(), Pictures()
    model = ToyModel(max_batch=4, before=gate)
    with running(model, dict.fromkeys("abcd", PATIENT)) as rig:
        decode_two_ahead(rig, gate, pictures)
        rig.put("c")
        gate.let_go(2)
        for camera in "abc":
            rig.wait_for(camera, 1)
    assert sorted(model.calls[1]) == [("a", 0), ("b", 0), ("c", 0)]


class Slow:
    """A decoder that takes 10 ms by the stream's clock."""

    def __init__(self) -> None:
        self.clock = FakeClock(100.0)

    def __call__(self, sequence: int) -> None:
        self.clock.advance(0.010)


@pytest.mark.parametrize("places", [None, 1])
def test_while_the_model_runs_the_next_batch_is_decoded_and_no_more_than_that(places, two_cores):
    """One at a time where results wait for a slow loop: see ``Outlet``."""
    slow, gate = Slow(), Gate()
    pictures = Pictures(slow)
    model = ToyModel(max_batch=1, before=gate)
    with running(model, {"a": PATIENT}, clock=slow.clock) as rig:
        rig.batcher.go_on(places)
        rig.put("a", pictures=pictures)
        gate.wait_for_calls(1)
        rig.put("a", pictures=pictures)
        if places is None:
            wait_until(lambda: pictures.decoded == [0, 1])
            wait_until(lambda: len(rig.mailboxes["a"]) == 0)
        rig.put("a", 5, pictures)
        assert pictures.decoded == ([0, 1] if places is None else [0])
        assert len(rig.mailboxes["a"]) == 1
        gate.let_go(10)
        rig.wait_for("a", 3 if places is None else 2)
    newest = 6
    assert pictures.decoded == ([0, 1, newest] if places is None else [0, newest])
    assert rig.batcher.metrics.cameras["a"].stages["decode"].read().count == len(pictures.decoded)


def test_a_model_that_takes_longer_gets_its_next_frame_no_sooner_than_it_has_to(two_cores):
    """Decoding takes 10 ms and the model 50: the next frame is taken when 10 ms are left, for one that comes until then is newer."""
    slow, gate = Slow(), Gate()
    clock, pictures = slow.clock, Pictures(slow)
    model = ToyModel(max_batch=1, before=gate)
    with running(model, {"a": PATIENT}, clock=clock) as rig:
        rig.put("a", pictures=pictures)
        gate.wait_for_calls(1)
        clock.advance(0.050)
        gate.let_go()
        rig.wait_for("a", 1)
        rig.put("a", pictures=pictures)
        gate.wait_for_calls(1)
        began_s = clock.now_s()
        rig.put("a", pictures=pictures)
        wait_until(lambda: clock.next_deadline_s() == pytest.approx(began_s + 0.040))
        rig.put("a", 3, pictures)
        assert pictures.decoded == [0, 1]
        clock.advance_to(began_s + 0.0401)
        wait_until(lambda: pictures.decoded == [0, 1, 5])
        gate.let_go(2)
        rig.wait_for("a", 3)
    assert rig.batcher.ledger.counts("a") == {Fate.SERVED: 3, Fate.SUPERSEDED: 3}


@pytest.mark.parametrize("how", ["remove", "stop"])
def test_a_camera_or_stream_that_ends_while_it_decodes_leaves_no_frame_and_no_thread(how):
    begun, go_on = threading.Event(), threading.Event()

    def wait(sequence: int) -> None:
        begun.set()
        go_on.wait(10)

    before = threading.active_count()
    pictures, model = Pictures(wait), ToyModel()
    with running(model, {"a": PATIENT, "b": PATIENT}) as rig:
        rig.put("a", pictures=pictures)
        assert begun.wait(10)
        if how == "remove":
            rig.batcher.remove("a")
            assert rig.fates("a") == [(0, Fate.STOPPED)]
            go_on.set()
            rig.put("b")
            rig.wait_for("b", 1)
        else:
            rig.batcher.refuse()
            go_on.set()
    assert rig.fates("a") == [(0, Fate.STOPPED)]
    assert all(camera == "b" for call in model.calls for camera, _ in call)
    wait_until(lambda: threading.active_count() == before)


def test_a_decoder_that_hangs_keeps_no_stream_from_ending():
    begun, go_on = threading.Event(), threading.Event()
    rig = Rig(ToyModel(), {"a": PATIENT})
    rig.batcher.start()
    rig.put("a", pictures=holding(begun, go_on))
    assert begun.wait(10)
    (left,) = rig.batcher.stop(0.2)
    assert left.name == "edgevision-decode"
    assert rig.batcher.ledger.counts("a") == {Fate.STOPPED: 1}
    go_on.set()
    left.join(10)
    assert rig.batcher.ledger.counts("a") == {Fate.STOPPED: 1}
    assert rig.fates("a") == [(0, Fate.STOPPED)]


def test_one_that_hangs_is_given_up_and_its_camera_left_out_until_it_ends(two_cores):
    clock, begun, go_on = FakeClock(100.0), threading.Event(), threading.Event()
    with running(ToyModel(), {"a": PATIENT, "b": PATIENT, "c": PATIENT}, clock=clock, model_timeout_s=8.0) as rig:
        rig.put("a", pictures=holding(begun, go_on))
        assert begun.wait(10)
        rig.put("b", pictures=Pictures())  # by the other thread
        rig.wait_for("b", 1)
        for _ in range(6):
            wait_until(lambda: clock.next_deadline_s() is not None)
            clock.advance(2.0)
        rig.wait_for("a", 1)
        assert rig.fates("a") == [(0, Fate.CORRUPT)]
        wait_until(lambda: len(rig.troubles) == 1)
        assert "was not decoded within 8 s" in rig.troubles[0].words
        assert rig.troubles[0].camera == "a"

        together, newer = threading.Barrier(2), Pictures()
        both = Pictures(lambda sequence: together.wait(10) and None)
        rig.put("a", pictures=newer)
        for camera in "bc":
            rig.put(camera, pictures=both)  # its thread was replaced: two are decoded at once
        for camera, count in (("b", 2), ("c", 1)):
            rig.wait_for(camera, count)
        assert newer.decoded == []
        go_on.set()
        rig.wait_for("a", 2)
    assert rig.fates("a") == [(0, Fate.CORRUPT), (1, Fate.SERVED)]
    assert rig.batcher.ledger.counts("a") == {Fate.CORRUPT: 1, Fate.SERVED: 1}


def test_the_model_of_the_moment_gets_what_was_decoded_before(two_cores):
    begun, go_on = threading.Event(), threading.Event()
    old, new = ToyModel(id="old"), ToyModel(id="new")
    with running(old, {"a": PATIENT}) as rig:
        rig.put("a", pictures=holding(begun, go_on))
        assert begun.wait(10)
        rig.batcher.switch(new)
        assert not rig.batcher.in_use(old)
        go_on.set()
        rig.wait_for("a", 1)
    assert [one.model_id for one in rig.settled["a"]] == ["new"]


def test_nothing_decoded_is_kept_after_the_end(two_cores):
    gate = Gate()
    model = ToyModel(max_batch=4, before=gate)
    with running(model, dict.fromkeys("abd", PATIENT)) as rig:
        decode_two_ahead(rig, gate, Pictures())
        rig.batcher.refuse()
        gate.let_go(5)
    assert len(rig.batcher._ahead) == 0
    assert rig.fates("a") == [(0, Fate.STOPPED)]


def test_who_watches_and_who_draws_gets_the_pixels(monkeypatch):
    """From the app's JPEG to the model, a shadow run and a picture with the answer: decoded once, to the pixels that ``read_image`` gives."""
    calls: list[int] = []
    original = decoder._decode
    monkeypatch.setattr(decoder, "_decode", lambda *given: calls.append(1) or original(*given))
    data = encoded(".jpg", photo())
    seen: list[np.ndarray] = []
    model = ToyModel(before=lambda frames: seen.extend(frame.planes[0] for frame in frames))
    till = PushSource("till")
    watched = []
    with ev.stream([till], model, options=StreamOptions(warm_up=False), keep_frames=True) as results:
        results._batcher.watch = watched.append
        till.put(bytearray(data), captured_ns=77)
        result = next(results)
    assert len(calls) == 1
    expected = read_image(data)
    wait_until(lambda: len(watched) == 1)
    for pixels in (seen[0], result.frame.planes[0], watched[0].frames[0].planes[0]):
        np.testing.assert_array_equal(pixels, expected)
    assert (result.frame.camera, result.frame.sequence, result.captured_ns) == ("till", 0, 77)


def test_a_picture_that_is_decoded_already_goes_straight_to_the_model():
    data = encoded(".jpg", photo())
    pictures = Pictures()
    with running(ToyModel(), {"a": PATIENT}) as rig:
        ready = pictures.captured(rig.batcher.ledger.captured("a"), rig.batcher.clock.now_s(), camera="a")
        ready.decoded()
        rig.mailboxes["a"].put(ready)
        rig.wait_for("a", 1)
        assert rig.batcher._ahead.stop() == []
    assert not captured(0).must_be_decoded
    assert to_frame(data).camera is None
