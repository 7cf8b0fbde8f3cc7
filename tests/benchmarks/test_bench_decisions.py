"""The judge of rules, held against what can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import bench_noise
from benchmarks.bench_decisions import clipped_mean, judge, mean_of, median_of, other, rounds_of, stretches
from benchmarks.bench_noise import Noise


def constant(n: int) -> Noise:
    return Noise(np.full(n, 1_000_000), np.zeros(n, bool), {})


def test_without_noise_everybody_is_right():
    judged = judge(constant(4000), runs=4, rounds=20, calls=5, seed=0)
    assert judged["ours"]["found_5_percent"] == 1
    assert judged["ours"]["called_0_percent_equal"] == 1
    assert judged["ours"]["two_runs_overlap"] == 1
    for told in judged["others"].values():
        assert (told["found_5_percent"], told["called_0_percent_different"]) == (1, 0)


def test_a_machine_that_becomes_slower_misleads_those_that_measure_one_after_the_other():
    slowing = Noise(np.linspace(1e6, 1.6e6, 8000).astype(np.int64), np.zeros(8000, bool), {})
    judged = judge(slowing, runs=4, rounds=20, calls=50, seed=0)
    assert judged["ours"]["found_5_percent"] == 1
    assert judged["ours"]["called_0_percent_different"] == 0
    assert judged["others"]["OpenVINO benchmark_app (median)"]["called_0_percent_different"] == 1


def test_every_call_is_in_one_block():
    a, b = rounds_of(np.arange(60.0), calls=5, slowdown=0.0, rng=np.random.default_rng(0))
    assert a.shape == b.shape == (6, 5)
    assert sorted([*a.ravel(), *b.ravel()]) == list(range(60))
    assert (np.abs(a[:, 0] - b[:, 0]) == 5).all()  # both of a round are neighbours


def test_stretches_are_spread_over_the_noise():
    noise = Noise(np.arange(100), np.zeros(100, bool), {})
    assert stretches(noise, 3, 20)[:, 0].tolist() == [0, 40, 80]
    with pytest.raises(SystemExit, match="record for longer"):
        stretches(noise, 3, 101)


def test_what_other_tools_make_of_calls():
    calls = np.array([1.0] * 30 + [2.0] * 30 + [1000.0])
    assert mean_of(calls) == 1
    assert median_of(calls) == 2
    assert clipped_mean(calls) == pytest.approx(1.5)
    assert other(median_of, np.ones(10), 0.05, np.random.default_rng(0)) == pytest.approx(1.05)


def test_noise_is_saved_as_it_was(tmp_path):
    noise = bench_noise.record_noise(0.02)
    assert len(noise.ns) == len(noise.switched) == noise.about["calls"] > 0
    bench_noise.save(noise, tmp_path / "noise.npz")
    again = bench_noise.load(tmp_path / "noise.npz")
    assert np.abs(again.ns - noise.ns).max() <= 500
    assert (again.switched == noise.switched).all()
    assert again.about["machine"] == noise.about["machine"]


def test_made_up_noise_is_what_it_says():
    noise = bench_noise.synthetic(200_000, seed=0)
    assert np.median(noise.ns) == pytest.approx(1e6, rel=0.06)
    assert noise.switched.mean() == pytest.approx(0.005, abs=0.001)
    assert (noise.ns == bench_noise.synthetic(200_000, seed=0).ns).all()
