"""Rates by counting, and what is expected next."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.streams.arrivals import Arrivals


def after(times) -> Arrivals:
    arrivals = Arrivals()
    for time in times:
        arrivals.add(float(time))
    return arrivals


@pytest.mark.parametrize("fps", [0.2, 5, 22.4, 60])
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_the_period_is_the_real_one(fps, jitter):
    random = np.random.default_rng(7)
    times = (np.arange(200) + jitter * random.uniform(-1, 1, 200)) / fps
    arrivals = after(times)
    assert arrivals.period_s == pytest.approx((times[-1] - times[-64]) / 63)
    assert arrivals.period_s == pytest.approx(1 / fps, rel=0.01)
    spread = np.abs(np.diff(times) - 1 / fps).mean()
    assert arrivals.deviation_s == pytest.approx(spread, rel=0.5, abs=1e-9)


def test_a_new_rate_is_learned_within_64_frames():
    times = [*np.arange(100) / 25, *(4 + np.arange(64) / 10)]
    assert after(times).period_s == pytest.approx(0.1)


def test_too_few_frames_tell_nothing():
    arrivals = after(np.arange(7) / 25)
    assert arrivals.period_s is None
    assert arrivals.next_s == float("inf")
    assert Arrivals().last_s is None


def test_a_pause_is_no_part_of_the_rate():
    times = [*np.arange(20) / 25, *(60 + np.arange(10) / 25)]
    arrivals = after(times)
    assert arrivals.period_s == pytest.approx(1 / 25)
    assert arrivals.deviation_s == pytest.approx(0, abs=1e-9)


def test_the_next_frame_is_expected_a_period_after_the_last():
    arrivals = after(np.arange(100) / 25)
    assert arrivals.last_s == pytest.approx(3.96)
    assert arrivals.next_s == pytest.approx(4.0)
