from __future__ import annotations

import gc
import random

import numpy as np
import pytest
from latencies import noisy

from edgevision import latency
from edgevision.errors import InputError
from edgevision.latency import Samples, measure_interleaved, paired_ratio, within_noise


def samples(values: list[int] | np.ndarray) -> Samples:
    return Samples(np.asarray(values, dtype=np.int64))


class Clock:
    """A clock that only moves when a candidate works."""

    def __init__(self) -> None:
        self.now = 0

    def work(self, ns: int) -> None:
        self.now += ns


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(latency.time, "perf_counter_ns", lambda: clock.now)
    return clock


def test_every_candidate_is_timed_once_a_round_and_warm_up_is_not_kept(clock):
    calls: list[str] = []
    rounds = iter(range(1000))

    def quick() -> None:
        calls.append("quick")
        clock.work(10)

    def slow() -> None:
        calls.append("slow")
        clock.work(1000 + next(rounds))

    result = measure_interleaved({"quick": quick, "slow": slow}, rounds=20, warmup=3)
    assert list(result) == ["quick", "slow"]
    assert result["quick"].ns.tolist() == [10] * 20
    assert result["slow"].ns.tolist() == list(range(1003, 1023))  # in the order of the rounds
    each_round = [calls[i : i + 2] for i in range(0, len(calls), 2)]
    assert len(each_round) == 23
    assert all(sorted(pair) == ["quick", "slow"] for pair in each_round)
    assert len({tuple(pair) for pair in each_round}) == 2  # both orders occur


def test_the_order_follows_the_seed_alone(clock):
    def order(seed: int) -> list[str]:
        calls: list[str] = []
        measure_interleaved({n: lambda n=n: calls.append(n) for n in "abcd"}, rounds=10, seed=seed)
        return calls

    random.seed(1)
    first = order(7)
    random.seed(2)
    assert order(7) == first
    assert order(8) != first


def test_the_garbage_collector_rests_and_comes_back():
    seen: list[bool] = []
    measure_interleaved({"a": lambda: seen.append(gc.isenabled())}, rounds=3)
    assert not any(seen)
    assert gc.isenabled()

    def fail() -> None:
        raise RuntimeError("engine")

    with pytest.raises(RuntimeError, match="engine"):
        measure_interleaved({"a": fail})
    assert gc.isenabled()


def test_preemption_is_counted_and_nothing_dropped(monkeypatch):
    switches = iter([0, 0, 4, 7, 7, 7, 7, 8])  # before and after each of four calls
    monkeypatch.setattr(latency, "switch_counter", lambda: lambda: next(switches))
    result = measure_interleaved({"a": lambda: None}, rounds=4, warmup=0)["a"]
    assert result.n == 4
    assert result.preempted is not None
    assert result.preempted.tolist() == [0, 3, 0, 1]
    assert result.undisturbed == 0.5


def test_without_a_counter_disturbance_is_unknown(monkeypatch):
    monkeypatch.setattr(latency, "switch_counter", lambda: None)
    assert measure_interleaved({"a": lambda: None}, rounds=2)["a"].undisturbed is None


def test_real_measurements_are_positive():
    result = measure_interleaved({"a": lambda: sum(range(2000))}, rounds=5)["a"]
    assert (result.ns > 0).all()
    assert 0 < result.p50_ms <= result.p90_ms <= result.p99_ms


@pytest.mark.parametrize(
    ("n", "p", "rank"), [(1, 0.5, 1), (2, 0.5, 1), (3, 0.5, 2), (10, 0.9, 9), (11, 0.9, 10), (100, 0.99, 99), (100, 0.07, 7), (5, 1.0, 5)]
)  # fmt: skip
def test_percentiles_are_measurements_by_nearest_rank(n, p, rank):
    values = np.random.default_rng(n).permutation(np.arange(1, n + 1) * 1_000_000)
    assert samples(values).percentile_ms(p) == rank
    assert np.percentile(values, 100 * p, method="inverted_cdf") / 1e6 == pytest.approx(rank, abs=1)


def test_a_ratio_is_of_rounds_not_of_medians():
    """A disturbance that slows both of a round leaves the ratio alone."""
    rng = np.random.default_rng(0)
    slow_down = rng.choice([1, 1, 10], 300)
    b = samples(1000 * slow_down)
    a = samples((2000 + rng.integers(-20, 20, 300)) * slow_down)
    ratio = paired_ratio(a, b)
    assert ratio.median == pytest.approx(2.0, abs=0.01)
    assert ratio.low <= ratio.median <= ratio.high
    assert ratio.high - ratio.low < 0.01
    assert paired_ratio(a, b) == ratio  # the seed is fixed


def test_the_interval_of_a_ratio_covers_the_truth():
    """Log-normal noise around a true ratio of 1.5: the interval holds it about as often as it says."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        a = samples((1.5e6 * np.exp(rng.normal(0, 0.1, 60))).astype(np.int64))
        b = samples((1.0e6 * np.exp(rng.normal(0, 0.1, 60))).astype(np.int64))
        ratio = paired_ratio(a, b, resamples=200)
        covered += ratio.low <= 1.5 <= ratio.high
    assert 0.88 <= covered / 200 <= 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure_interleaved({}), "candidates"),
        (lambda: measure_interleaved({"a": lambda: None}, rounds=0), "rounds"),
        (lambda: samples([1]).percentile_ms(50), "share"),
        (lambda: paired_ratio(samples([1, 2]), samples([1])), "same rounds"),
        (lambda: paired_ratio(samples([1]), samples([0])), "clock"),
        (lambda: paired_ratio(samples([1]), samples([1]), confidence=95), "confidence"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("slower", "noise", "tied"),
    [
        (1.02, 0.0, False), (1.0005, 0.0, False), (1.02, 0.005, False),  # beyond doubt, however little
        (1.0, 0.0, True), (0.9, 0.0, True), (1.0, 0.01, True), (1.05, 0.3, True),
    ],
)  # fmt: skip
def test_what_lies_within_the_noise(slower, noise, tied):
    assert within_noise(noisy(slower, noise, seed=1), noisy(1.0, noise, seed=2)) is tied


def test_a_disturbance_of_whole_rounds_is_no_noise():
    """Rounds differ tenfold, alike for both: 2 % slower are seen all the same."""
    moods = np.random.default_rng(0).choice([1, 10], 40)
    a, b = noisy(1.02, 0.002, seed=1), noisy(1.0, 0.002, seed=2)
    assert not within_noise(samples(a.ns * moods), samples(b.ns * moods))
