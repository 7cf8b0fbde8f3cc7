"""Figures of blocks whose samples are known."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from edgevision.bench.scenarios import order, server
from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session import budget, density
from edgevision.bench.session.figures import figures_of, statistics_of


def block(name: str, latency_ms: np.ndarray, wall_s: float = 1.0, round: int = 0, **more: object) -> Block:
    parameters = {"samples": 4, "batch": 4, "fps": 10.0, "cameras": 2}
    latency = (np.asarray(latency_ms) * 1e6).astype(np.int64)
    none = np.zeros(0, np.int64)
    return Block(
        "a",
        Scenario(name, parameters),
        round,
        0,
        round_ns(wall_s),
        latency,
        np.zeros_like(latency),
        np.zeros(0, np.bool_),
        none,
        **more,
    )  # type: ignore[arg-type]


def round_ns(seconds: float) -> int:
    return int(seconds * 1e9)


def figures(name: str, *blocks: Block) -> dict[str, tuple[float, str]]:
    return {
        one.name: (round(one.value, 6), one.unit)
        for one in figures_of(Scenario(name, {"samples": 4, "batch": 4}), blocks)
    }


def test_percentiles_are_of_all_requests():
    """1, 2, …, 1000 ms over ten blocks: the percentile is the sample at its rank."""
    shuffled = np.random.default_rng(0).permutation(np.arange(1, 1001)).reshape(10, 100)
    blocks = [block("single-stream", row, round=place) for place, row in enumerate(shuffled)]
    found = figures("single-stream", *blocks)
    assert [found[name] for name in ("p50", "p90", "p99")] == [(500, "ms"), (900, "ms"), (990, "ms")]
    for one in figures_of(Scenario("single-stream"), blocks)[:3]:
        assert one.low < one.value < one.high
        assert one.n == 1000


def test_too_few_requests_have_no_upper_bound_and_say_so():
    (p99,) = (
        one
        for one in figures_of(Scenario("single-stream"), [block("single-stream", np.full(100, 5.0))])
        if one.name == "p99"
    )
    assert p99.high is None
    assert p99.note == "100 requests were measured, and a bound needs 662"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("single-stream", 100.0),  # of the 50 ms in which it worked
        ("multi-stream", 400.0),  # four frames a query
        ("offline", 20.0),  # of the wall's second
        ("server", 5.0),
    ],
)
def test_throughput(name, expected):
    assert figures(name, block(name, np.full(5, 10.0)))["throughput"] == (expected, "frames/s")


def test_cameras():
    more = {"offered": (20, 20), "dropped": (2, 10), "streams": np.repeat([0, 1], [18, 10])}
    found = figures("fixed-rate", block("fixed-rate", np.full(28, 50.0), **more))
    assert found["fps"] == (7.0, "fps")
    assert found["fps of the slowest"] == (5.0, "fps")
    assert found["dropped"] == (30.0, "%")
    assert found["age p50"] == (50.0, "ms")


def test_a_server_that_lost_requests_says_so():
    found = figures_of(Scenario("server"), [block("server", np.full(5, 10.0), offered=(9,), dropped=(4,))])
    assert "4 requests were not begun in time" in found[0].note


@pytest.mark.parametrize("name", ["single-stream", "fixed-rate", "offline"])
def test_nothing_was_answered(name):
    assert figures_of(Scenario(name, {"batch": 4}), [block(name, np.zeros(0))]) == ()


def test_what_is_compared_is_what_blocks_say():
    one = block("single-stream", np.arange(1, 101))
    assert {name: statistic(one) for name, statistic in statistics_of(one.scenario).items()} == {
        "p50": 50e6,
        "p90": 90e6,
    }


@pytest.mark.parametrize("module", [order, server, budget, density])
def test_examples(module):
    assert doctest.testmod(module).failed == 0
