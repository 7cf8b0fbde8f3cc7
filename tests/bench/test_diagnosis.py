from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench_samples import block, blocks, classes, found, tensor

from edgevision.bench.diagnosis import doubts_of, doubts_of_machine
from edgevision.bench.scenarios.base import Counters, Scenario

QUIET = {
    "machine": {"cores": 2},
    "others_before_cores": 0.1,
    "others_cores": 0.1,
    "steal_share": 0.0,
    "gpus": "none",
    "throttled": "not readable",
}
ANSWERS = [classes(1), classes(2), classes(7)]


def codes(*arguments, **keywords) -> list[str]:
    return [doubt.code for doubt in doubts_of(*arguments, **keywords)]


def stages(**shares: float):
    """Healthy blocks whose stages take these shares of each request."""
    return [
        replace(one, stages={name: (share * one.latency_ns).astype(np.int64) for name, share in shares.items()})
        for one in blocks()
    ]


def faulting(faults_per_request: int, scale_ns: float = 1e6):
    return [replace(one, counters=Counters(minor_faults=faults_per_request * 40)) for one in blocks(scale_ns=scale_ns)]


def repeating(same_ns: float, new_ns: float):
    """Each frame twice in a row."""
    rng = np.random.default_rng(0)
    latency = np.tile([new_ns, same_ns], 20) * np.exp(rng.normal(0, 0.05, 40))
    return [block(latency, number, frames=np.repeat(np.arange(20), 2)) for number in range(3)]


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("noise", [0.01, 0.1, 0.4])
def test_healthy_samples_raise_no_doubt(seed, noise):
    healthy = blocks(rounds=20, n=30, noise=noise, seed=seed)
    rng = np.random.default_rng(seed)
    for one in healthy:  # one straggler in fifty
        one.latency_ns[rng.random(30) < 0.02] *= 8
    assert (
        codes(
            healthy,
            QUIET,
            ANSWERS,
            reference=ANSWERS,
            again=ANSWERS,
            repeated=repeating(1e6, 1.05e6),
            fresh=blocks(seed=seed + 100),
        )
        == []
    )


MOVING = [
    block(1e6 * (1 + 0.02 * number) * np.exp(np.random.default_rng(number).normal(0, 0.02, 40)), number)
    for number in range(20)
]
TWO = [
    block(np.where(np.arange(40) % 3, 1e6, 2e6) * np.exp(np.random.default_rng(number).normal(0, 0.02, 40)), number)
    for number in range(10)
]
SWITCHED = [replace(one, switched=np.arange(40) % 4 == 0) for one in blocks()]
TICKING = [
    block(np.round(1e6 * np.exp(np.random.default_rng(number).normal(0, 0.3, 40)) / 1e5) * 1e5, number)
    for number in range(8)
]
WRONG = [replace(one, wrong=(3,)) for one in blocks()]


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (blocks(rounds=3), "too-short"),
        (blocks(rounds=6, n=10), "too-short"),
        ([], "too-short"),
        (MOVING, "drift"),
        (TWO, "two-modes"),
        (SWITCHED, "switched"),
        (TICKING, "clock-too-coarse"),
        (faulting(2000), "allocator-bound"),
        (stages(decode=0.7, infer=0.2), "decode-bound"),
        (stages(preprocess=0.02, infer=0.95), "engine-bound"),
        (stages(infer=0.3, schedule=0.6), "schedule-bound"),
        (WRONG, "output-wrong"),
    ],
)
def test_each_fault_of_samples_is_found_alone(samples, code):
    assert codes(samples, {}, ANSWERS) == [code]


def shrunk(samples, by: float):
    return [replace(one, latency_ns=np.maximum((one.latency_ns * by).astype(np.int64), 1)) for one in samples]


@pytest.mark.parametrize("samples", [MOVING, TWO])
def test_what_lies_within_the_harness_itself_is_no_fault_of_the_target(samples):
    """The same shapes at 0.2 µs a request, as a target that does nothing shows them."""
    assert not {"drift", "two-modes"} & set(codes(shrunk(samples, 2e-4), {}, ANSWERS))


