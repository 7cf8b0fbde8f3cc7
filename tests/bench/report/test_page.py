"""The pages: well formed, self-contained, escaped, the same each time."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from bench_records import HOSTILE, OURS, PEER, block, entry, full_record, plain_record, record, result
from bench_records import SINGLE as SINGLE_STREAM

from edgevision.bench.report import plots
from edgevision.bench.report.page import probes_of, record_page, trend_page
from edgevision.bench.report.trend import trend

pytestmark = pytest.mark.requires("matplotlib")


class Reader(HTMLParser):
    """Fails where tags do not match; keeps tags with their attributes, and text."""

    VOID = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    return record_page(full_record())


def test_a_page_fetches_and_runs_nothing(page):
    reader = Reader(page)
    assert not reader.of("script")
    assert not reader.of("link")
    addresses = [
        value
        for _, attributes in reader.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href")
    ]
    assert all(value and value.startswith("#") for value in addresses)
    assert not re.search(r"url\((?!#)", page)
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)


def test_hostile_names_are_text(page):
    assert "<script" not in page
    assert HOSTILE in Reader(page).text


def test_who_does_not_see_it_is_told_as_well(page):
    reader = Reader(page)
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in reader.of("svg"))
    assert all(head["scope"] for head in reader.of("th"))
    assert "shelf.edge: median" in reader.text
    assert len(reader.of("h1")) == 1
    assert len(reader.of("h2")) == len(reader.of("section")) == 7


def test_a_page_says_what_matters(page):
    text = Reader(page).text
    for part in (
        "slower", "undecided: the time was spent", "unsupported (openvino is not installed", "failed (its process ended by signal 9",
        "Not to be compared", "int8 in 56 of 58 layers", "bench show RECORD --html", "Where the latency lies", "Stages of a request",
        "How it goes with more cameras", "Frames a second by latency", "Test CPU", "cd" * 32, "energy.unavailable",
    ):  # fmt: skip
        assert part in text, part


def test_the_same_record_gives_the_same_page(page):
    assert record_page(full_record()) == page
    assert len(page) < 1_000_000


@pytest.mark.parametrize(
    "made",
    [
        record([], []),
        record([entry(OURS, "it is not there")], []),
        plain_record(status="interrupted"),
        replace(plain_record(), results=(replace(plain_record().results[0], blocks=(), figures=()),)),
    ],
    ids=["nothing", "unsupported", "interrupted", "without samples"],
)
def test_records_with_little_in_them(made):
    text = Reader(record_page(made)).text
    assert ("This run is interrupted" in text) == (made.status == "interrupted")


def test_more_targets_than_one_picture_can_tell_apart():
    names = [f"target {place}" for place in range(6)]
    made = record(
        [entry(name) for name in names],
        [result(name, SINGLE_STREAM, 10 + place, rounds=2, n=20) for place, name in enumerate(names)],
    )
    text = Reader(record_page(made)).text
    assert "(targets 1 to 4 of 6)" in text
    assert "(targets 5 to 6 of 6)" in text


def test_a_clock_that_says_zero_is_drawn():
    made = result(OURS, SINGLE_STREAM, 10, rounds=2, n=20)
    zero = tuple(replace(one, latency_ns=np.zeros(20, np.int64), stages={}) for one in made.blocks)
    assert "Where the latency lies" in record_page(record([entry(OURS)], [replace(made, blocks=zero)]))


# ---- what the pictures show ----


def test_stages_of_the_middle_requests_add_up():
    latency = np.array([1, 10, 10, 10, 10, 10, 10, 1000], np.int64) * 1_000_000
    infer = np.array([1, 6, 8, 6, 8, 6, 8, 999], np.int64) * 1_000_000
    made = replace(block(OURS, SINGLE_STREAM, 0, latency), stages={"infer": infer, "preprocess": np.full(8, 1_000_000)})
    assert plots.middle_stages([made]) == pytest.approx({"preprocess": 1.0, "infer": 7.0, "rest": 2.0})
    assert plots.middle_stages([replace(made, stages={})]) == {}
    assert plots.middle_stages([]) == {}


def test_probes_of_a_search():
    made = full_record().results[6]
    found = probes_of(made)
    assert [one.cameras for one in found] == sorted({one.scenario.parameters["cameras"] for one in made.blocks})
    assert found[0].served == 1.0
    assert found[-1].served == pytest.approx(200 / (15 * found[-1].cameras), abs=0.02)
    assert found[-1].age_ms > 5 * found[0].age_ms


def test_trend_page():
    made = [plain_record(10.0 + day, id=str(day), began=f"2026-11-0{day}T10:00:00+00:00") for day in range(1, 4)]
    page = trend_page(trend([*made, full_record(id="x")]), [(Path("<b>.json"), "is no record")])
    reader = Reader(page)
    assert "skipped <b>.json: is no record" in reader.text
    assert f"{PEER}: " in reader.text
    assert HOSTILE in reader.text
    assert len(reader.of("svg")) == 6
    assert "no runs" in Reader(trend_page([])).text
