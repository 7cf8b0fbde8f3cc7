"""The command line of ``edgevision bench``, with runs that are made up."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from bench_records import full_record, plain_record

from edgevision.bench.record_file import read_record, write_record
from edgevision.bench.session import session
from edgevision.bench.session.options import BenchOptions
from edgevision.cli import bench_show
from edgevision.cli.bench import options_of
from edgevision.cli.main import main, parser
from edgevision.errors import EdgeVisionError, InputError, UnwrittenRecordError


def options(*words: str) -> BenchOptions:
    return options_of(parser("bench").parse_args(["bench", *words]))


def test_defaults_are_those_of_the_options():
    given = options("model.edge")
    for field in fields(BenchOptions):
        if field.name != "targets":
            assert getattr(given, field.name) == field.default, field.name
    assert given.targets == ("model.edge",)


@pytest.mark.parametrize(
    ("words", "scenarios"),
    [
        ("--scenario server", ("server",)),
        ("--scenario offline --scenario density-mean --scenario offline", ("offline", "density-mean")),
        ("--cameras 6 --fps 10", ("fixed-rate",)),
        ("--cameras 6 --scenario density", ("density",)),
    ],
)
def test_scenarios(words, scenarios):
    assert options("a.edge", "b.onnx", *words.split()).scenarios == scenarios


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "the following arguments are required: TARGET"),
        ("a.edge --scenario walk", "invalid choice: 'walk'"),
        ("a.edge --threads 0", "threads is 1 to 256, got 0"),
        ("a.edge --minutes 0", "minutes is 0.001 to 1440, got 0"),
        ("a.edge --minutes nan", "minutes is"),
        ("a.edge --rate -1", "rate is 0.01"),
        ("a.edge --rounds 1000", "at least 1000 and at most 640"),
        ("a.edge --reference 1", "the reference is the number of a target, 0 to 0"),
        ("a.pt", "a .pt file may be of any library"),
        ("a.edge@size=3", "bundle has no option 'size'"),
        ("nothing.edge@variant=all", "nothing.edge"),
        ("a.edge --resume none.json", "there is no file none.json"),
        ("a.edge -o none/record.json", "the folder does not exist"),
        ("compare a.json", "required: NEW"),
        ("show none.json", "there is no file none.json"),
        ("trend none", "none"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(edgevision, monkeypatch, words, told):
    monkeypatch.setattr(session._Run, "run", lambda _: pytest.fail("it started"))
    done = edgevision("bench", *words.split())
    assert done.status == 2
    assert told in done.err
    assert "Traceback" not in done.err


def made_up(monkeypatch, record, error: Exception | None = None):
    def run_bench(options, tell):
        tell("measure", 1, 2)
        if error is not None:
            raise error
        return record

    monkeypatch.setattr(session, "run_bench", run_bench)


@pytest.mark.parametrize(("status", "expected"), [("complete", 0), ("interrupted", 130), ("failed", 1)])
def test_exit_status(edgevision, monkeypatch, status, expected):
    made_up(monkeypatch, replace(plain_record(), status=status))
    done = edgevision("bench", "a.edge")
    assert done.status == expected
    assert "single-stream" in done.out
    assert "No record was kept" in done.out


def test_a_target_that_failed(edgevision, monkeypatch):
    record = full_record()
    assert any(result.status == "failed" for result in record.results)
    made_up(monkeypatch, record)
    assert edgevision("bench", "a.edge").status == 1


def test_json_holds_no_samples(edgevision, monkeypatch, tmp_path):
    made_up(monkeypatch, plain_record())
    done = edgevision("bench", "a.edge", "--json", "-o", tmp_path / "record.json")
    assert done.json["status"] == "complete"
    assert "latency_ns" not in done.out


@pytest.mark.requires("matplotlib")
def test_a_page(edgevision, monkeypatch, tmp_path):
    made_up(monkeypatch, plain_record())
    assert edgevision("bench", "a.edge", "--html", tmp_path / "page.html").status == 0
    assert (tmp_path / "page.html").read_text().lstrip().lower().startswith("<!doctype html")


@pytest.mark.requires("matplotlib")
def test_a_page_never_replaces_a_record(edgevision, monkeypatch, tmp_path):
    path = tmp_path / "record.json"
    write_record(path, plain_record())
    made_up(monkeypatch, plain_record(), pytest.fail.Exception("it started"))
    done = edgevision("bench", "a.edge", "--resume", path, "--html", path)
    assert done.status == 2


@pytest.mark.requires("matplotlib")
@pytest.mark.parametrize("option", ["-o", "--html"])
@pytest.mark.parametrize("target", ["{}", "bundle:{}", "{}@threads=1"])
def test_a_model_is_never_replaced(edgevision, tmp_path, option, target):
    path = tmp_path / "shelf.edge"
    path.write_bytes(b"a model of weeks")
    done = edgevision("bench", target.format(path), option, path, "--force")
    assert done.status == 2
    assert "would be replaced" in done.err
    assert path.read_bytes() == b"a model of weeks"


@pytest.mark.requires("matplotlib")
def test_record_and_page_are_two_files(edgevision, tmp_path):
    path = tmp_path / "both"
    assert edgevision("bench", "a.edge", "-o", path, "--html", tmp_path / "." / "both").status == 2
    assert not path.exists()


@pytest.mark.requires("matplotlib")
def test_a_page_of_names_that_are_no_text(edgevision, tmp_path):
    """A file's name may hold bytes that are no UTF-8; Python has them as halves of pairs."""
    record = plain_record()
    record = replace(
        record,
        targets=tuple(replace(one, name=f"{one.name}\udcff") for one in record.targets),
        results=tuple(replace(one, target=f"{one.target}\udcff") for one in record.results),
    )
    write_record(tmp_path / "record.json", record)
    done = edgevision("bench", "show", tmp_path / "record.json", "--html", tmp_path / "page.html")
    assert done.status == 0, done.err
    assert edgevision("bench", "trend", tmp_path, "--html", tmp_path / "trend.html").status == 0