@pytest.mark.parametrize(
    "samples",
    [
        stages(decode=0.3, infer=0.6, schedule=0.05),
        faulting(10),
        faulting(200, scale_ns=1e7),  # many, and of no weight
        [replace(one, switched=np.arange(40) % 20 == 0) for one in blocks()],
        [replace(one, switched=np.zeros(0, bool), frames=np.full(40, -1)) for one in blocks()],
        [block([5 * 10**9 + number * 7919], number, scenario=Scenario("offline")) for number in range(6)],
        [*blocks(), block([], 99)],
    ],
)
def test_what_is_no_fault_of_samples(samples):
    assert codes(samples, {}, ANSWERS) == []


def test_two_modes_of_requests_or_of_times():
    (of_requests,) = doubts_of(TWO, {}, ANSWERS)
    assert "35% around 1.99 ms" in of_requests.text
    assert "same rounds" in of_requests.text
    in_turns = [replace(one, latency_ns=one.latency_ns * (2 if one.round % 3 == 1 else 1)) for one in blocks(rounds=18)]
    (of_times,) = doubts_of(in_turns, {}, ANSWERS)
    assert "two states" in of_times.text


def test_a_drift_that_does_not_matter_is_none():
    slightly = [block(1e6 * (1 + 0.001 * number) + np.arange(40), number) for number in range(20)]
    assert codes(slightly, {}, ANSWERS) == []


@pytest.mark.parametrize(
    ("answers", "keywords", "code", "fatal"),
    [
        ([tensor(1, float("nan")), tensor(1, 2)], {}, "output-wrong", True),
        ([found((0, 0, float("inf"), 1)), found()], {}, "output-wrong", True),
        (
            [classes(1), classes(2), classes(3)],
            {"reference": [classes(1), classes(2), classes(9)]},
            "output-differs",
            False,
        ),
        ([classes(1), classes(2)], {"reference": [classes(8), classes(9)]}, "output-differs", True),
        ([classes(1), classes(2)], {"reference": [found(), found()]}, "output-differs", True),
        ([classes(1), classes(1)], {}, "ignores-input", True),
        ([found(), found()], {}, "ignores-input", True),
        ([tensor(1, 2), tensor(1, 2)], {}, "ignores-input", True),
        (ANSWERS, {"again": [classes(1), classes(3), classes(7)]}, "answer-changes", False),
    ],
)
def test_each_fault_of_answers_is_found_alone(answers, keywords, code, fatal):
    doubts = doubts_of(blocks(), {}, answers, **keywords)
    assert [(doubt.code, doubt.fatal) for doubt in doubts] == [(code, fatal)]


def test_frames_that_are_alike_may_be_answered_alike():
    assert codes(blocks(), {}, [classes(1), classes(1)], different_frames=False) == []
    assert codes(blocks(), {}, [classes(1)]) == []
    assert codes(blocks(), {}, []) == []


def test_rounding_is_no_other_answer():
    reference, again = [classes(1, 0.80), classes(2, 0.70)], [classes(1, 0.8002), classes(2, 0.7001)]
    assert codes(blocks(), {}, reference, reference=again, again=again) == []


@pytest.mark.parametrize(
    ("repeated", "fresh", "cached"),
    [
        (repeating(1e5, 1e6), [], True),  # keeps the last answer
        (repeating(9e5, 1e6), [], False),  # the frame is in the processor's cache: 10 %
        ([], blocks(scale_ns=5e6), True),  # keeps all answers: only frames that it never saw take their time
        ([], blocks(scale_ns=1.2e6), False),
        (repeating(1e6, 1e6), blocks(scale_ns=5e6), True),
    ],
)
def test_a_cache_is_found(repeated, fresh, cached):
    doubts = doubts_of(blocks(), {}, ANSWERS, repeated=repeated, fresh=fresh)
    assert [doubt.code for doubt in doubts] == ["cached"] * int(cached)
    assert all(doubt.fatal for doubt in doubts)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"others_cores": 1.5}, "noisy-machine"),
        ({"steal_share": 0.1}, "steal"),
        ({"throttled": {"core": 4}}, "throttled"),
    ],
)
def test_doubts_about_the_machine(changed, code):
    doubts = doubts_of_machine({**QUIET, **changed})
    assert [doubt.code for doubt in doubts] == [code]
    assert doubts[0].text[0].isupper()
    assert doubts[0].text.endswith(".")
    assert codes(blocks(), {**QUIET, **changed}, ANSWERS) == [code]
