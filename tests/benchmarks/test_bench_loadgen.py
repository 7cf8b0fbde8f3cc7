"""When two load generators agree, and when the hand-off of one is why they do not."""

from __future__ import annotations

import pytest

from benchmarks.bench_loadgen import (
    AGREE,
    DIFFERS,
    SAMPLES,
    Range,
    Turn,
    as_ms,
    hand_off_of,
    names_of_null,
    read_summary,
    row_of,
    row_text,
    verdict_of,
)
from edgevision.bench.record import Figure

OURS = Range(2.55, 2.60)
BY_THE_HAND_OFF = "differs by the hand-off (0.050…0.070 ms)"


def figure(name: str, value: float, low: float | None = None, high: float | None = None) -> Figure:
    return Figure(name, "ms", value, low, high, 0.95, False, 100)


@pytest.mark.parametrize(
    ("theirs", "median", "hand_off", "verdict"),
    [
        (Range(2.59, 2.70), 2.63, Range(0.050, 0.070), AGREE),
        (Range(2.62, 2.66), 2.64, Range(0.050, 0.070), BY_THE_HAND_OFF),
        (Range(2.90, 2.95), 2.92, Range(0.050, 0.070), DIFFERS),  # too small to be why
        (Range(2.45, 2.50), 2.48, Range(0.050, 0.070), DIFFERS),  # in the other direction
        (Range(2.62, 2.66), 2.64, Range(-0.01, 0.03), DIFFERS),  # its own direction is not known
        (Range(2.62, 2.66), 2.64, Range(0.01, 0.90), DIFFERS),  # it would explain everything
        (Range(2.48, 2.52), 2.50, Range(-0.06, -0.04), "differs by the hand-off (-0.060…-0.040 ms)"),
    ],
)
def test_a_hand_off_explains_a_difference_of_its_own_size_and_direction(theirs, median, hand_off, verdict):
    assert verdict_of(OURS, theirs, 2.575, median, hand_off) == verdict


def test_frames_a_second_are_compared_as_the_time_of_a_batch():
    assert as_ms("throughput", [1000.0, 2000.0]) == [SAMPLES / 2, SAMPLES]
    assert as_ms("p50", [1.0, 2.0]) == [1.0, 2.0]


def turns(p50: float, p90: float, own: float = 0.0) -> list[Turn]:
    return [Turn({"p50": p50 + own, "p90": p90 + own}, {"p50": own, "p90": own} if own else {})] * 3


def test_the_hand_off_is_what_is_counted_around_the_targets_own_time():
    found = {("loadgen", "server"): turns(0.040, 0.060, own=2.7), ("ours", "server"): turns(0.002, 0.004, own=2.5)}
    assert hand_off_of(found, "server", ("p50",)) == Range(pytest.approx(0.038), pytest.approx(0.038))
    assert hand_off_of(found, "server", ("p90",)) == Range(pytest.approx(0.056), pytest.approx(0.056))


def test_the_tail_of_a_target_that_does_nothing_reaches_from_its_median():
    found = {("loadgen", "server"): turns(0.040, 0.060), ("ours", "server"): turns(0.002, 0.004)}
    assert hand_off_of(found, "server", names_of_null("p90")) == Range(pytest.approx(0.036), pytest.approx(0.058))
    assert names_of_null("throughput") == ("throughput",)


def test_a_row_keeps_whether_they_agree_beside_why_they_do_not():
    slower = [Turn({"p50": 2.64}, {"p50": 2.58})] * 3
    found = {("loadgen", "single-stream"): slower, ("ours", "single-stream"): [Turn({"p50": 2.58}, {"p50": 2.58})] * 3}
    nothing = {("loadgen", "single-stream"): turns(0.003, 0.003), ("ours", "single-stream"): turns(0.001, 0.001)}
    row = row_of("single-stream", figure("p50", 2.58, 2.57, 2.59), [2.63, 2.64, 2.65], found, nothing)
    assert row["agrees"] is False
    assert row["verdict"] == "differs by the hand-off (0.060…0.060 ms)"
    assert row["own_ms"] == {"ours": 2.58, "loadgen": 2.58}
    assert row["hand_off_of_null_ms"] == {"low": pytest.approx(0.002), "high": pytest.approx(0.002)}
    assert "0.060…0.060, of nothing 0.002…0.002" in row_text(row)


def test_a_summary_is_read():
    text = "50.00 percentile latency (ns)   : 2625417\n90.00 percentile latency (ns)   : 3000000\n20.00 percentile latency (ns) : 1\n"
    assert read_summary("single-stream", text) == {"p50": 2.625417, "p90": 3.0}
    assert read_summary("offline", "Samples per second: 3090.7\n") == {"throughput": 3090.7}
