from __future__ import annotations

import math

import pytest

from edgevision.train.schedule import RunClock, ema_decay, learning_rate_factor, training_size


@pytest.mark.parametrize(
    ("progress", "warmup", "expected"),
    [
        (0.0, 0.1, 0.0), (0.05, 0.1, 0.5 * 0.5 * (1 + math.cos(0.05 * math.pi))), (0.1, 0.1, 0.9755282581475768),
        (0.25, 0.1, 0.8535533905932737), (0.5, 0.1, 0.5), (0.75, 0.1, 0.14644660940672627), (1.0, 0.1, 0.0),
        (0.0, 0.0, 1.0), (1.5, 0.0, 0.0),
    ],
)  # fmt: skip
def test_learning_rate(progress, warmup, expected):
    assert learning_rate_factor(progress, warmup) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("progress", "size", "shares", "expected"),
    [
        (0.0, 224, (0.72, 0.86), 160), (0.499, 224, (0.72, 0.86), 160), (0.5, 224, (0.72, 0.86), 192),
        (1.0, 224, (0.72, 0.86), 192), (0.2, 260, (0.72, 0.86), 192), (0.9, 260, (0.72, 0.86), 224),
        (0.0, 240, (1.0,), 240), (0.7, 260, (0.5, 1.0), 260), (0.0, 96, (0.72, 0.86), 72), (0.9, 96, (0.72, 0.86), 80),
        (0.0, 32, (0.5,), 32), (0.34, 300, (0.5, 0.75, 1.0), 224),
    ],
)  # fmt: skip
def test_training_size(progress, size, shares, expected):
    assert training_size(progress, size, shares) == expected


@pytest.mark.parametrize(
    ("step", "decay", "expected"),
    [(0, 0.99, 0.1), (8, 0.99, 0.5), (89, 0.99, 90 / 99), (10_000, 0.99, 0.99), (0, 0.0, 0.0)],
)
def test_ema_decay(step, decay, expected):
    assert ema_decay(step, decay) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "step", "budget", "expected"),
    [
        (0, 0, None, 0.0), (1e9, 25, None, 0.25), (1e9, 100, None, 1.0),
        (30, 10, 110, 0.3), (30, 90, 110, 0.9), (100, 10, 110, 1.0), (500, 10, 110, 1.0), (5, 1, 5, 1.0),
    ],
)  # fmt: skip
def test_a_run_is_as_far_as_its_steps_or_its_time(seconds, step, budget, expected):
    time = iter([50.0, 50.0 + seconds])
    clock = RunClock(100, budget, reserve_s=10.0, now=lambda: next(time))
    assert clock.progress(step) == pytest.approx(expected)


def test_time_before_a_break_counts():
    time = iter([7.0, 17.0])
    assert RunClock(100, 100.0, spent_s=30.0, now=lambda: next(time)).progress(0) == pytest.approx(0.4)
