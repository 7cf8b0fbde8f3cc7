"""The stock in SQLite, PostgreSQL and through SQLAlchemy: against counting by hand; once each; whole after SIGKILL."""

from __future__ import annotations

import math
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from stream_items import T0_NS, event, free_port, result, wait_until

from edgevision.errors import InputError, ItemError, SinkError
from edgevision.streams.inventory.stock import Inventory, StockRow
from edgevision.streams.sinks.inventory import InventorySink
from edgevision.tracking.events import Cause, InventoryEvent

ROOT = Path(__file__).parents[3]
T0_S = T0_NS / 1e9


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own. Its folder is none of pytest's: those are closed to other users, whenever pytest starts."""
    with tempfile.TemporaryDirectory(prefix="edgevision-postgres-") as folder:
        yield from _server(Path(folder))


def _server(folder: Path) -> Iterator[str]:
    port = free_port()
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data = folder / "data"
    if as_user:
        subprocess.run(["chown", "postgres", str(folder)], check=True)
    subprocess.run([*as_user, "initdb", "-A", "trust", "-U", "shop", "-D", str(data)], check=True, capture_output=True)
    server = subprocess.Popen(
        [*as_user, "postgres", "-D", str(data), "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def is_up() -> bool:
        assert server.poll() is None, "postgres did not start"
        asked = subprocess.run(["pg_isready", "-h", "127.0.0.1", "-p", str(port)], check=False, capture_output=True)
        return asked.returncode == 0

    wait_until(is_up, 60.0)
    yield f"postgresql://shop:hush@127.0.0.1:{port}/postgres"
    server.terminate()
    server.wait(30)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("sqlalchemy", marks=pytest.mark.requires("sqlalchemy")),
        pytest.param("postgres", marks=pytest.mark.requires("postgres")),
    ]
)
def place(request, tmp_path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "new" / "stock.db")
    if request.param == "sqlalchemy":
        return f"sqlite:///{tmp_path}/other.db"
    url = request.getfixturevalue("postgres")
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS inventory_events")
    return url


def some_events(seed: int = 2, count: int = 200) -> list[InventoryEvent]:
    draw = random.Random(seed)
    return [
        InventoryEvent(
            f"id-{number}", T0_S + draw.randrange(1000), draw.choice(["till", "dock"]), draw.choice(["gate", "shelf"]),
            draw.choice(["cola", "crème brûlée", "a'b"]), draw.choice([1, 1, -1]), number, draw.choice(list(Cause)),
        )
        for number in range(count)
    ]  # fmt: skip


def by_hand(events: list[InventoryEvent]) -> dict[tuple[str, str, str], tuple[int, int, float]]:
    plus, minus = Counter(), Counter()
    last: dict[tuple[str, str, str], float] = {}
    for one in events:
        key = (one.camera, one.place, one.product)
        (plus if one.delta > 0 else minus)[key] += 1
        last[key] = max(last.get(key, 0.0), one.time_s)
    return {key: (plus[key], minus[key], last[key]) for key in last}


def told(rows: list[StockRow]) -> dict[tuple[str, str, str], tuple[int, int, float]]:
    return {(row.camera, row.place, row.product): (row.plus, row.minus, row.last_s) for row in rows}


def test_the_stock_is_what_counting_by_hand_gives_now_and_at_any_time(place):
    events = some_events()
    with Inventory(place) as inventory:
        assert inventory.stock() == []
        assert inventory.add(events[:120]) == 120
        assert inventory.add(events[120:]) == 80
        assert told(inventory.stock()) == by_hand(events)
        for at_s in (T0_S - 1, T0_S, T0_S + 500, events[7].time_s, T0_S + 2000):
            assert told(inventory.stock(at_s)) == by_hand([one for one in events if one.time_s <= at_s])
        rows = inventory.stock(camera="till", place="shelf", product="a'b")
        assert [(row.camera, row.place, row.product) for row in rows] == [("till", "shelf", "a'b")]
        assert sum(row.net for row in inventory.stock()) == sum(one.delta for one in events)


def test_events_come_back_as_they_were(place):
    events = some_events(3, 50)
    with Inventory(place) as inventory:
        inventory.add(events)
        found = list(inventory.events())
        assert sorted(found, key=lambda one: one.event_id) == sorted(events, key=lambda one: one.event_id)
        assert [one.time_s for one in found] == sorted(one.time_s for one in events)
        some = list(inventory.events(after_s=T0_S + 200, until_s=T0_S + 700, camera="dock"))
        wanted = {one.event_id for one in events if T0_S + 200 < one.time_s <= T0_S + 700 and one.camera == "dock"}
        assert {one.event_id for one in some} == wanted


