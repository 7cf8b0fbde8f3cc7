"""A record as rows and as values."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from bench_records import (
    FIXED,
    HOSTILE,
    OFFLINE,
    OURS,
    PEER,
    SINGLE,
    camera_block,
    entry,
    full_record,
    plain_record,
    record,
    result,
)

from edgevision.bench.record import Comparison, Result
from edgevision.bench.report.table import kept_share, record_values, reference_of, rows, tables
from edgevision.bench.session.figures import figures_of


def test_every_target_has_a_row_in_every_scenario():
    found = [(row.target, row.scenario.split(",")[0], row.status) for row in rows(full_record())]
    assert ("http:kiosk", "single-stream", "failed") in found
    unsupported = [scenario for target, scenario, status in found if target == "openvino:shelf.xml"]
    assert unsupported == ["single-stream", "offline", "density"]
    assert all(status == "unsupported" for target, _, status in found if target == "openvino:shelf.xml")


def test_a_record_of_targets_that_are_all_missing_still_has_rows():
    (row,) = rows(record([entry(OURS, "it is not there")], []))
    assert (row.target, row.status, row.reason) == (OURS, "unsupported", "it is not there")


def comparison(a: str, b: str, figure: str, verdict: str, scenario=SINGLE) -> Comparison:
    return Comparison(a, b, scenario, figure, 1.25, 1.0, 1.6, 0.95, 12, verdict, "decided")


@pytest.mark.parametrize(
    ("one", "ratio", "limits", "verdict"),
    [
        (comparison(PEER, OURS, "p50", "higher"), 1.25, (1.0, 1.6), "slower"),
        (comparison(OURS, PEER, "p50", "higher"), 0.8, (0.625, 1.0), "faster"),
        (comparison(PEER, OURS, "p50", "lower"), 1.25, (1.0, 1.6), "faster"),
        (comparison(PEER, OURS, "throughput", "higher"), 1.25, (1.0, 1.6), "faster"),
        (comparison(PEER, OURS, "throughput", "equal"), 1.25, (1.0, 1.6), "same"),
        (comparison(OURS, PEER, "throughput", "undecided"), 0.8, (0.625, 1.0), "undecided"),
    ],
)
def test_a_comparison_is_said_of_the_target_against_the_reference(one, ratio, limits, verdict):
    made = record([entry(OURS), entry(PEER)], [result(OURS, SINGLE, 10), result(PEER, SINGLE, 12)], [one])
    first, second = rows(made)
    assert first.against == ()
    (against,) = second.against
    assert (against.reference, against.verdict) == (OURS, verdict)
    assert (against.ratio, against.low, against.high) == pytest.approx((ratio, *limits))


def test_a_comparison_of_another_scenario_is_not_taken():
    made = record(
        [entry(OURS), entry(PEER)],
        [result(PEER, SINGLE, 12)],
        [comparison(PEER, OURS, "throughput", "higher", OFFLINE)],
    )
    assert rows(made)[0].against == ()


@pytest.mark.parametrize(
    ("pairs", "reference"), [((), "a"), ((("b", "a"), ("c", "a")), "a"), ((("a", "b"), ("c", "b")), "b")]
)
def test_the_reference_is_what_all_are_compared_with(pairs, reference):
    made = record([entry(name) for name in "abc"], [], [comparison(a, b, "p50", "equal") for a, b in pairs])
    assert reference_of(made) == reference


def test_the_kept_share_counts_requests_and_not_blocks():
    made = result(OURS, SINGLE, 10, rounds=2, n=40)
    marks = [np.zeros(40, np.bool_), np.arange(40) < 20]
    blocks = tuple(replace(block, switched=mark) for block, mark in zip(made.blocks, marks, strict=True))
    assert kept_share(replace(made, blocks=blocks)) == pytest.approx(0.75)
    none = tuple(replace(block, switched=np.zeros(0, np.bool_)) for block in blocks)
    assert kept_share(replace(made, blocks=none)) is None
    assert kept_share(replace(made, blocks=(none[0], blocks[1]))) == pytest.approx(0.5)


def text_of(made) -> str:
    return "\n".join(
        " | ".join(cell for cell in line)
        for one in tables(made)
        for line in ((one.title,), one.header, *one.lines, one.notes)
    )


def test_tables_hold_what_a_reader_needs():
    told = text_of(full_record())
    for part in (
        "int8 in 56 of 58 layers", "unsupported (openvino is not installed", "failed (its process ended by signal 9", "against shelf.edge",
        "1.60× (1.58…1.62) slower", "undecided (time was spent)", "output-wrong!", "960 in 12", "95.0 %", "abababababab", "1×3×640×640",
        "density, every-stream",
    ):  # fmt: skip
        assert part in told
    assert all(len(line) == len(one.header) for one in tables(full_record()) for line in one.lines)


def test_cameras_show_rates_drops_and_ages():
    measured = tuple(camera_block(OURS, round, 4, 50.0) for round in range(6))
    made = record([entry(OURS)], [Result(OURS, FIXED, "complete", "", measured, figures_of(FIXED, measured), ())])
    header = tables(made)[1].header
    assert {"fps", "fps of the slowest, fps", "dropped, %", "age p99, ms"} <= set(header)


def test_values_are_plain_json_without_samples():
    values = record_values(full_record())
    text = json.dumps(values, allow_nan=False)
    assert json.loads(text) == json.loads(json.dumps(values))
    assert len(text) < 30_000
    assert HOSTILE in {row["target"] for row in values["rows"]}
    first = values["rows"][0]
    assert [figure["name"] for figure in first["figures"]] == ["p50", "p90", "p99", "throughput"]
    assert (first["n"], first["rounds"], first["status"]) == (960, 12, "complete")
    assert values["targets"][4] == {
        "name": "openvino:shelf.xml", "address": "given:openvino:shelf.xml", "allowance": {"threads": 1, "max_batch": 8},
        "unsupported": "openvino is not installed; pip install 'edgevision[openvino]'", "identity": None,
    }  # fmt: skip


def test_an_interrupted_result_says_so_under_its_table():
    made = plain_record()
    stopped = replace(made.results[0], status="interrupted", reason="Ctrl-C")
    assert f"{OURS}: interrupted (Ctrl-C)" in tables(replace(made, results=(stopped,)))[1].notes
