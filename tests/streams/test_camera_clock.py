from __future__ import annotations

import numpy as np
import pytest

from edgevision.streams.camera_clock import DRIFT, CaptureClock

FPS = 25


def run(stamps: list[float], received: list[float]) -> tuple[list[float], CaptureClock]:
    clock = CaptureClock()
    return [clock.captured_s(stamp, at) for stamp, at in zip(stamps, received, strict=True)], clock


def steady(seconds: float, *, speed: float = 1.0, delay: float = 0.05, jitter: float = 0.0) -> tuple[list, list]:
    """Frames captured at k / FPS on our clock, whose stamps begin at 7 s and run at ``speed``."""
    random = np.random.default_rng(5)
    captured = [k / FPS for k in range(int(seconds * FPS))]
    return [7 + speed * at for at in captured], [at + delay + jitter * random.random() for at in captured]


def test_the_estimate_is_late_by_the_least_delay_alone():
    stamps, received = steady(20, jitter=0.1)
    estimated, clock = run(stamps, received)
    late = np.array(estimated) - np.arange(len(stamps)) / FPS
    assert late[250:].min() > 0.049
    assert late[250:].max() < 0.06
    assert clock.speed == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("stall_s", [0.4, 3.0])
def test_frames_that_a_stall_held_back_keep_the_moment_of_their_capture(stall_s):
    stamps, received = steady(20)
    held = [max(at, 10 + stall_s) if at > 10 else at for at in received]
    held = [at + 0.001 * (k - 250) if 10 < received[k] < 10 + stall_s else at for k, at in enumerate(held)]
    estimated, clock = run(stamps, held)
    expected = np.arange(len(stamps)) / FPS + 0.05
    np.testing.assert_allclose(estimated, expected, atol=DRIFT * 20)
    assert not clock._speed.is_wrong


def test_a_lag_that_stays_is_not_forgotten():
    stamps, received = steady(120)
    late = [at + 1.0 if at > 20 else at for at in received]
    estimated, _ = run(stamps, late)
    ages = np.array(late) - np.array(estimated)
    assert ages[-1] > 1.0 - DRIFT * 110


def test_the_drift_of_a_crystal_is_followed():
    """A camera 50 ppm slow for an hour: without the drift its frames would seem 0.18 s old."""
    captured = np.arange(0, 3600, 0.5)
    stamps, received = captured * (1 - 50e-6), captured + 0.05
    estimated, _ = run(list(stamps), list(received))
    assert np.abs(received - np.array(estimated)).max() < 1e-3


@pytest.mark.parametrize("speed", [22.4 / 25, 1.2])
def test_stamps_at_another_speed_tell_nothing(speed):
    stamps, received = steady(30, speed=speed)
    estimated, clock = run(stamps, received)
    assert clock.speed == pytest.approx(speed, abs=0.01)
    assert estimated[-1] == received[-1]


def test_stamps_out_of_order_change_nothing():
    """Every tenth stamp goes back by half a frame, and a lag of a second after the middle is still seen."""
    stamps, received = steady(20)
    shuffled = [at - 0.06 if k % 10 == 9 else at for k, at in enumerate(stamps)]
    late = [at + 1.0 if k > 250 else at for k, at in enumerate(received)]
    estimated, _ = run(shuffled, late)
    ages = np.array(late) - np.array(estimated)
    assert ages[:250].max() < 0.07
    assert ages[300:].min() > 0.99


def test_stamps_that_begin_anew_and_missing_ones():
    stamps, received = steady(2)
    clock = CaptureClock()
    assert [clock.captured_s(None, 3.0)] == [3.0]
    for stamp, at in zip(stamps, received, strict=True):
        clock.captured_s(stamp, at)
    assert clock.captured_s(0.0, 50.0) == 50.0
    assert clock.captured_s(0.1, 50.5) == pytest.approx(50.1, abs=1e-3)
