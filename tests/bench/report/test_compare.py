"""Two records compared: known ratios are found, equals are the same, and what must not be compared is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench_records import (
    DENSITY,
    FIXED,
    MACHINE,
    OFFLINE,
    OURS,
    PEER,
    SINGLE,
    camera_block,
    density_result,
    entry,
    full_record,
    plain_record,
    record,
    result,
)

from edgevision.bench.conditions.rules import machine_differences
from edgevision.bench.record import Doubt, Figure, Result
from edgevision.bench.report import resampling
from edgevision.bench.report.compare import compare_records, comparison_tables, headline
from edgevision.bench.scenarios.base import Scenario
from edgevision.bench.session.figures import figures_of
from edgevision.errors import InputError


def verdicts(found) -> dict[str, str]:
    return {one.figure: one.verdict for one in found}


@pytest.mark.parametrize(
    ("factor", "p50", "throughput"),
    [(1.0, "same", "same"), (1.25, "slower", "slower"), (0.8, "faster", "faster"), (1.055, "undecided", "undecided")],
)
def test_known_ratios(factor, p50, throughput):
    found = compare_records(plain_record(10.0, seed=1), plain_record(10.0 * factor, seed=2))
    assert (verdicts(found)["p50"], verdicts(found)["throughput"]) == (p50, throughput)
    first = next(one for one in found if one.figure == "p50")
    assert first.ratio == pytest.approx(factor, rel=0.03)
    assert first.low < first.ratio < first.high
    assert first.low < factor * 1.02
    assert first.high > factor * 0.98


def test_a_rate_is_worse_when_it_falls():
    made = [record([entry(OURS)], [result(OURS, OFFLINE, ms, seed=5)]) for ms in (50.0, 80.0)]
    (slower,) = compare_records(*made)
    (faster,) = compare_records(*reversed(made))
    assert (slower.figure, slower.verdict, faster.verdict) == ("throughput", "slower", "faster")
    assert slower.ratio == pytest.approx(50 / 80, rel=0.03)


def test_the_tolerance_decides_what_is_the_same():
    old, new = plain_record(10.0, seed=1), plain_record(11.0, seed=2)
    assert verdicts(compare_records(old, new, tolerance=0.05))["p50"] == "slower"
    assert verdicts(compare_records(old, new, tolerance=0.2))["p50"] == "same"
    for wrong in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="tolerance"):
            compare_records(old, new, tolerance=wrong)


def test_two_runs_of_the_same_are_hardly_ever_slower():
    """40 pairs of runs whose rounds differ by 2 %: none may be called slower or faster at a tolerance of 5 %."""
    wrong = 0
    for seed in range(40):
        old, new = plain_record(10.0, seed=2 * seed, rounds=8), plain_record(10.0, seed=2 * seed + 1, rounds=8)
        wrong += verdicts(compare_records(old, new))["p50"] in ("slower", "faster")
    assert wrong == 0


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says():
    """The rounds' own spread is all there is: medians of 5 rounds each, 400 pairs of runs. 95 % less chance of that many."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        runs = [np.exp(0.05 * rng.standard_normal(8)) for _ in range(2)]
        draws = [resampling.median_draws(list(run), rng) for run in runs]
        ratio = float(np.exp(draws[1][0] - draws[0][0]))
        low, high = resampling.ratio_limits(ratio, draws[1], draws[0], 8, 0.95)
        held += low <= 1.0 <= high
    assert held / 400 > 0.93


@pytest.mark.parametrize(("freedom", "expected"), [(4, 2.776), (7, 2.365), (11, 2.201), (30, 2.042), (1000, 1.962)])
def test_students_t_against_the_printed_table(freedom, expected):
    assert resampling.student_t(freedom, 0.95) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_percentiles_of_draws_against_drawing_them_one_by_one(p):
    rng = np.random.default_rng(3)
    blocks = [(1e6 * np.exp(0.3 * rng.standard_normal(50) + 0.1 * i)).astype(np.int64) for i in range(6)]
    centre, draws = resampling.percentile_draws(blocks, p, np.random.default_rng(0))
    everything = np.concatenate(blocks)
    assert np.exp(centre) == pytest.approx(np.quantile(everything, p, method="inverted_cdf"))
    one_by_one = [
        np.quantile(np.concatenate([blocks[i] for i in rng.integers(0, 6, 6)]), p, method="inverted_cdf")
        for _ in range(2000)
    ]
    assert np.exp(np.quantile(draws, [0.05, 0.5, 0.95])) == pytest.approx(
        np.quantile(one_by_one, [0.05, 0.5, 0.95]), rel=0.03
    )


