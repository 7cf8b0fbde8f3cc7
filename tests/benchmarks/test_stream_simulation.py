"""The simulated streams against what can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stream_overhead import fair_shares
from benchmarks.stream_policy import SCENARIOS, regular
from benchmarks.stream_simulation import SimulatedCamera, simulate
from edgevision.streams.fates import Fate
from edgevision.streams.options import Service


def test_alone_a_frame_is_as_old_as_the_model_takes():
    cameras = {"a": SimulatedCamera(np.arange(50) / 25, ages_s=[0.02] * 50)}
    outcome = simulate(cameras, lambda n: 0.010 * n, max_batch=4, until_s=2.0)
    assert [one.result for one in outcome.served("a")] == [("a", i) for i in range(50)]
    assert outcome.ages_s() == pytest.approx([0.030] * 50)
    assert outcome.busy == pytest.approx(0.25, rel=0.02)
    assert outcome.batches == 50


def test_a_slow_model_serves_the_newest_frame_each_time():
    """A frame each 10 ms, 33 ms for one: 0, then 3, which is the newest at 33 ms, 6, 9, 13, …"""
    cameras = {"a": SimulatedCamera(np.arange(40) / 100)}
    outcome = simulate(cameras, lambda n: 0.033, max_batch=1, until_s=0.4)
    assert [one.captured.sequence for one in outcome.served("a")][:5] == [0, 3, 6, 9, 13]
    account = outcome.accounts["a"]
    assert account.balanced
    assert account.fates[Fate.SUPERSEDED] == 40 - len(outcome.served("a")) - account.fates.get(Fate.STOPPED, 0)


def test_two_cameras_in_step_share_batches():
    times = np.arange(20) / 10
    cameras = {"a": SimulatedCamera(times), "b": SimulatedCamera(times + 0.0001)}
    outcome = simulate(cameras, lambda n: 0.020 + 0.001 * n, max_batch=8, until_s=2.0)
    # At first nobody is expected; then the second is waited for; once, one runs alone, to see whether batches gain.
    assert outcome.batches == 20 + 8 + 1
    assert outcome.fps("a") == outcome.fps("b") == 10


@pytest.mark.parametrize(("weights", "rate", "capacity", "expected"), [
    ([1, 1], 25, 20, [10, 10]), ([1, 3], 25, 20, [5, 15]), ([1, 9], 10, 15, [5, 10]), ([1, 1, 2], 25, 100, [25, 25, 25]),
])  # fmt: skip
def test_fair_shares(weights, rate, capacity, expected):
    assert fair_shares(weights, rate, capacity) == pytest.approx(expected)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_every_scenario_has_the_frames_it_says(scenario):
    cameras = scenario.cameras(60.0, np.random.default_rng(1))
    assert all(list(camera.arrivals_s) == sorted(camera.arrivals_s) for camera in cameras.values())
    assert all(isinstance(camera.service, Service) for camera in cameras.values())
    assert all(-1e-9 <= age <= 0.451 for camera in cameras.values() for age in camera.ages_s)


def test_a_regular_camera_has_its_rate():
    times = np.array(regular(25, 60.0, np.random.default_rng(0)))
    assert len(times) == 1500
    assert np.diff(times).mean() == pytest.approx(0.04, rel=0.01)
    assert np.abs(np.diff(times) - 0.04).max() <= 0.0041