def test_an_event_counts_once_however_often_it_comes(place):
    events = some_events(4, 30)
    with Inventory(place) as inventory:
        assert inventory.add([*events, *events]) == 30
        before = told(inventory.stock())
        assert inventory.add(events) == 0
        assert inventory.add([*events[:3], event(77, place="other")]) == 1
    with Inventory(place) as again:  # after a restart
        assert again.add(events) == 0
        again.add([event(77, place="other")])
        assert {key: row for key, row in told(again.stock()).items() if key in before} == before


def test_reading_makes_nothing_and_wants_a_stock(place, tmp_path):
    with pytest.raises(InputError, match=r"not there|no table") as caught:
        Inventory(place, write=False)
    assert "hush" not in str(caught.value)
    with Inventory(place) as writing:
        writing.add([event(1)])
        with Inventory(place, write=False) as reading:  # while somebody writes
            assert reading.stock()[0].net == 1
            writing.add([event(2)])
            assert reading.stock()[0].net == 2


CHILD = """
import sys
sys.path.insert(0, "tests/support")
from stream_items import event
from edgevision.streams.inventory.stock import Inventory
inventory = Inventory(sys.argv[1])
for number in range(100_000):
    inventory.add([event(number)])
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 60])
def test_sigkill_takes_nothing_that_was_counted(tmp_path, lines):
    path = tmp_path / "stock.db"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert child.stdout is not None
    for _ in range(lines):
        last = int(child.stdout.readline())
    child.kill()
    printed = child.stdout.read().splitlines()
    child.wait()
    child.stdout.close()
    last = int(printed[-1]) if printed else last
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with Inventory(path) as inventory:
        (row,) = inventory.stock()
        assert last + 1 <= row.plus <= last + 2  # one more may have been counted and not told
        assert inventory.add([event(number) for number in range(last + 1)]) == 0  # processed again


def test_what_is_no_inventory_is_left_alone(tmp_path):
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE customers (name TEXT)")
    connection.commit()
    connection.close()
    text = tmp_path / "text.db"
    text.write_text("no database, but long enough to look like a file of one" * 50)
    for write in (True, False):
        with pytest.raises(InputError, match=r"another kind|no table"):
            Inventory(other, write=write)
        with pytest.raises(InputError, match="no SQLite database"):
            Inventory(text, write=write)
    assert text.read_text().startswith("no database")
    with pytest.raises(InputError, match="not there"):
        Inventory(tmp_path / "nothing.db", write=False)
    assert not (tmp_path / "nothing.db").exists()


@pytest.mark.requires("sqlalchemy")
@pytest.mark.parametrize("url", ["postgresql://u:hush@127.0.0.1:1/shop", "nosuchdb://u:hush@h/x", "://hush@"])
def test_a_database_that_cannot_be_used_is_told_without_its_password(url):
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg")
    with pytest.raises((InputError, SinkError)) as caught:
        Inventory(url)
    assert "hush" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_times_are_finite(tmp_path):
    with Inventory(tmp_path / "s.db") as inventory, pytest.raises(InputError, match="finite"):
        inventory.stock(float("nan"))


def test_the_sink_keeps_events_and_passes_over_the_rest(tmp_path):
    sink = InventorySink(tmp_path / "stock.db", name="sqlite:stock.db")
    sink.open()
    for item in (event(1), result(3), event(2), event(1)):
        sink.write(item)
    sink.close(1.0)
    sink.close(1.0)
    with Inventory(tmp_path / "stock.db", write=False) as inventory:
        assert [row.net for row in inventory.stock()] == [2]


def test_an_event_that_the_table_never_takes_is_the_item_s_fault(tmp_path):
    """It would keep all the others waiting."""
    with Inventory(tmp_path / "s.db") as inventory, pytest.raises(ItemError, match="does not take this event"):
        inventory.add([event(1, time_s=math.nan)])  # SQLite takes it for NULL


def test_what_a_killed_run_left_in_zones_leaves_them_once(tmp_path):
    path = tmp_path / "stock.db"
    with Inventory(path) as inventory:
        inventory.add([event(n) for n in range(3)] + [event(9, place="gate")] + [event(10, camera="dock")])
    for _ in range(2):  # two restarts, with nothing between
        sink = InventorySink(path, name="s")
        sink.zones = [("till", "shelf"), ("till", "empty")]
        sink.open()
        sink.close(1.0)
    sink = InventorySink(path, name="s")
    sink.zones = [("till", "shelf")]
    sink.open()
    sink.write(event(50))  # seen again, and counted in this run
    sink.close(1.0)
    sink.open()  # after a failure of the same run: nothing leaves again
    sink.close(1.0)
    with Inventory(path) as inventory:
        rows = {(row.camera, row.place): (row.plus, row.minus) for row in inventory.stock()}
        assert rows == {("till", "shelf"): (4, 3), ("till", "gate"): (1, 0), ("dock", "shelf"): (1, 0)}
        assert {one.cause for one in inventory.events() if one.delta < 0} == {Cause.LOST}
        assert told(inventory.stock(T0_S + 100))["till", "shelf", "cola"][:2] == (4, 0)  # as it was then
