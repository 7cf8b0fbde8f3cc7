"""Block timing, on a clock that only the candidates move."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.blocks import BLOCK_NS, LEAST_CALLS, MOST_CALLS, UNKEPT_CALLS, WARMUP_ROUNDS, Usage, measure_blocks
from edgevision.errors import InputError

US = 1_000


class World:
    """A clock in nanoseconds, counts of the operating system, and every call made: (candidate, frame)."""

    def __init__(self):
        self.now = 0
        self.preemptions = 0
        self.page_faults = 0
        self.calls = []

    def candidate(self, name, us, preempted=lambda call: False, slow=1, page_faults=0):
        def call(frame):
            count = sum(other == name for other, _ in self.calls)
            self.calls.append((name, frame))
            disturbed = preempted(count)
            self.preemptions += disturbed
            self.page_faults += page_faults
            self.now += us * US * (slow if disturbed else 1)

        return call

    def measure(self, candidates, **options):
        options = {"frames": 7, "cold": False, "seconds": 0.0, "least_rounds": 5} | options
        frames = options.pop("frames")
        usage = lambda: Usage(self.preemptions, self.page_faults)  # noqa: E731
        return measure_blocks(candidates, frames, clock=lambda: self.now, usage=usage, **options)


@pytest.fixture
def world():
    return World()


def test_medians_are_those_of_each_round(world):
    measured = world.measure({"a": world.candidate("a", 50), "b": world.candidate("b", 200)})
    assert measured["a"].medians.ns.tolist() == [50 * US] * 5
    assert measured["b"].median_us == 200
    assert measured["a"].kept == measured["b"].kept == 1


@pytest.mark.parametrize(("us", "calls"), [(10, MOST_CALLS), (50_000, LEAST_CALLS), (1_000, BLOCK_NS // (1_000 * US))])
def test_blocks_of_slow_calls_are_short(world, us, calls):
    assert world.measure({"a": world.candidate("a", us)})["a"].calls_per_block == calls


def test_hot_calls_read_the_same_frame(world):
    world.measure({"a": world.candidate("a", 50), "b": world.candidate("b", 90)})
    assert {frame for _, frame in world.calls} == {0}


def test_cold_calls_read_the_frame_that_nobody_has_read_for_longest(world):
    world.measure({"a": world.candidate("a", 50), "b": world.candidate("b", 4_000)}, cold=True)
    assert [frame for _, frame in world.calls] == [i % 7 for i in range(len(world.calls))]


def test_blocks_take_turns_in_changing_order(world):
    world.measure({"a": world.candidate("a", 4_000), "b": world.candidate("b", 4_000)}, least_rounds=20)
    length = LEAST_CALLS + UNKEPT_CALLS
    before = 1 + WARMUP_ROUNDS
    blocks = [name for name, _ in world.calls[2 * before * length :: length]]
    rounds = {tuple(blocks[i : i + 2]) for i in range(0, 40, 2)}
    assert rounds == {("a", "b"), ("b", "a")}


def test_calls_that_lost_their_core_are_dropped_and_counted(world):
    disturbed = world.candidate("a", 100, preempted=lambda call: call % 3 == 0, slow=40)
    measured = world.measure({"a": disturbed}, least_rounds=30)["a"]
    assert measured.medians.ns.tolist() == [100 * US] * 30
    assert measured.kept == pytest.approx(2 / 3, abs=0.03)


def test_a_block_without_an_undisturbed_call_is_made_again(world):
    first = (2 + WARMUP_ROUNDS) * (LEAST_CALLS + UNKEPT_CALLS)  # the first block of the measurement, and all before
    disturbed = world.candidate("a", 4_000, preempted=lambda call: call < first, slow=3)
    measured = world.measure({"a": disturbed})["a"]
    assert measured.medians.ns.tolist() == [4_000 * US] * 5
    assert measured.kept < 1


def test_where_nothing_is_undisturbed_all_calls_count(world):
    measured = world.measure({"a": world.candidate("a", 4_000, preempted=lambda call: True)})["a"]
    assert measured.medians.ns.tolist() == [4_000 * US] * 5
    assert measured.kept == 0


def test_page_faults_are_told_per_call(world):
    measured = world.measure({"a": world.candidate("a", 100, page_faults=3), "b": world.candidate("b", 100)})
    assert [measured[name].page_faults_per_call for name in "ab"] == [3, 0]


def test_measures_for_as_long_as_it_is_told(world):
    measured = world.measure({"a": world.candidate("a", 4_000)}, seconds=1.0)["a"]
    of_a_round = (LEAST_CALLS + UNKEPT_CALLS) * 0.004
    assert measured.medians.n == np.ceil(1.0 / of_a_round)


@pytest.mark.parametrize("wrong", [{"candidates": {}}, {"frames": 0}, {"least_rounds": 0}])
def test_refuses_nothing_to_measure(world, wrong):
    options = {"candidates": {"a": world.candidate("a", 1)}} | wrong
    with pytest.raises(InputError, match="expected candidates, frames and rounds"):
        world.measure(options.pop("candidates"), **options)
