from __future__ import annotations

import random

import pytest

from edgevision.streams.backoff import CAREFUL, USUAL, Backoff


@pytest.mark.parametrize(
    ("uniform", "expected"),
    [
        (0.5, [0.5, 1, 2, 4, 8, 16, 30, 30, 30]),
        (0.0, [0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 24, 24, 24]),
        (1.0, [0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 36, 36, 36]),
    ],
)
def test_waits_double_up_to_the_longest_and_tremble(uniform, expected):
    backoff = Backoff(lambda: uniform)
    assert [backoff.wait_s() for _ in expected] == pytest.approx(expected)
    backoff.reset()
    assert backoff.wait_s() == pytest.approx(expected[0])


def test_cameras_that_fail_together_are_tried_apart():
    generator = random.Random(3)
    waits = [Backoff(generator.random).wait_s() for _ in range(200)]
    assert len(set(waits)) == 200
    assert 0.4 <= min(waits) < 0.42
    assert 0.58 < max(waits) <= 0.6


def test_a_refusal_is_tried_four_times_an_hour_in_the_end():
    backoff = Backoff(lambda: 0.5)
    waits = [backoff.wait_s(CAREFUL) for _ in range(100)]
    assert waits[:5] == [60, 120, 240, 480, 900]
    assert waits[-1] == CAREFUL.longest_s
    assert backoff.wait_s(USUAL) == USUAL.longest_s  # failures count, whatever they were, and never overflow
