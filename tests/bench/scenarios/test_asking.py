"""Each scenario against targets whose truth is known. Sleeps never end early: those bounds hold on any machine."""

from __future__ import annotations

import threading
import time

import bench_targets
import numpy as np
import pytest

from edgevision.bench.scenarios.server import arrivals
from edgevision.bench.targets.base import Allowance
from edgevision.bench.targets.interruption import INTERRUPTION

ALLOWANCE = Allowance(1, 8)
BLOCKS = [
    ("single-stream", {}),
    ("multi-stream", {"samples": 8, "batch": 4}),
    ("offline", {"batch": 4}),
    ("server", {"rate": 150.0, "batch": 2, "workers": 1}),
    ("fixed-rate", {"cameras": 3, "fps": 40.0, "batch": 2, "settle": 0.05}),
    ("repeats", {"pairs": 10}),
]


@pytest.mark.parametrize(("name", "parameters"), BLOCKS)
def test_a_block_holds_together(ask, name, parameters):
    block = ask(bench_targets.sleeps(ALLOWANCE, ms="1"), name, **parameters)
    n = len(block.latency_ns)
    assert n > 0
    assert (block.target, block.round, block.scenario.name) == ("it", 2, name)
    assert block.latency_ns.dtype == block.frames.dtype == np.int64
    assert (block.latency_ns >= 1_000_000).all()
    assert len(block.frames) == n
    assert len(block.switched) in (0, n)
    assert len(block.due_ns) in (0, n)
    assert all(len(values) == n for values in block.stages.values())
    assert block.wrong == ()
    if name != "repeats":
        assert (block.stages["infer"] >= 1_000_000).all()
    if name not in ("server", "fixed-rate"):
        assert block.wall_ns >= block.latency_ns.sum()


@pytest.mark.parametrize(("name", "parameters"), [one for one in BLOCKS if one[0] != "repeats"])
def test_the_same_seed_asks_for_the_same(ask, name, parameters):
    first, second = (ask(bench_targets.null(ALLOWANCE), name, **parameters, most_requests=40) for _ in range(2))
    if name == "fixed-rate":  # what each drops is the machine's choice
        assert first.offered == second.offered
        frame_of = dict(zip(second.due_ns.tolist(), second.frames.tolist(), strict=True))
        assert all(
            frame_of.get(due, place) == place
            for due, place in zip(first.due_ns.tolist(), first.frames.tolist(), strict=True)
        )
        return
    n = min(len(first.frames), len(second.frames))
    assert np.array_equal(first.frames[:n], second.frames[:n])
    assert np.array_equal(first.due_ns[: len(second.due_ns)], second.due_ns[: len(first.due_ns)])


# Cameras and a server are looked at where there is time before the next frame: there must be plenty, on a busy machine too.
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *BLOCKS[:3],
        ("fixed-rate", {"cameras": 1, "fps": 10.0, "batch": 1, "settle": 0.0, "seconds": 0.7}),
        ("server", {"rate": 20.0, "batch": 1, "workers": 1, "seconds": 0.7}),
    ],
)
def test_a_target_that_lies_is_found(ask, name, parameters):
    """Its answers are true until the clock runs: asked beforehand, and once at each block's begin."""
    target = bench_targets.lies(ALLOWANCE, honest="6", every="1")
    assert ask(target, name, **parameters).wrong


@pytest.mark.parametrize(("name", "parameters"), BLOCKS)
def test_what_a_target_raises_ends_the_block(ask, name, parameters):
    with pytest.raises(RuntimeError, match="no answer for request 8"):
        ask(bench_targets.fails(ALLOWANCE, after="8"), name, **parameters)


@pytest.mark.parametrize(("name", "parameters"), BLOCKS)
def test_an_interrupted_block_is_given(ask, name, parameters):
    timer = threading.Timer(0.25, lambda: setattr(INTERRUPTION, "asked", True))
    timer.start()
    block = ask(bench_targets.sleeps(ALLOWANCE, ms="2"), name, **{**parameters, "seconds": 60, "pairs": 10**4})
    timer.join()
    assert len(block.latency_ns) > 0
    assert block.wall_ns < 30e9


def test_most_requests(ask):
    assert len(ask(bench_targets.null(ALLOWANCE), "single-stream", seconds=60, most_requests=100).latency_ns) == 100


def test_the_collector_rests_and_comes_back(ask):
    import gc

    seen = []

    class Looks(bench_targets.Null):
        def answer(self, frames, stages):
            seen.append(gc.isenabled())
            return frames

    ask(Looks(ALLOWANCE, "looks"), "single-stream", most_requests=10)
    assert not any(seen[-10:])
    assert gc.isenabled()


def test_multi_stream_asks_in_parts(ask):
    sizes = []

    class Sizes(bench_targets.Null):
        def answer(self, frames, stages):
            sizes.append(len(frames))
            return frames

    block = ask(Sizes(ALLOWANCE, "sizes"), "multi-stream", samples=7, batch=3, most_requests=5)
    assert sizes[-15:] == [3, 3, 1] * 5
    assert block.frames.tolist() == [-1] * len(block.latency_ns)


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("nothing", {}, "there is no scenario 'nothing'"),
        ("server", {"batch": 1, "workers": 1}, "expected a number rate"),
        ("server", {"rate": float("nan"), "batch": 1}, "expected a number rate"),
        ("offline", {"batch": 0}, "expected a number batch ≥ 1, got 0"),
        ("multi-stream", {"samples": True, "batch": 1}, "expected a number samples"),
        ("fixed-rate", {"cameras": 10**6, "fps": 15, "batch": 1}, "at most 1024 cameras"),
    ],
)
def test_what_cannot_be_asked(ask, name, parameters, told):
    with pytest.raises(ValueError, match=told):
        ask(bench_targets.null(ALLOWANCE), name, **parameters)


