"""By which probes a number of cameras holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevision.bench.scenarios.base import Block, Scenario
from edgevision.bench.session.density import holds, verdict

RULE = Scenario("density", {"rule": "every-stream", "fps": 10.0, "share": 0.9, "age_ms": 200.0, "repeats": 3})


def probe(ages_ms: list[float], dropped: tuple[int, ...] = (0, 0)) -> Block:
    latency = (np.array(ages_ms) * 1e6).astype(np.int64)
    none = np.zeros(0, np.int64)
    scenario = Scenario("fixed-rate", {"cameras": 2, "fps": 10.0})
    return Block(
        "a", scenario, 0, 0, 10**9, latency, np.zeros(len(latency), np.int64), np.zeros(0, np.bool_), none,
        offered=(50, 50), dropped=dropped,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (probe([10.0] * 100), True),
        (probe([10.0] * 99 + [900.0]), True),
        (probe([10.0] * 98 + [900.0] * 2), False),
        (probe([10.0] * 95, (0, 5)), True),
        (probe([10.0] * 94, (0, 6)), False),
        (probe([], (50, 50)), False),
    ],
)
def test_every_stream(block, expected):
    assert holds(RULE, block) == expected


@pytest.mark.parametrize(
    ("tries", "expected"),
    [("+", None), ("++", True), ("-", None), ("+-", None), ("--", False), ("+-+", True), ("-+-", False)],
)
def test_more_than_half_of_the_tries_must_hold(tries, expected):
    blocks = [probe([10.0] * 100 if one == "+" else [900.0] * 100) for one in tries]
    other = replace(blocks[0], scenario=Scenario("fixed-rate", {"cameras": 3, "fps": 10.0}))
    assert verdict(RULE, [*blocks, other, other], 2) is expected
