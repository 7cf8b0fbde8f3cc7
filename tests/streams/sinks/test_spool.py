"""The spool on disk: what is appended is there until it is confirmed, whatever happens to the process or the file."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from stream_items import threads_named, wait_until

from edgevision.errors import InputError, SinkError
from edgevision.streams.sinks.spool import Spool

ROOT = Path(__file__).parents[3]
SECOND_NS = 1_000_000_000
NOW_NS = 1_790_000_000 * SECOND_NS


class Clock:
    def __init__(self, now_ns: int = NOW_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def ids(spool: Spool) -> list[str]:
    return [one.id for one in spool.waiting(10_000)]


def filled(path: Path, count: int, **options) -> Spool:
    spool = Spool(path, **options)
    for number in range(count):
        spool.append(f"id-{number}", f"body {number}".encode(), address=f"shop/{number % 2}")
    return spool


def test_it_gives_what_was_appended_in_its_order_until_it_is_confirmed(tmp_path):
    spool = filled(tmp_path / "a" / "s.spool", 5)
    waiting = spool.waiting(3)
    assert [(one.id, one.body, one.address) for one in waiting] == [
        (f"id-{n}", f"body {n}".encode(), f"shop/{n % 2}") for n in range(3)
    ]
    assert ids(spool)[:3] == ["id-0", "id-1", "id-2"]  # reading changes nothing
    spool.confirm([waiting[1].number, 999, waiting[1].number])
    assert ids(spool) == ["id-0", "id-2", "id-3", "id-4"]
    assert spool.pending == 4
    spool.close()


def test_it_goes_on_after_a_restart_and_never_uses_a_number_again(tmp_path):
    spool = filled(tmp_path / "s.spool", 3)
    last = spool.last_number
    spool.confirm(one.number for one in spool.waiting())
    spool.close()
    spool.close()  # twice is allowed
    again = Spool(tmp_path / "s.spool")
    assert again.last_number == last  # else a new message would be taken for a late one
    again.append("new", b"x")
    assert again.last_number > last
    assert again.waiting()[0].number == again.last_number
    again.close()


def test_an_id_that_waits_is_not_kept_twice(tmp_path):
    spool = Spool(tmp_path / "s.spool")
    assert spool.append("one", b"first")
    assert not spool.append("one", b"second")
    assert [one.body for one in spool.waiting()] == [b"first"]
    spool.confirm([spool.waiting()[0].number])
    assert spool.append("one", b"third")
    spool.close()


def test_the_oldest_goes_where_there_are_too_many_bytes_and_is_counted(tmp_path):
    spool = Spool(tmp_path / "s.spool", max_bytes=10_000)
    for number in range(50):
        spool.append(f"id-{number}", bytes(1000))
        assert spool.pending_bytes <= 10_000
    kept = spool.pending
    assert ids(spool) == [f"id-{n}" for n in range(50 - kept, 50)]
    assert kept >= 8
    assert spool.dropped == {"size": 50 - kept}
    assert spool.append("giant", bytes(20_000))
    assert spool.dropped == {"size": 50 - kept + 1}
    assert spool.pending == kept  # one that never fits takes no other's place
    spool.close()
    again = Spool(tmp_path / "s.spool", max_bytes=10_000)
    assert again.dropped == {"size": 50 - kept + 1}
    assert again.pending_bytes <= 10_000
    again.append("after", bytes(1000))
    assert again.pending_bytes <= 10_000  # what waited before the restart counts
    again.close()


def test_the_file_does_not_grow_with_what_goes_through_it(tmp_path):
    spool = Spool(tmp_path / "s.spool", max_bytes=100_000)
    for number in range(1000):
        spool.append(f"id-{number}", bytes(1000))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    spool.close()
    assert size < 5_000_000  # the log of SQLite is up to 4 MB of it
    assert (tmp_path / "s.spool").stat().st_size < 250_000


@pytest.mark.parametrize(
    ("made_ns", "later_s", "stays"),
    [
        (NOW_NS, 99, True),
        (NOW_NS, 101, False),
        (NOW_NS, -5000, True),  # the clock was set back
        (5 * SECOND_NS, 1_790_000_000, True),  # made before the clock was set: its age is not known
    ],
)
def test_what_an_earlier_run_left_goes_when_it_is_too_old_and_is_counted(tmp_path, made_ns, later_s, stays):
    clock = Clock(made_ns)
    filled(tmp_path / "s.spool", 2, max_age_s=100, now_ns=clock).close()
    clock.now_ns += later_s * SECOND_NS
    spool = Spool(tmp_path / "s.spool", max_age_s=100, now_ns=clock)
    assert (ids(spool) == ["id-0", "id-1"]) is stays
    assert spool.dropped == ({} if stays else {"age": 2})
    assert (spool.pending_bytes > 0) is stays
    spool.close()


@pytest.mark.parametrize("jump_s", [0, 20_000_000, -20_000_000])
def test_what_came_in_this_run_grows_old_although_the_clock_is_set(tmp_path, jump_s):
    """A machine without a clock battery finds a time server: its clock jumps by months, and nothing is older for that."""
    clock, passed_s = Clock(), [50.0]
    spool = filled(tmp_path / "s.spool", 2, max_age_s=100, now_ns=clock, monotonic_s=lambda: passed_s[0])
    clock.now_ns += jump_s * SECOND_NS
    passed_s[0] += 60
    spool.append("later", b"body")
    assert ids(spool) == ["id-0", "id-1", "later"]
    passed_s[0] += 41
    assert ids(spool) == ["later"]
    passed_s[0] += 60
    spool.append("last", b"body")
    assert ids(spool) == ["last"]
    assert spool.dropped == {"age": 3}
    spool.close()


def test_a_spool_that_is_opened_again_goes_on_with_its_run(tmp_path):
    """A sink that failed is opened again, and then the clock is set by months."""
    clock, passed_s = Clock(), [50.0]
    clocks = {"max_age_s": 100, "now_ns": clock, "monotonic_s": lambda: passed_s[0]}
    first = filled(tmp_path / "s.spool", 2, **clocks)
    first.close()
    again = Spool(tmp_path / "s.spool", **clocks, before=first)
    clock.now_ns += 10_000_000 * SECOND_NS
    assert ids(again) == ["id-0", "id-1"]
    passed_s[0] += 101
    assert ids(again) == []
    again.close()
    other = Spool(tmp_path / "other.spool", **clocks, before=again)  # not what was open before
    other.append("new", b"body")
    passed_s[0] += 60
    assert ids(other) == ["new"]
    other.close()


def test_what_the_other_side_refuses_is_counted(tmp_path):
    spool = filled(tmp_path / "s.spool", 2)
    number = spool.waiting()[0].number
    spool.refuse(number, "bad")
    spool.refuse(number, "bad")
    assert ids(spool) == ["id-1"]
    assert spool.dropped == {"refused": 1}
    assert spool.dropped_by_kind == {("refused", "event"): 1}
    spool.close()


def test_what_is_refused_is_put_aside_with_the_reason(tmp_path):
    path = tmp_path / "s.spool"
    spool = Spool(path, now_ns=Clock())
    spool.append("id-0", b'{"a": "\xc3\xa9"}', address="shop/till", kind="result")
    spool.append("id-1", b"no text: \xff")
    for one, reason in zip(spool.waiting(), ("too large", "no text"), strict=True):
        spool.refuse(one.number, reason)
    spool.close()
    aside = path.with_name("s.spool.refused")
    first, second = (json.loads(line) for line in aside.read_text("utf-8").splitlines())
    assert first == {
        "refused_ns": NOW_NS, "reason": "too large", "id": "id-0", "kind": "result", "address": "shop/till", "body": '{"a": "é"}',
    }  # fmt: skip
    assert (second["reason"], second["kind"], second["body"]) == ("no text", "event", "no text: \ufffd")
    assert aside.stat().st_mode & 0o077 == 0


def test_what_is_put_aside_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("edgevision.streams.sinks.spool._REFUSED_BYTES", 10_000)
    spool = Spool(tmp_path / "s.spool")
    for number in range(30):
        spool.append(f"id-{number}", bytes(1000))
        spool.refuse(spool.last_number, "bad")
    spool.close()
    sizes = [path.stat().st_size for path in tmp_path.glob("*.refused*")]
    assert len(sizes) == 2
    assert max(sizes) <= 10_000


def test_results_go_first_and_never_take_the_place_of_an_event(tmp_path):
    spool = Spool(tmp_path / "s.spool", max_bytes=10_000)
    spool.append("event-0", bytes(500), kind="event")
    spool.append("state-0", bytes(500), kind="state")
    for number in range(30):
        spool.append(f"result-{number}", bytes(800), kind="result")
    waiting = ids(spool)
    assert waiting[:2] == ["event-0", "state-0"]
    results = len(waiting) - 2
    assert waiting[2:] == [f"result-{n}" for n in range(30 - results, 30)]
    for number in range(1, 40):
        spool.append(f"event-{number}", bytes(500), kind="event")
        assert spool.pending_bytes <= 10_000
    events = ids(spool)
    assert events == [f"event-{n}" for n in range(40 - len(events), 40)]  # the state went, then the oldest events
    spool.append("result-30", bytes(800), kind="result")
    assert ids(spool) == events
    dropped = {("size", "result"): 31, ("size", "state"): 1, ("size", "event"): 40 - len(events)}
    assert spool.dropped_by_kind == dropped
    spool.close()
    again = Spool(tmp_path / "s.spool", max_bytes=10_000)
    assert again.dropped_by_kind == dropped
    again.append("result-31", bytes(800), kind="result")
    assert ids(again) == events
    again.close()


def test_the_last_message_reaches_the_disk_without_another_one(tmp_path):
    """What the database file holds without SQLite's log was synced: SQLite syncs the log before it moves it there."""
    spool = Spool(tmp_path / "s.spool")
    for number in range(5):  # quicker than ten a second: the last one is not synced by itself
        spool.append(f"id-{number}", b"x")

    def synced() -> bool:
        copy = tmp_path / "copy"
        copy.write_bytes((tmp_path / "s.spool").read_bytes())
        try:
            rows = sqlite3.connect(copy).execute("SELECT id FROM messages ORDER BY number").fetchall()
        except sqlite3.Error:  # copied in the middle of a write
            return False
        return rows == [(f"id-{number}",) for number in range(5)]

    wait_until(synced)
    spool.close()
    assert not threads_named("edgevision spool")