def test_a_record_that_could_not_be_written_is_shown_and_named(edgevision, monkeypatch, tmp_path):
    made_up(
        monkeypatch,
        None,
        UnwrittenRecordError("cannot write x: the disk is full. The record was written to y", plain_record(), None),
    )
    done = edgevision("bench", "a.edge", "-o", tmp_path / "record.json")
    assert done.status == 1
    assert "the disk is full" in done.err
    assert "single-stream" in done.out


@pytest.mark.requires("matplotlib")
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_on_a_full_disk_it_is_told_where_the_record_is_and_that_the_page_is_not(
    edgevision, monkeypatch, tmp_path, words
):
    elsewhere = tmp_path / "elsewhere.json"
    made_up(monkeypatch, None, UnwrittenRecordError(f"written to {elsewhere}", plain_record(), elsewhere))

    def full(record, path):
        raise EdgeVisionError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr(bench_show, "write_page", full)
    done = edgevision("bench", "a.edge", "-o", tmp_path / "record.json", "--html", tmp_path / "page.html", *words)
    assert done.status == 1
    assert f"written to {elsewhere}" in done.err
    assert "page.html: the disk is full" in done.err
    if words:
        assert json.loads(done.out)["id"] == plain_record().id
    else:
        assert "record.json" not in done.out


def test_an_error_is_one_line(edgevision, monkeypatch):
    made_up(monkeypatch, None, InputError("the frames are none"))
    done = edgevision("bench", "a.edge")
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[-1] == "edgevision: the frames are none"


def test_verbs_have_help(capsys):
    for verb in ("compare", "trend", "show"):
        with pytest.raises(SystemExit) as leave:
            main(["bench", verb, "--help"])
        assert leave.value.code == 0
        assert f"edgevision bench {verb}" in capsys.readouterr().out


def test_a_record_is_shown(edgevision, tmp_path):
    path = tmp_path / "record.json"
    write_record(path, plain_record())
    assert "single-stream" in edgevision("bench", "show", path).out
    assert json.loads(edgevision("bench", "show", path, "--json").out)["schema"] == 1
    assert edgevision("bench", "compare", path, path).status == 0


def test_a_bundle_from_end_to_end(edgevision, color_bundle, tmp_path):
    """In real processes: what the runtime's own stream serves is counted."""
    path = tmp_path / "record.json"
    words = "--scenario single-stream --scenario fixed-rate --cameras 2 --fps 20 --probe-seconds 0.5 --minutes 0.12 --rounds 1 --frames 4 --threads 1"
    done = edgevision(
        "bench", color_bundle(), *words.split(), "--width", 64, "--height", 48, "--force", "--json", "-o", path
    )
    assert done.status == 0
    record = read_record(path)
    assert record.targets[0].identity.kind == "bundle"
    single, cameras = record.results
    assert len(single.blocks) > 0
    assert {"preprocess", "infer"} <= set(single.blocks[0].stages)
    assert single.blocks[0].wrong == ()
    assert sum(sum(block.offered) for block in cameras.blocks) >= 0.5 * 2 * 20 - 2
    assert sum(len(block.latency_ns) for block in cameras.blocks) > 0
