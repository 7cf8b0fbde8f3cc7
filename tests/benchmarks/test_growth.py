"""Exponents of known truth, where an axis ends, and a small run through ``edgevision bench``."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import edgevision as ev
from benchmarks.growth import (
    Asked,
    End,
    batch,
    camera_values,
    cameras,
    growth_text,
    missed_rule,
    quick,
    table_of,
    values_of,
)
from benchmarks.growth_fit import Point, growth_of
from benchmarks.growth_networks import write_classifier, write_detector
from benchmarks.growth_targets import Nobody
from edgevision.bench.scenarios.base import Block, Counters, Scenario
from edgevision.bench.workload.rendered import picture

XS = (1, 2, 4, 8, 16, 32)


def points(cost, noise: float = 0.02, rounds: int = 12, seed: int = 0, common: float = 0.0, xs=XS) -> list[Point]:
    """``common``: noise that all points of a round share."""
    random = np.random.default_rng(seed)
    shared = np.exp(random.normal(0, common, rounds)) if common else np.ones(rounds)
    return [
        Point(
            x, {number: cost(x) * shared[number] * float(np.exp(random.normal(0, noise))) for number in range(rounds)}
        )
        for x in xs
    ]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_an_exponent_is_found_within_its_interval(exponent):
    found = [growth_of(points(lambda x: 3 * x**exponent, seed=seed), paired=True) for seed in range(20)]
    held = sum(one.exponent.low <= exponent <= one.exponent.high for one in found)
    assert held >= 16
    assert all(one.exponent.value == pytest.approx(exponent, abs=0.02) for one in found)
    assert sum(one.bend is not None for one in found) <= 1


def test_noise_that_all_points_of_a_round_share_does_not_widen_a_paired_exponent():
    given = points(lambda x: x, noise=0.01, common=0.5)
    alone = [
        Point(one.x, {number + 100 * place: value for number, value in one.values.items()})
        for place, one in enumerate(given)
    ]
    paired, unpaired = growth_of(given, paired=True).exponent, growth_of(alone, paired=False).exponent
    assert paired.high - paired.low < 0.2 * (unpaired.high - unpaired.low)


def test_what_is_flat_first_and_grows_then_bends_where_it_does():
    growth = growth_of(points(lambda x: 5 * max(1, x / 8)), paired=True)
    assert growth.bend.x == 8
    assert growth.bend.before.value == pytest.approx(0, abs=0.05)
    assert growth.bend.after.low <= 1 <= growth.bend.after.high
    assert growth_text(growth).startswith("bends at 8: ")


def test_few_points_do_not_bend_and_nothing_is_no_power_law():
    assert growth_of(points(lambda x: 5 * max(1, x / 2), xs=XS[:4]), paired=True).bend is None
    assert growth_of([Point(1, {0: 0.0}), Point(2, {0: 1.0})], paired=True) is None
    assert growth_of([Point(1, {0: 1.0})], paired=True) is None


def test_rounds_that_some_points_lack_do_not_count_where_they_are_paired():
    given = points(lambda x: x, noise=1e-6)
    short = [*given[:-1], Point(32, {number: value for number, value in given[-1].values.items() if number < 5})]
    assert growth_of(short, paired=True).exponent.value == pytest.approx(1, abs=1e-4)


def test_where_it_ends():
    growth = growth_of(points(lambda x: 10 * x, noise=1e-6), paired=True)
    assert growth.first_over(100) == 16
    assert growth.first_over(1000) is None
    assert growth.reaches_at(1000) == pytest.approx(100, rel=1e-3)
    assert growth.reaches_at(10_000) is None  # too far to be told
    flat = growth_of(points(lambda x: 10.0), paired=True)
    assert flat.reaches_at(20) is None


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (End("rule", None), "rule: not reached"),
        (End("rule", None, 123.0), "rule: not reached, by the last exponent at about 120"),
        (End("rule", 16.0, best=11, why="age"), "rule: ends at 16 (age), at most 11 by the density search"),
        (
            End("rule", 16.0, best=8, search_ended=False),
            "rule: ends at 16, at least 8 by the density search, which did not end in time",
        ),
    ],
)
def test_an_end_in_words(end, text):
    assert end.text == text


def block(cameras: int, round: int, cpu_s: float, dropped: int = 0, age_ms: float = 20.0) -> Block:
    """A second of cameras with 10 frames each; the first loses ``dropped``."""
    lost = (dropped, *[0] * (cameras - 1))
    n = 10 * cameras - dropped
    return Block(
        "target", Scenario("fixed-rate", {"cameras": cameras, "fps": 10.0, "batch": 8}), round, 0, 1_000_000_000,
        np.full(n, round_ns(age_ms)), np.zeros(n, np.int64), np.zeros(0, bool), np.zeros(n, np.int64),
        dropped=lost, offered=(10,) * cameras, counters=Counters(cpu_ns=round_ns(1e3 * cpu_s)),
    )  # fmt: skip


def round_ns(ms: float) -> int:
    return round(ms * 1e6)


def test_what_cameras_cost_is_less_what_the_scenario_takes():
    ours = [block(4, number, 0.90, dropped=5) for number in range(3)]
    found = camera_values(ours, [block(4, number, 0.15) for number in range(2)])
    assert found["served"] == pytest.approx(dict.fromkeys(range(3), 35.0))
    assert found["the slowest camera"] == pytest.approx(dict.fromkeys(range(3), 5.0))
    assert found["age p99"] == pytest.approx(dict.fromkeys(range(3), 20.0))
    assert found["processor"] == pytest.approx(dict.fromkeys(range(2), 0.5))  # of 1.5 s, with settling


@pytest.mark.parametrize(
    ("blocks", "why"),
    [
        ([block(2, 0, 1), block(2, 1, 1), block(2, 2, 1, dropped=5)], ""),
        ([block(2, 0, 1), block(2, 1, 1, dropped=5), block(2, 2, 1, dropped=5)], "rate"),
        ([block(2, 0, 1), block(2, 1, 1, age_ms=300), block(2, 2, 1, age_ms=300)], "age"),
    ],
)
def test_cameras_miss_the_rule_where_half_of_the_rounds_do(blocks, why):
    assert missed_rule(blocks) == why


@pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning")
@pytest.mark.requires("onnx")
def test_the_detector_finds_about_as_much_of_every_size(tmp_path):
    frame = picture(640, 360, (0, 0))
    found = []
    for side in (64, 128, 256):
        with ev.load(str(write_detector(tmp_path / f"{side}.edge", side)), threads=1) as model:
            found.append(len(model.predict(frame)))
    assert all(more > less > 0 for less, more in pairwise(found))


@pytest.mark.filterwarnings("ignore::edgevision.errors.UnprovenWarning")
@pytest.mark.requires("onnx")
def test_classifiers_differ_in_their_head_alone(tmp_path):
    for classes in (10, 10_000):
        with ev.load(str(write_classifier(tmp_path / "c.edge", 64, classes)), threads=1) as model:
            assert len(model.labels) == classes


def test_nobody_serves_every_frame_at_once():
    served = []
    stream = Nobody().open_stream(2, 15.0, lambda camera, number: served.append((camera, number)))
    stream.push(1, 7, None)
    stream.close()
    assert served == [(1, 7)]


@pytest.mark.slow
@pytest.mark.requires("onnx")
def test_batches_are_measured_by_bench_in_one_run(tmp_path):
    asked = replace(quick(Asked(1, tmp_path)), folder=tmp_path, minutes=3.0)
    axis = batch((1, 2), asked)
    assert [line.name for line in axis.lines] == ["a batch", "its network", "a frame"]
    whole, network, frame = (line.growth.medians for line in axis.lines)
    assert all(0 < inside.value < around.value for inside, around in zip(network, whole, strict=True))
    assert [one.value for one in frame] == pytest.approx([whole[0].value, whole[1].value / 2])
    assert values_of(axis)["lines"]["a batch"]["points"][1]["x"] == 2
    assert table_of(axis)[1].startswith("frames at once")


@pytest.mark.slow
@pytest.mark.requires("onnx")
def test_cameras_are_measured_by_bench(tmp_path):
    asked = replace(quick(Asked(1, tmp_path)), folder=tmp_path, camera_minutes=1.0, density_minutes=1.0)
    axis = cameras((1, 2), asked)
    served = axis.lines[0]
    assert [point.x for point in served.points] == [1, 2]
    assert all(0 < value <= 15 * point.x + 1e-6 for point in served.points for value in point.values.values())
    assert axis.end.best is None or axis.end.best >= 1
