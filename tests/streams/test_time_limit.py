"""A call that comes back, one that raises, one that hangs."""

from __future__ import annotations

import threading

import pytest

from edgevision.errors import EngineError
from edgevision.streams.time_limit import in_time


def test_the_answer_comes_through():
    assert in_time(lambda: 41 + 1, 60.0) == 42


def test_what_it_raises_comes_through_even_an_exit():
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        in_time(leave, 60.0)


def test_a_call_that_hangs_is_left_behind_and_ends_by_itself():
    go = threading.Event()
    ended = threading.Event()

    def hang():
        go.wait()
        ended.set()

    with pytest.raises(EngineError, match=r"did not come back within 0\.01 s"):
        in_time(hang, 0.01)
    assert not ended.is_set()
    go.set()
    assert ended.wait(60.0)