def test_too_few_rounds_are_undecided_and_say_so():
    found = compare_records(plain_record(10.0, rounds=3), plain_record(20.0, rounds=12))
    assert set(verdicts(found).values()) == {"undecided"}
    assert "3 rounds say too little" in found[0].reason
    assert found[0].ratio == pytest.approx(2, rel=0.1)


# ---- cameras ----


def cameras_record(capacity: float, seed: int = 0):
    measured = tuple(camera_block(OURS, round, 4, capacity, seed) for round in range(8))
    return record([entry(OURS)], [Result(OURS, FIXED, "complete", "", measured, figures_of(FIXED, measured), ())])


def test_frames_served_of_cameras():
    found = compare_records(cameras_record(80.0, 1), cameras_record(30.0, 2))
    told = verdicts(found)
    assert told["fps"] == told["fps of the slowest"] == told["age p50"] == "slower"
    assert "dropped" not in told
    again = verdicts(compare_records(cameras_record(80.0, 1), cameras_record(80.0, 3)))
    assert again["fps"] == again["fps of the slowest"] == "same"
    assert not {"slower", "faster"} & set(again.values())


def density_record(best: float, low: float | None, high: float | None):
    figure = Figure("cameras", "cameras", best, low, high, 0.95, True, 9)
    return record([entry(OURS)], [replace(density_result(OURS, 200.0), figures=(figure,))])


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ((8, 8, 8), (8, 8, 8), "same"),
        ((8, 8, 8), (7, 7, 7), "undecided"),
        ((8, 8, 8), (5, 5, 5), "slower"),
        ((5, 5, 5), (8, 8, 8), "faster"),
        ((8, 8, 10), (7, 7, 12), "undecided"),
        ((8, 8, None), (5, 5, 5), "undecided"),
        ((0, 0, 0), (0, 0, 0), "same"),
        ((2, 2, 2), (0, 0, 0), "slower"),
        ((0, 0, 0), (2, 2, 2), "faster"),
    ],
)
def test_numbers_of_cameras(old, new, verdict):
    (found,) = compare_records(density_record(*old), density_record(*new))
    assert (found.figure, found.verdict) == ("cameras", verdict)


# ---- what must not be compared ----


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"workload": {"name": "photos", "count": 3, "sha256": "ef" * 32}}, "did not see the same frames"),
        ({"workload": {}}, "did not see the same frames"),
        ({"conditions": {"machine": {**MACHINE, "cpu": "Other CPU"}}}, "cpu Test CPU → Other CPU"),
        ({"conditions": {"machine": {**MACHINE, "cores": 8}}}, "cores 2 → 8"),
        ({"conditions": {}}, "does not say on which machine"),
    ],
)
def test_records_that_must_not_be_compared(changed, told):
    old, new = plain_record(), plain_record(**changed)
    with pytest.raises(InputError, match=told):
        compare_records(old, new)
    if "workload" in changed:
        with pytest.raises(InputError, match=told):
            compare_records(old, new, across_machines=True)
    else:
        assert machine_differences(old.conditions, new.conditions)
        assert compare_records(old, new, across_machines=True)


FATAL = Doubt("output-wrong", "3 of 20 answers are wrong", fatal=True)
LIGHT = Doubt("drift", "it became slower")


