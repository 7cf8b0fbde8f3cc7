"""The verbs of ``edgevision bench`` that work on records."""

from __future__ import annotations

import argparse
import json
from types import ModuleType

import pytest
from bench_records import MACHINE, OURS, full_record, plain_record

from edgevision.bench.record_file import write_record
from edgevision.cli import bench_compare, bench_show, bench_trend
from edgevision.errors import InputError


def call(verb: ModuleType, *words: object) -> int:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    parser.add_argument("--json", action="store_true")
    return int(verb.run(parser.parse_args([str(word) for word in words])))


@pytest.fixture
def folder(tmp_path):
    """Three records: the second is slower than the first, the third is the first again, on another day."""
    for name, record in (
        ("old", plain_record(10.0, seed=1, id="old", began="2026-11-01T10:00:00+00:00")),
        ("slow", plain_record(14.0, seed=2, id="slow", began="2026-11-02T10:00:00+00:00")),
        ("same", plain_record(10.0, seed=3, id="same", began="2026-11-03T10:00:00+00:00")),
    ):
        write_record(tmp_path / f"{name}.json", record)
    return tmp_path


@pytest.mark.parametrize(
    ("new", "options", "status"), [("slow", [], 1), ("same", [], 0), ("slow", ["--tolerance", 60], 0), ("old", [], 0)]
)
def test_the_exit_status_is_for_a_ci(folder, capsys, new, options, status):
    assert call(bench_compare, folder / "old.json", folder / f"{new}.json", *options) == status
    told = capsys.readouterr().out
    assert "What is different" in told
    assert (" slower" in told) == (status == 1)


def test_compare_as_json(folder, capsys):
    assert call(bench_compare, folder / "old.json", folder / "slow.json", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["old"], told["new"], told["tolerance"]) == (False, "old", "slow", 0.05)
    first = told["figures"][0]
    assert (first["target"], first["figure"], first["verdict"]) == (OURS, "p50", "slower")
    assert first["low"] < first["ratio"] < first["high"]


def test_other_machines_are_refused_unless_asked_for(folder, tmp_path):
    write_record(tmp_path / "other.json", plain_record(10.0, seed=4, conditions={"machine": {**MACHINE, "cpu": "B"}}))
    with pytest.raises(InputError, match="--across-machines"):
        call(bench_compare, folder / "old.json", tmp_path / "other.json")
    assert call(bench_compare, folder / "old.json", tmp_path / "other.json", "--across-machines") == 0


def test_nothing_to_compare_is_no_success(folder, tmp_path):
    write_record(tmp_path / "none.json", plain_record(results=()))
    with pytest.raises(InputError, match="no figure of the two records may be compared"):
        call(bench_compare, folder / "old.json", tmp_path / "none.json")


@pytest.mark.parametrize("tolerance", [0, 100, -5, "nan"])
def test_a_tolerance_that_cannot_be(folder, tolerance):
    with pytest.raises(InputError, match="--tolerance is between 0 and 100"):
        call(bench_compare, folder / "old.json", folder / "slow.json", f"--tolerance={tolerance}")


@pytest.mark.requires("matplotlib")
def test_trend_names_what_it_skips(folder, capsys):
    (folder / "notes.json").write_text('{"hello": 1}')
    (folder / "cut.json").write_bytes((folder / "old.json").read_bytes()[:500])
    (folder / "readme.txt").write_text("no record")
    page = folder / "trend.html"
    assert call(bench_trend, folder, "--html", page) == 0
    told = capsys.readouterr().out
    assert "skipped notes.json" in told
    assert "skipped cut.json" in told
    assert "readme" not in told
    assert "▁█▁" in told
    assert "skipped cut.json" in page.read_text("utf-8")
    assert call(bench_trend, folder, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert [point["record"] for point in values["lines"][0]["points"]] == ["old", "slow", "same"]
    assert len(values["skipped"]) == 2


def test_a_folder_without_records_is_told(tmp_path):
    with pytest.raises(InputError, match="expected a folder"):
        call(bench_trend, tmp_path / "none")
    with pytest.raises(InputError, match="has no record"):
        call(bench_trend, tmp_path)
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match=r"x\.json"):
        call(bench_trend, tmp_path)


@pytest.mark.requires("matplotlib")
def test_show_makes_the_page_again(tmp_path, capsys):
    path, page = tmp_path / "r.json", tmp_path / "r.html"
    write_record(path, full_record())
    assert call(bench_show, path, "--html", page) == 0
    told = capsys.readouterr().out
    assert "single-stream" in told
    assert "output-wrong" in told
    assert "\x1b[2J" not in told
    first = page.read_bytes()
    assert call(bench_show, path, "--html", page, "--json") == 0
    assert page.read_bytes() == first
    assert json.loads(capsys.readouterr().out)["status"] == "complete"
    with pytest.raises(InputError, match="would be replaced"):
        call(bench_show, path, "--html", path)


def test_an_interrupted_run_says_so_first(tmp_path, capsys):
    path = tmp_path / "r.json"
    write_record(path, plain_record(status="interrupted"))
    assert call(bench_show, path) == 0
    assert capsys.readouterr().out.startswith("This run is interrupted")
