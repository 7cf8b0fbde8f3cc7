"""The ledger on disk: it says what was written, sums stay exact while the file stays small, and nothing that happens breaks it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from edgevision.errors import EdgeVisionError, InputError
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account, Ledger
from edgevision.streams.ledger_file import HOUR_NS, NOTES, LedgerFile, read_ledger

ROOT = Path(__file__).parents[2]
T0_NS = 497_000 * HOUR_NS


def opened(path: Path, **options: float) -> LedgerFile:
    file = LedgerFile(path, **options)
    file.open()
    return file


def account(camera: str, served: int, stale: int = 0, *, in_flight: int = 0, at_ns: int = T0_NS) -> Account:
    fates = {fate: count for fate, count in ((Fate.SERVED, served), (Fate.STALE, stale)) if count}
    return Account(camera, served + stale + in_flight, in_flight, fates, at_ns)


def hours_of(path: Path) -> dict[tuple[str, int | None], tuple[int, dict[Fate, int]]]:
    return {(one.camera, one.hour_ns): (one.captured, one.fates) for one in read_ledger(path).hours}


def test_what_is_written_is_read_and_the_last_of_each_camera_counts(tmp_path):
    path = tmp_path / "l.jsonl"
    ledger, file = Ledger(), opened(path)
    for camera in ("till", "dock"):
        ledger.settle(camera, ledger.captured(camera), Fate.SERVED)
    file.write(ledger.accounts(at_ns=1))
    ledger.settle("till", ledger.captured("till"), Fate.STALE)
    file.write(ledger.accounts(at_ns=2))
    found = read_ledger(path).accounts
    assert list(found) == ["till", "dock"]
    assert found["till"] == Account("till", 2, 0, {Fate.SERVED: 1, Fate.STALE: 1}, 2)


def test_hours_add_up_over_runs_each_of_which_counts_from_nothing(tmp_path):
    path = tmp_path / "l.jsonl"
    first = opened(path)
    first.write([account("till", 10, in_flight=2)])
    first.write([account("till", 15, 1, at_ns=T0_NS + HOUR_NS // 2), account("dock", 3)])
    first.write([account("till", 40, 1, at_ns=T0_NS + HOUR_NS)])
    second = opened(path)
    second.write([account("till", 100, at_ns=T0_NS + HOUR_NS + 1)])  # more than before, and still another run
    second.write([account("till", 120, at_ns=T0_NS + 3 * HOUR_NS)])
    assert hours_of(path) == {
        ("till", T0_NS): (16, {Fate.SERVED: 15, Fate.STALE: 1}),
        ("till", T0_NS + HOUR_NS): (125, {Fate.SERVED: 125}),
        ("till", T0_NS + 3 * HOUR_NS): (20, {Fate.SERVED: 20}),
        ("dock", T0_NS): (3, {Fate.SERVED: 3}),
    }
    assert read_ledger(path).accounts["till"].captured == 120


@pytest.mark.parametrize("seed", range(3))
def test_the_file_stays_small_and_every_sum_exact(tmp_path, seed):
    """Three weeks with restarts, against sums kept beside it: each hour of the last week, and all before it together."""
    draw = random.Random(seed)
    path = tmp_path / "l.jsonl"
    cameras = ["till", "dock", "käse"]
    truth: dict[tuple[str, int], Counter[Fate]] = {}
    largest, at_ns = 0, T0_NS
    counts: dict[str, Counter[Fate]] = {}
    file = opened(path, growth_bytes=30_000)
    while at_ns < T0_NS + 21 * 24 * HOUR_NS:
        if draw.random() < 0.01:
            file, counts = opened(path, growth_bytes=30_000), {}  # a new run
        at_ns += draw.randrange(HOUR_NS)
        for camera in draw.sample(cameras, draw.randrange(4)):
            own = counts.setdefault(camera, Counter())
            for fate in draw.sample(list(Fate), 2):
                more = draw.randrange(100)
                own[fate] += more
                truth.setdefault((camera, at_ns // HOUR_NS * HOUR_NS), Counter())[fate] += more
            file.write([Account(camera, own.total(), 0, dict(own), at_ns)])
        largest = max(largest, path.stat().st_size)
    found = read_ledger(path)
    by_camera = {camera: Counter[Fate]() for camera in cameras}
    total = {camera: Counter[Fate]() for camera in cameras}
    for one in found.hours:
        assert one.captured == sum(one.fates.values())
        by_camera[one.camera].update(one.fates)
        if one.hour_ns is not None:
            assert Counter(one.fates) == +truth[one.camera, one.hour_ns]
    kept = {(one.camera, one.hour_ns) for one in found.hours if one.hour_ns is not None}
    assert {key for key in truth if key[1] > at_ns - 7 * 24 * HOUR_NS} <= kept
    for (camera, _), fates in truth.items():
        total[camera].update(fates)
    assert by_camera == total
    assert largest < 30_000 + 3 * (8 * 24) * 230
    assert [path.name for path in tmp_path.iterdir()] == ["l.jsonl"]


@pytest.mark.parametrize("torn", [b'{"camera": "till", "captu', b"\0" * 5000, b"x" * 100_000])
def test_what_a_crash_leaves_at_the_end_breaks_nothing(tmp_path, torn):
    path = tmp_path / "l.jsonl"
    opened(path).write([account("till", 5)])
    with path.open("ab") as file:
        file.write(torn)
    if len(torn) < 50_000:
        assert read_ledger(path).accounts["till"].captured == 5
    again = opened(path)
    assert again.set_aside is None
    again.write([account("till", 7)])
    assert hours_of(path)["till", T0_NS] == (12, {Fate.SERVED: 12})


CHILD = """
import sys
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Account
from edgevision.streams.ledger_file import HOUR_NS, LedgerFile
file = LedgerFile(sys.argv[1], growth_bytes=1500)
file.open()
for number in range(1, 1_000_000):
    file.write([Account(camera, number, 0, {Fate.SERVED: number}, (497_000 + number // 50) * HOUR_NS) for camera in ("a", "b")])
    print(number, flush=True)
"""


def test_sigkill_at_any_moment_takes_nothing_that_was_written(tmp_path):
    """Several runs, one after the other, each killed while the file is written anew again and again."""
    path = tmp_path / "l.jsonl"
    at_least = at_most = 0
    for lines in (1, 13, 60, 200, 377):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
        assert child.stdout is not None
        for _ in range(lines):
            last = int(child.stdout.readline())
        child.kill()
        last = int((child.stdout.read().splitlines() or [last])[-1])
        child.wait()
        child.stdout.close()
        at_least += last
        at_most += last + 1
        found = read_ledger(path)
        for camera in ("a", "b"):
            assert at_least <= sum(one.captured for one in found.hours if one.camera == camera) <= at_most
            assert last <= found.accounts[camera].captured <= last + 1
        assert not list(tmp_path.glob("*damaged*"))
        at_least = sum(one.captured for one in found.hours if one.camera == "b")
        at_most = sum(one.captured for one in found.hours if one.camera == "a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing\n", "l.jsonl:1: this is no JSON"),
        ('{"camera": "a", "captured": 1, "in_flight": 0, "fates": {"lost": 1}}\n', "l.jsonl:1: .*needs fates"),
        ("[]\n", "is an object"),
        ("x" * 200_000 + "\n", "l.jsonl:1: this line is too long"),
        ('{"camera": "a", "captured": 1, "fates": {}, "hour_ns": "noon"}\n', "hour_ns as a whole number"),
        (f'{{"camera": "a", "captured": 1, "fates": {{}}, "hour_ns": {10**40}}}\n', "hour_ns as a whole number"),
        (f'{{"camera": "a", "captured": 1, "fates": {{}}, "at_ns": {2**63}}}\n', "at_ns as a whole number"),
        ("[" * 60_000 + "\n", "l.jsonl:1: this is no JSON"),
    ],
)
def test_a_file_that_is_no_ledger_is_told_and_left_alone(tmp_path, text, words):
    path = tmp_path / "l.jsonl"
    path.write_text(text)
    for call in (lambda: read_ledger(path), lambda: opened(path)):
        with pytest.raises(InputError, match=words):
            call()
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_ledger_that_is_damaged_is_set_aside_and_told_with_its_line(tmp_path):
    path = tmp_path / "l.jsonl"
    opened(path).write([account("till", 5), account("dock", 5)])
    damaged = path.read_bytes().replace(b'"dock"', b'"do\0\0"') + b"{}\n"
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"l\.jsonl:2"):
        read_ledger(path)
    file = opened(path)
    assert file.set_aside == tmp_path / "l.jsonl.damaged-1"
    assert file.set_aside.read_bytes() == damaged
    file.write([account("till", 1)])
    assert read_ledger(path).accounts["till"].captured == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_pipe_that_nobody_reads_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InputError, match="cannot write the ledger"):
        opened(path)


def test_a_note_too_long_to_be_read_again_is_refused(tmp_path):
    path = tmp_path / "l.jsonl"
    file = opened(path)
    with pytest.raises(InputError, match=r"cannot write a model_change to the ledger .* longer than 64 KiB"):
        file.note("model_change", {"words": "x" * 65_536})
    file.note("model_change", {"words": "x" * 60_000})
    assert len(read_ledger(path).notes) == 1


def test_a_name_that_is_no_utf_8_is_kept(tmp_path):
    path = tmp_path / "l.jsonl"
    words = os.fsdecode(b"shelf-\xff.edge") if os.name == "posix" else "shelf-\udcff.edge"
    opened(path).note("model_change", {"words": words})
    opened(path)  # written anew
    assert read_ledger(path).notes == (("model_change", {"words": words}),)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_ledger(tmp_path / "l.jsonl")
    with pytest.raises(InputError, match="cannot write"):
        opened(tmp_path / "no" / "l.jsonl")
    assert read_ledger(opened(tmp_path / "new.jsonl").path).accounts == {}


def test_a_disk_that_takes_half_a_line_leaves_none_of_it(tmp_path, monkeypatch):
    path = tmp_path / "l.jsonl"
    file = opened(path)
    file.write([account("till", 5)])
    before = path.read_bytes()
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:10]))
    with pytest.raises(InputError, match="disk is full"):
        file.write([account("till", 6)])
    assert path.read_bytes() == before
    monkeypatch.undo()
    file.write([account("till", 7)])
    assert hours_of(path)["till", T0_NS] == (7, {Fate.SERVED: 7})


def test_where_it_cannot_be_written_anew_it_stays_as_it_is_and_is_tried_again(tmp_path, monkeypatch):
    path = tmp_path / "l.jsonl"
    file = opened(path, growth_bytes=1000)

    def write(*given: object) -> None:
        raise EdgeVisionError("the disk is full")

    monkeypatch.setattr("edgevision.streams.ledger_file.atomic_write", write)
    told = 0
    for number in range(30):
        try:
            file.write([account("till", number)])
        except EdgeVisionError:
            told += 1
    assert told > 5
    monkeypatch.undo()
    file.write([account("till", 30)])
    assert path.stat().st_size < 1000
    assert hours_of(path)["till", T0_NS] == (30, {Fate.SERVED: 30})


def test_a_disk_that_is_full_at_the_start_ends_nothing(tmp_path, monkeypatch):
    path = tmp_path / "l.jsonl"
    opened(path).write([account("till", 5)])

    def write(*given: object) -> None:
        raise EdgeVisionError("the disk is full")

    monkeypatch.setattr("edgevision.streams.ledger_file.atomic_write", write)
    file = opened(path)
    with pytest.raises(EdgeVisionError, match="full"):
        file.write([account("till", 1)])
    monkeypatch.undo()
    file.write([account("till", 2)])
    assert hours_of(path)["till", T0_NS] == (7, {Fate.SERVED: 7})


def test_notes_stay_the_newest_of_them(tmp_path):
    path = tmp_path / "l.jsonl"
    file = opened(path, growth_bytes=5000)
    for number in range(NOTES + 50):
        file.note("model_change", {"number": number})
    file.write([account("till", 1)])
    opened(path)
    notes = read_ledger(path).notes
    assert [values["number"] for _, values in notes] == list(range(50, NOTES + 50))
    assert {name for name, _ in notes} == {"model_change"}
    assert json.loads(path.read_bytes().splitlines()[0])["camera"] == "till"
