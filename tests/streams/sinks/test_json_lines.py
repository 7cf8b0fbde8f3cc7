"""JSON lines: whole lines, whatever happened before; rotated by size."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest
from stream_items import change, detected, event, result, wait_until

from edgevision.errors import InputError, ItemError, SinkError
from edgevision.streams.backoff import Pace
from edgevision.streams.sinks.json_lines import JsonLinesSink, LinePrinter, print_line
from edgevision.streams.sinks.runner import SinkRunner


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(path: Path, count: int, start: int = 0, **options: int) -> None:
    sink = JsonLinesSink(path, **options)
    sink.open()
    for number in range(start, start + count):
        sink.write(event(number))
    sink.close(1.0)


def test_each_item_is_a_line_with_all_that_is_known(tmp_path):
    path = tmp_path / "new" / "r.jsonl"
    sink = JsonLinesSink(path)
    sink.open()
    items = [result(3, answer=detected((1, 2, 3, 4), name="crème")), event(7), change()]
    for item in items:
        sink.write(item)
    sink.close(1.0)
    sink.close(1.0)
    rows = read(path)
    assert [row["kind"] for row in rows] == ["result", "event", "state"]
    for row, item in zip(rows, items, strict=True):
        assert {key: value for key, value in row.items() if key not in ("kind", "id", "late")} == item.to_dict()
    assert "crème" in path.read_text("utf-8")


def test_it_appends_to_what_is_there(tmp_path):
    path = tmp_path / "r.jsonl"
    write(path, 2)
    write(path, 2, start=2)
    assert [row["event_id"] for row in read(path)] == [f"event-{n}" for n in range(4)]


def test_half_a_line_of_a_crash_spoils_no_other(tmp_path):
    path = tmp_path / "r.jsonl"
    write(path, 2)
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 30, len(whole) // 2 + 1, 5):
        path.write_bytes(whole[:cut])
        write(path, 1, start=9)
        lines = path.read_bytes().split(b"\n")
        assert json.loads(lines[-2])["event_id"] == "event-9"
        assert whole.startswith(b"\n".join(lines[:-2]))


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_it_rotates_by_size_and_keeps_so_many(tmp_path, keep):
    path = tmp_path / "r.jsonl"
    write(path, 40, max_bytes=2000, keep=keep)
    files = [path.with_name(f"r.jsonl.{n}") for n in range(keep, 0, -1)] + [path]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 2000 for file in files)
    numbers = [int(str(row["event_id"]).removeprefix("event-")) for file in files for row in read(file)]
    assert numbers == list(range(numbers[0], 40))  # the newest, in order, none twice


def test_a_line_longer_than_the_bound_is_written_all_the_same(tmp_path):
    path = tmp_path / "r.jsonl"
    write(path, 3, max_bytes=10, keep=5)
    assert [len(read(file)) for file in sorted(tmp_path.iterdir())] == [1, 1, 1]


def test_stdout(capsys):
    sink = JsonLinesSink("-")
    sink.open()
    sink.write(event(1))
    sink.close(1.0)
    assert json.loads(capsys.readouterr().out)["event_id"] == "event-1"


def test_a_line_that_a_full_disk_broke_off_is_ended_before_the_next(tmp_path, monkeypatch):
    path = tmp_path / "out.jsonl"
    line = json.dumps({"words": "x" * 200}).encode()
    with path.open("wb") as file:
        monkeypatch.setattr(sys, "stdout", file)
        room, write = [150], os.write

        def on_a_full_disk(descriptor, data):
            taken = bytes(data[: room[0]])
            if not taken:
                raise OSError(errno.ENOSPC, "No space left on device")
            room[0] -= len(taken)
            return write(descriptor, taken)

        monkeypatch.setattr(os, "write", on_a_full_disk)
        with pytest.raises(OSError, match="No space"):
            print_line(line)
        room[0] = 10_000
        print_line(line)
        print_line(line)
    assert path.read_bytes().split(b"\n") == [line[:150], line, line, b""]


def test_who_prints_is_told_at_once_that_nobody_reads(monkeypatch):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        printer = LinePrinter()
        printer.put(b"{}")
        with pytest.raises(BrokenPipeError):
            wait_until(printer.check)


def test_who_prints_news_waits_for_no_reader_and_lines_stay_whole(monkeypatch):
    reads, writes = os.pipe()
    monkeypatch.setattr(sys, "stdout", os.fdopen(writes, "w"))
    printer = LinePrinter()
    line = json.dumps({"words": "x" * 200}).encode()
    for _ in range(900):  # more than the pipe holds
        printer.put(line)
    printer.close(0.0)
    with os.fdopen(reads, "rb") as pipe:
        assert [pipe.readline() for _ in range(900)] == [line + b"\n"] * 900
    printer.close(20.0)
    sys.stdout.close()


def test_a_reader_of_news_who_has_gone_is_told(monkeypatch):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        printer = LinePrinter()
        printer.put(b"{}")
        with pytest.raises(BrokenPipeError):
            printer.close(20.0)
        with pytest.raises(BrokenPipeError):
            printer.put(b"{}")


def test_a_full_disk_is_told_and_the_next_line_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "r.jsonl"
    sink = JsonLinesSink(path)
    sink.open()
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:10]))
    with pytest.raises(SinkError, match="disk full"):
        sink.write(event(1))
    monkeypatch.undo()
    sink.close(0.0)
    sink.open()
    sink.write(event(2))
    sink.close(1.0)
    assert json.loads(path.read_bytes().splitlines()[-1])["event_id"] == "event-2"


def test_numbers_that_json_does_not_have_are_refused(tmp_path):
    sink = JsonLinesSink(tmp_path / "r.jsonl")
    sink.open()
    with pytest.raises(ItemError, match="JSON"):
        sink.write(result(0, age_s=float("nan")))
    sink.close(1.0)
    assert (tmp_path / "r.jsonl").read_bytes() == b""


class _Broken:
    def to_dict(self) -> dict[str, object]:
        raise ZeroDivisionError("no result")


@pytest.mark.parametrize(
    "answer",
    [{"score": float("nan")}, {1, 2}, _Broken()],
    ids=["nan", "set", "broken"],
)
def test_a_result_that_is_no_json_is_lost_alone(tmp_path, answer):
    """A model's own answers: one of them neither closes the file nor makes the next one wait."""
    path = tmp_path / "r.jsonl"
    runner = SinkRunner(JsonLinesSink(path), pace=Pace(3600.0, 3600.0))
    runner.start()
    for item in (result(0), result(1, answer=answer), event(2), result(3)):
        runner.put(item)
    assert runner.close(10.0)
    assert [row["kind"] for row in read(path)] == ["result", "event", "result"]
    assert (runner.counts.failed, runner.counts.written) == (1, 3)
    assert "a result of camera till cannot be written as JSON" in runner.status.bad_item


def test_a_name_that_is_no_text_is_written_with_escapes(tmp_path):
    """As file names of an old system are: the line stays JSON, and the name comes back."""
    sink = JsonLinesSink(tmp_path / "r.jsonl")
    sink.open()
    sink.write(result(1, answer={"name": "caf\udce9 crème"}))
    sink.close(1.0)
    assert b"\\udce9" in (tmp_path / "r.jsonl").read_bytes()
    assert [row["result"]["name"] for row in read(tmp_path / "r.jsonl")] == ["caf\udce9 crème"]


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"keep": -1}])
def test_options_that_make_no_sense(tmp_path, options):
    with pytest.raises(InputError, match="JSON lines"):
        JsonLinesSink(tmp_path / "r.jsonl", **options)
