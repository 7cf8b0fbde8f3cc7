"""Records in the order of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench_records import MACHINE, OURS, SINGLE, entry, plain_record, record, result

from edgevision.bench.record import Doubt
from edgevision.bench.report.trend import moment, sparkline, trend, trend_table


def at(day: int, ms: float, **changed):
    return plain_record(ms, seed=day, id=f"run{day}", began=f"2026-11-{day:02}T10:00:00+00:00", **changed)


def test_lines_are_in_the_order_of_time_whatever_the_order_of_files():
    lines = trend([at(3, 14.0), at(1, 10.0), at(2, 12.0)])
    assert [line.figure for line in lines] == ["p50", "p90", "p99", "throughput"]
    p50, throughput = lines[0], lines[3]
    assert [round(point.value) for point in p50.points] == [10, 12, 14]
    assert p50.change == pytest.approx(1.4, rel=0.05)
    assert (p50.verdict, throughput.verdict, p50.setting) == ("slower", "slower", "")


@pytest.mark.parametrize(("last", "verdict"), [(10.1, "same"), (8.0, "faster"), (12.0, "slower")])
def test_what_the_change_is_called(last, verdict):
    assert trend([at(1, 10.0), at(2, last)])[0].verdict == verdict


def test_bounds_that_meet_leave_it_undecided():
    made = [at(1, 10.0, rounds=2), at(2, 12.0, rounds=2)]
    p99 = trend(made)[2]
    assert (p99.figure, p99.verdict) == ("p99", "undecided")


def test_a_record_that_is_there_twice_counts_once():
    (first, *_) = trend([at(1, 10.0), at(1, 10.0), at(2, 10.0)])
    assert len(first.points) == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"conditions": {"machine": {**MACHINE, "cpu": "Other CPU"}}}, "cpu Other CPU"),
        ({"workload": {"sha256": "ef" * 32}}, f"frames {'ef' * 6}"),
        ({"targets": (entry(OURS, input_shape=(1, 3, 320, 320)),)}, "input 1×3×320×320"),
    ],
)
def test_what_must_not_be_compared_makes_a_line_of_its_own(changed, told):
    lines = trend([at(1, 10.0), at(2, 12.0, **changed)])
    assert len(lines) == 8
    assert all(len(line.points) == 1 and line.change is None for line in lines)
    assert lines[4].setting == told
    assert "of" in trend_table(lines).header


@pytest.mark.parametrize(
    "unusable",
    [
        result(OURS, SINGLE, 30.0, [Doubt("output-wrong", "wrong", fatal=True)]),
        replace(result(OURS, SINGLE, 30.0), status="failed", reason="its process ended"),
    ],
    ids=["doubted", "failed"],
)
def test_values_that_must_not_be_compared_are_shown_and_not_judged(unusable):
    last = record([entry(OURS)], [unusable], id="d", began="2026-11-03T10:00:00+00:00")
    first = trend([at(1, 10.0), at(2, 10.0), last])[0]
    assert [point.doubted for point in first.points] == [False, False, True]
    assert first.verdict == "same"
    assert "4 values are shown and not judged" in trend_table([*trend([last])]).notes[0]


def test_the_table_names_what_was_skipped():
    table = trend_table(trend([at(1, 10.0), at(2, 12.0)]), [(Path("x/bad.json"), "is no record")])
    assert all(len(line) == len(table.header) for line in table.lines)
    assert table.notes == ("skipped bad.json: is no record",)
    assert table.lines[0][3] == "▁█"


@pytest.mark.parametrize(
    ("values", "bars"),
    [([], ""), ([3.0], "▄"), ([1.0, 3.0, 2.0], "▁█▅"), ([9.0] * 30 + [0.0] * 23 + [1.0], "▁" * 23 + "█")],
)
def test_sparklines_show_the_newest(values, bars):
    assert sparkline(values) == bars


@pytest.mark.parametrize("text", ["2026-11-28T10:00:00+00:00", "2026-11-28T10:00:00Z", "2026-11-28T10:00:00"])
def test_times(text):
    assert moment(text) == moment("2026-11-28T12:00:00+02:00")


def test_a_time_that_cannot_be_read_comes_first():
    assert moment("yesterday") < moment("2000-01-01T00:00:00Z")