def test_a_spool_of_another_version_is_set_aside(tmp_path):
    filled(tmp_path / "s.spool", 1).close()
    sqlite3.connect(tmp_path / "s.spool").execute("PRAGMA user_version = 1").connection.close()
    spool = Spool(tmp_path / "s.spool")
    assert spool.set_aside is not None
    assert spool.pending == 0
    spool.close()


def test_it_keeps_count_of_bytes_through_everything(tmp_path):
    """Against the sum over what waits, after a random walk."""
    draw = random.Random(3)
    spool = Spool(tmp_path / "s.spool", max_bytes=20_000)
    for number in range(400):
        step = draw.random()
        waiting = spool.waiting(5)
        if step < 0.6 or not waiting:
            spool.append(f"é{number}", bytes(draw.randrange(3000)), address="a" * draw.randrange(20))
        elif step < 0.9:
            spool.confirm([one.number for one in waiting if draw.random() < 0.7])
        else:
            spool.refuse(waiting[0].number, "bad")
    counted = spool.pending_bytes
    spool.close()
    assert Spool(tmp_path / "s.spool").pending_bytes == counted


CHILD = """
import sys
from edgevision.streams.sinks.spool import Spool
spool = Spool(sys.argv[1])
for number in range(100_000):
    spool.append(f"id-{number}", b"x" * (number % 700))
    print(number, flush=True)
    if number % 3 == 0 and number > 10:
        spool.confirm([spool.waiting(1)[0].number])
"""