@pytest.mark.parametrize(
    ("before", "after", "verdict", "told"),
    [
        ({}, {"doubts": (FATAL,)}, "broken", "in the new record output-wrong"),
        ({"doubts": (FATAL,)}, {}, "refused", "in the old record output-wrong"),
        ({"doubts": (FATAL,)}, {"doubts": (FATAL,)}, "refused", "in the old record"),
        ({}, {"status": "failed", "reason": "killed", "figures": ()}, "broken", r"failed (killed)"),
        ({}, {"status": "failed", "reason": "killed"}, "broken", r"failed (killed)"),
        ({"status": "failed", "reason": "killed"}, {}, "refused", r"in the old record it is failed (killed)"),
        ({"status": "failed", "reason": "killed", "figures": ()}, {}, "refused", r"failed (killed)"),
        ({"doubts": (LIGHT,)}, {"doubts": (LIGHT,)}, "", ""),
        ({}, {"status": "interrupted"}, "", ""),
    ],
)
def test_results_that_must_not_be_compared(before, after, verdict, told):
    made = plain_record()
    old, new = (replace(made, results=(replace(made.results[0], **changed),)) for changed in (before, after))
    found = compare_records(old, new)
    if not verdict:
        told_of = verdicts(found)
        assert told_of["p50"] == told_of["throughput"] == "same"
        assert set(told_of.values()) <= {"same", "undecided"}
        return
    (one,) = found
    assert (one.verdict, one.is_bad) == (verdict, verdict == "broken")
    assert told in one.reason


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"input_shape": (1, 3, 480, 640)}, "its input was 1 × 3 × 640 × 640 and is 1 × 3 × 480 × 640"),
        ({"task": "classify"}, "its task was detect and is classify"),
    ],
)
def test_another_input_or_task_is_refused(changed, told):
    (one,) = compare_records(plain_record(), plain_record(targets=(entry(OURS, **changed),)))
    assert one.verdict == "refused"
    assert told in one.reason


def test_more_threads_are_refused():
    made = plain_record()
    other = replace(made.targets[0], allowance=replace(made.targets[0].allowance, threads=2))
    (one,) = compare_records(made, replace(made, targets=(other,)))
    assert "it was allowed 1 threads and batch 8, and now 2" in one.reason


def test_another_file_or_precision_is_compared_and_told():
    new = plain_record(targets=(entry(OURS, sha256="ef" * 32, precision="float32"),))
    found = compare_records(plain_record(), new)
    assert verdicts(found)["p50"] == "same"
    told = {line[0]: line[1:] for line in comparison_tables(plain_record(), new, found)[0].lines}
    assert told["shelf.edge: file"] == ("abababababab", "efefefefefef")
    assert told["shelf.edge: precision"] == ("int8 in 56 of 58 layers", "float32")


def test_what_is_in_one_record_alone_is_named_last():
    old = record([entry(OURS), entry(PEER)], [result(PEER, SINGLE, 10), result(OURS, SINGLE, 10)])
    new = record(
        [entry(OURS), entry(PEER)],
        [result(OURS, Scenario("server", {"rate": 9.0, "batch": 1}), 10), result(OURS, SINGLE, 10)],
    )
    found = compare_records(old, new)
    assert [(one.target, one.reason) for one in found if one.verdict == "refused"] == [
        (OURS, "only in the new record"), (PEER, "only in the old record"),
    ]  # fmt: skip
    assert [one.verdict for one in found][-2:] == ["refused", "refused"]


def test_a_target_that_is_not_there_any_more_is_broken():
    old = record([entry(OURS)], [result(OURS, SINGLE, 10)])
    (one,) = compare_records(old, record([entry(OURS, "openvino is not installed")], []))
    assert (one.verdict, one.is_bad) == ("broken", True)
    assert "openvino is not installed" in one.reason


def test_a_figure_that_went_missing_is_broken():
    new = plain_record()
    cut = replace(new.results[0], figures=new.results[0].figures[:1])
    found = compare_records(plain_record(), replace(new, results=(cut,)))
    assert verdicts(found) == {"p50": "same", "p90": "broken", "p99": "broken", "throughput": "broken"}


# ---- for people ----


def test_one_readable_output():
    old, new = full_record(), full_record(id="2", began="2026-11-29T10:00:00+00:00")
    found = compare_records(old, new)
    titles = [one.title for one in comparison_tables(old, new, found)]
    assert titles == ["What is different", headline(found), "Not compared"]
    assert "same" in headline(found)
    table = comparison_tables(old, new, found)[1]
    assert all(len(line) == len(table.header) for line in table.lines)
    assert {DENSITY.name, "single-stream", "offline"} <= {line[1].split(",")[0] for line in table.lines}
    assert all(one.reason for one in found if one.verdict in ("refused", "broken", "undecided"))