# ---- server ----


def test_arrivals_are_a_poisson_process():
    due = arrivals(rate=1000, seconds=20, seed=4, most=10**6)
    gaps = np.diff(due) / 1e6
    assert abs(len(due) - 20_000) < 5 * 20_000**0.5
    assert abs(gaps.mean() - 1) < 0.05
    assert abs(np.median(gaps) - np.log(2)) < 0.05  # of an exponential distribution, not of an even one
    assert abs(gaps.std() - 1) < 0.05
    assert (due >= 0).all()
    assert (due < 20e9).all()


def test_a_server_that_falls_behind_is_seen_to(ask):
    """Ten times as much arrives as it can do: latency counts from when a request was due, and what was never begun is counted."""
    block = ask(bench_targets.sleeps(ALLOWANCE, ms="10"), "server", rate=1000.0, batch=1, workers=1, seconds=0.1)
    done = block.latency_ns + block.due_ns
    assert (np.diff(done) >= 10_000_000).all()  # one after the other
    assert (done >= 10_000_000 * np.arange(1, len(done) + 1)).all()
    assert block.stages["schedule"][-1] > 20_000_000
    assert block.offered[0] == len(block.latency_ns) + block.dropped[0]
    assert block.dropped[0] > 0


def test_a_server_takes_what_is_due_together(ask):
    block = ask(bench_targets.sleeps(ALLOWANCE, ms="10"), "server", rate=1000.0, batch=64, workers=1, seconds=0.1)
    done = block.latency_ns + block.due_ns
    assert len(np.unique(done)) < len(done) / 2
    assert block.offered == (len(block.latency_ns) + block.dropped[0],)


def test_workers_ask_side_by_side(ask):
    class Parallel(bench_targets.KnownTarget):
        parallel = True

    most = now = 0
    lock = threading.Lock()

    def work(place):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    block = ask(Parallel(ALLOWANCE, "parallel", work), "server", rate=400.0, batch=1, workers=3)
    assert most == 3
    assert block.offered == (len(block.latency_ns) + block.dropped[0],)
    assert (np.sort(block.due_ns) == block.due_ns).all()


# ---- cameras ----


@pytest.mark.parametrize("make", [bench_targets.sleeps, bench_targets.streaming])
@pytest.mark.parametrize("fps", [20.0, 33.3])
def test_every_frame_is_accounted_for(ask, make, fps):
    block = ask(make(ALLOWANCE, ms="1"), "fixed-rate", cameras=3, fps=fps, batch=2, settle=0.1, seconds=0.5)
    each = 0.5 * fps
    assert all(abs(offered - each) <= 1 for offered in block.offered)
    served = np.bincount(block.streams, minlength=3)
    assert (served + np.array(block.dropped) == np.array(block.offered)).all()
    assert (block.due_ns >= 0).all()
    assert (block.due_ns < 0.5e9).all()
    assert (np.diff(block.due_ns) >= 0).all()
    for camera in range(3):  # frames of a camera are a period apart
        gaps = np.diff(block.due_ns[block.streams == camera]) * fps / 1e9
        assert np.allclose(gaps, np.round(gaps), atol=1e-4)


@pytest.mark.parametrize("make", [bench_targets.sleeps, bench_targets.streaming])
def test_a_slow_target_drops_and_does_not_queue(ask, make):
    """40 frames a second arrive, at most 20 can be served. Of a queue, ages would grow by 15 ms with each frame."""
    block = ask(make(ALLOWANCE, ms="50"), "fixed-rate", cameras=2, fps=20.0, batch=1, settle=0.1, seconds=0.6)
    assert sum(block.dropped) >= 0.6 * 40 - (0.7 / 0.05 + 1) - 2
    assert (block.latency_ns >= 50_000_000).all()
    assert set(block.streams.tolist()) == {0, 1}  # in turn


def test_batches_of_cameras(ask):
    sizes = []

    class Sizes(bench_targets.KnownTarget):
        def answer(self, frames, stages):
            sizes.append(len(frames))
            time.sleep(0.03)
            return frames

    ask(Sizes(ALLOWANCE, "sizes"), "fixed-rate", cameras=6, fps=50.0, batch=4, settle=0.0, seconds=0.3)
    assert max(sizes) == 4


# ---- repeats ----


def test_a_cache_is_quicker_the_second_time(ask):
    block = ask(bench_targets.cached(ALLOWANCE, ms="3"), "repeats", pairs=8, seconds=5)
    assert len(block.latency_ns) == 16
    assert (block.latency_ns[0::2] >= 3_000_000).all()
    assert np.median(block.latency_ns[1::2]) < 3_000_000
    assert np.array_equal(block.frames[0::2], block.frames[1::2])