@pytest.mark.parametrize("lines", [1, 40, 333])
def test_sigkill_takes_nothing_that_was_appended(tmp_path, lines):
    path = tmp_path / "s.spool"
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert child.stdout is not None
    for _ in range(lines):
        last = int(child.stdout.readline())
    child.kill()
    printed = [int(line) for line in child.stdout.read().splitlines()]
    child.wait()
    child.stdout.close()
    last = printed[-1] if printed else last
    spool = Spool(path)
    numbers = [int(one.id.removeprefix("id-")) for one in spool.waiting(1_000_000)]
    assert spool.set_aside is None
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] >= last
    confirmed = max(0, (last - 10 + 2) // 3 - 3)  # at least so many were: what is confirmed stays confirmed
    assert numbers[0] >= confirmed - 1
    assert all(len(one.body) == number % 700 for one, number in zip(spool.waiting(1_000_000), numbers, strict=True))
    spool.close()


def test_a_file_cut_anywhere_holds_the_first_messages_whole(tmp_path):
    """A write-ahead log that a power cut left half-written, at its frames' ends and between."""
    spool = Spool(tmp_path / "s.spool")
    for number in range(4):
        spool.append(f"id-{number}", bytes([number]) * 3000)
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))
    spool.close()
    whole = (tmp_path.with_name("copy") / "s.spool-wal").read_bytes()
    database = (tmp_path.with_name("copy") / "s.spool").read_bytes()
    frame = 4096 + 24
    cuts = {
        len(whole),
        *range(0, len(whole), 4999),
        *(32 + frame * n + d for n in range(len(whole) // frame) for d in (-1, 0, 1)),
    }
    seen = set()
    place = tmp_path.with_name("cut")
    place.mkdir()
    for cut in sorted(cuts):
        (place / "s.spool").write_bytes(database)
        (place / "s.spool-wal").write_bytes(whole[:cut])
        opened = Spool(place / "s.spool")
        waiting = opened.waiting()
        assert opened.set_aside is None
        assert [one.id for one in waiting] == [f"id-{n}" for n in range(len(waiting))]
        assert all(one.body == bytes([n]) * 3000 for n, one in enumerate(waiting))
        assert opened.append("more", b"x")
        opened.close()
        seen.add(len(waiting))
    assert seen == set(range(5))


@pytest.mark.parametrize("content", [b"no database at all, but text " * 200, "overwritten in the middle"])
def test_a_damaged_file_is_set_aside_and_the_stream_goes_on(tmp_path, content):
    path = tmp_path / "s.spool"
    if isinstance(content, str):
        spool = Spool(path)
        for number in range(50):
            spool.append(f"id-{number}", bytes(3000))
        spool.close()
        data = bytearray(path.read_bytes())
        data[4096:20_000] = b"\xff" * (20_000 - 4096)
        content = bytes(data)
    path.write_bytes(content)
    spool = Spool(path)
    assert spool.set_aside == tmp_path / "s.spool.damaged-1"
    assert spool.set_aside.read_bytes() == content
    assert spool.pending == 0
    spool.append("id", b"x")
    assert ids(spool) == ["id"]
    spool.close()


def test_a_database_of_somebody_else_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE customers (name TEXT)")
    other.execute("INSERT INTO customers VALUES ('Anna')")
    other.commit()
    other.close()
    with pytest.raises(InputError, match="another kind"):
        Spool(path)
    assert sqlite3.connect(path).execute("SELECT * FROM customers").fetchall() == [("Anna",)]


def test_one_program_at_a_time(tmp_path):
    spool = filled(tmp_path / "s.spool", 1)
    code = f"from edgevision.streams.sinks.spool import Spool; Spool({str(tmp_path / 's.spool')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert "in use by another program" in done.stderr.splitlines()[-1]
    spool.close()


def test_other_users_cannot_read_it(tmp_path):
    spool = filled(tmp_path / "s.spool", 1)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
    spool.close()


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path):
    spool = filled(tmp_path / "s.spool", 3)
    spool._database.execute("PRAGMA max_page_count = 8")
    with pytest.raises(SinkError, match=r"s\.spool: .*full"):
        spool.append("large", bytes(100_000))
    before = spool.pending_bytes
    assert ids(spool) == ["id-0", "id-1", "id-2"]
    spool._database.execute("PRAGMA max_page_count = 100000")
    assert spool.append("large", bytes(100_000))
    assert spool.pending_bytes > before + 100_000
    spool.close()


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"max_age_s": 0}, {"max_age_s": float("nan")}])
def test_bounds_that_make_no_sense(tmp_path, options):
    with pytest.raises(InputError, match="over 0"):
        Spool(tmp_path / "s.spool", **options)
