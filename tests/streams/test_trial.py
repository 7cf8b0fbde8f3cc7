"""The trial in shadow: when there is time to spare, and what lets a model through."""

from __future__ import annotations

import math

import pytest
from stream_frames import captured

from edgevision.errors import InputError
from edgevision.streams.batcher import BatchDone
from edgevision.streams.options import SwapOptions
from edgevision.streams.trial import Trial


def batch(
    count: int = 1, seconds: float = 0.010, spare_s: float = 0.2, idle_s: float = 0.0, camera: str = "till", first: int = 0
) -> BatchDone:  # fmt: skip
    frames = [captured(first + place, camera=camera).frame for place in range(count)]
    return BatchDone(None, frames, [(camera, first + place) for place in range(count)], None, seconds, spare_s, idle_s)


def told(done: BatchDone, wrong: int = 0) -> list[object]:
    return ["wrong"] * wrong + list(done.results)[wrong:]


@pytest.mark.parametrize(("spare_s", "now_s", "runs"), [
    (0.2, 0.0, False),  # 15 ms are a quarter of 60 ms
    (0.2, 0.059, False), (0.2, 0.061, True), (0.016, 10.0, True), (0.014, 10.0, False), (-1.0, 10.0, False), (math.inf, 10.0, True),
])  # fmt: skip
def test_it_may_first_run_where_the_longest_that_is_allowed_fits(spare_s, now_s, runs):
    trial = Trial(SwapOptions(share=0.25, max_slowdown=1.5), 0.0)
    assert trial.may_run(batch(spare_s=spare_s), now_s) is runs


def test_it_is_at_work_for_no_more_than_its_share_of_the_time():
    """Batches of 10 ms come all the time, and it takes 30 ms for each: 250 ms of each second."""
    trial, now_s, busy_s = Trial(SwapOptions(share=0.25, max_slowdown=5), 0.0), 0.0, 0.0
    while now_s < 60:
        now_s += 0.010
        done = batch()
        if trial.may_run(done, now_s):
            now_s, busy_s = now_s + 0.030, busy_s + 0.030
            trial.add(done, told(done), 0.030)
            assert busy_s <= 0.25 * now_s + 0.010  # the first was thought to take 20 ms
    assert busy_s == pytest.approx(15, rel=0.02)


def test_what_it_will_take_is_learned_and_one_hiccup_says_nothing():
    trial = Trial(SwapOptions(share=1.0), 0.0)
    for seconds in (0.1, 0.1, 9.0, 0.1, 0.1, 0.1):
        trial.add(batch(), told(batch()), seconds)
    assert trial.may_run(batch(spare_s=0.11), 100.0)
    assert not trial.may_run(batch(spare_s=0.09), 100.0)
    assert not trial.may_run(batch(4, spare_s=0.3), 100.0)
    assert trial.may_run(batch(4, spare_s=0.41), 100.0)


@pytest.mark.parametrize(
    ("wrong", "seconds", "words"),
    [
        (0, 0.010, ""),
        (1, 0.010, ""),  # 90 %
        (2, 0.010, "agree by 80.0%, and it takes 1.00 times as long; 90.0% is asked for"),
        (0, 0.0149, ""),
        (0, 0.016, "it takes 1.60 times as long; 1.5 times is allowed"),
    ],
)
def test_what_it_has_to_show(wrong, seconds, words):
    trial = Trial(SwapOptions(frames=100), 0.0)
    for turn in range(10):
        assert not trial.is_complete
        done = batch(10, first=10 * turn)
        trial.add(done, told(done, wrong), seconds)
    assert trial.is_complete
    assert (words in trial.objection()) if words else trial.objection() == ""
    report = trial.report
    assert (report.frames, report.agreement, report.slowdown) == (
        100,
        pytest.approx(1 - wrong / 10),
        pytest.approx(seconds / 0.010),
    )


@pytest.mark.parametrize(("spare_s", "idle_s", "runs"), [
    (0.0, 0.021, True), (0.0, 0.019, False), (-5.0, 0.021, True), (-5.0, 0.019, False), (0.011, 0.010, True), (0.009, 0.010, False),
])  # fmt: skip
def test_it_may_run_while_no_frame_is_expected_and_as_much_longer_as_results_have_time(spare_s, idle_s, runs):
    trial = Trial(SwapOptions(max_slowdown=5.0), 0.0)  # 20 ms are expected
    assert trial.may_run(batch(spare_s=spare_s, idle_s=idle_s), 100.0) is runs


@pytest.mark.parametrize(("beside", "slowdown"), [(None, 2.0), (batch(2, 0.040), 1.0), (batch(1, 0.001), 2.0)])
def test_where_both_share_the_cores_both_are_measured_so(beside, slowdown):
    """Alone the live model takes 20 ms for two frames; beside the new one, which takes 40, it takes as long."""
    trial = Trial(SwapOptions(), 0.0)
    for _ in range(8):
        trial.add(batch(2, 0.020), told(batch(2)), 0.040, beside)
    assert trial.report.slowdown == pytest.approx(slowdown)


def test_the_camera_that_agrees_least_is_named():
    trial = Trial(SwapOptions(frames=20), 0.0)
    for camera, wrong in (("till", 0), ("shelf", 5)):
        done = batch(10, camera=camera)
        trial.add(done, told(done, wrong), 0.01)
    assert trial.report.by_camera == {"till": 1.0, "shelf": 0.5}
    assert "(least: camera shelf, 50.0%)" in trial.objection()


def test_too_few_frames_are_an_objection():
    trial = Trial(SwapOptions(frames=100, within_s=60.0), 1000.0)
    trial.add(batch(40), told(batch(40)), 0.01)
    assert trial.ends_s == 1060.0
    assert "only 40 of 100 frames could be compared within 60 s" in trial.objection()


@pytest.mark.parametrize(("wrong", "words"), [
    ({"share": 0.0}, "share"), ({"share": 1.1}, "share"), ({"min_agreement": -0.1}, "0…1"), ({"frames": -1}, "frames"),
    ({"within_s": 0.0}, "within_s"), ({"max_slowdown": math.nan}, "max_slowdown"), ({"watched_batches": -2}, "watched_batches"),
])  # fmt: skip
def test_options_that_cannot_be_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        SwapOptions(**wrong)
