"""``stream``, ``explain`` and ``stock`` on real bundles and folders of photos."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from embedders import write_colour_embedder
from spots import write_spot_finder
from stream_items import T0_NS, event, wait_until

from edgevision.streams.inventory.stock import Inventory
from edgevision.streams.ledger_file import read_ledger
from edgevision.streams.model_ledger import model_changes

ROOT = Path(__file__).parents[2]
COLORS = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_STATE", str(tmp_path / "state"))


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_photo_of_every_folder_is_recognised(edgevision, color_bundle, photos, tmp_path):
    out, ledger = tmp_path / "r.jsonl", tmp_path / "l.jsonl"
    cameras = [word for name in COLORS for word in ("--camera", f"{name}={photos / name}")]
    done = edgevision("stream", color_bundle(), *cameras, "--sink", f"jsonl:{out}", "--ledger", ledger)
    assert done.status == 0, done.err
    results = [row for row in lines(out) if row["kind"] == "result"]
    for name in COLORS:
        own = [row for row in results if row["camera"] == name]
        assert [row["sequence"] for row in own] == list(range(20))
        assert all(row["result"]["top"][0]["name"] == name for row in own)
    assert {row["state"] for row in lines(out) if row["kind"] == "state"} >= {"live", "ended"}
    assert done.out.count("20 (100.0 %) were served") == 3
    told = edgevision("explain", ledger, "green")
    assert told.status == 0
    assert told.out.splitlines()[0].startswith("green: 20 frames captured (as of ")
    assert "red:" not in told.out
    assert [row["camera"] for row in edgevision("explain", ledger, "--json").json] == list(COLORS)
    assert edgevision("explain", ledger, "pink").status == 2
    again = edgevision("stream", color_bundle(), *cameras[:2], "--ledger", ledger)
    assert again.status == 0, again.err
    hours = edgevision("explain", ledger, "--hours", "--json").json
    counted = {name: sum(row["captured"] for row in hours if row["camera"] == name) for name in COLORS}
    assert counted == {"red": 40, "green": 20, "blue": 20}  # both runs
    told = edgevision("explain", ledger, "red", "--hours")
    assert all(line.startswith("red, 20") and "(100.0 %) served" in line for line in told.out.splitlines())


def cameras_of(photos: Path) -> list[object]:
    return [word for name in COLORS for word in ("--camera", f"{name}={photos / name}")]


def test_json_lines_on_stdout(edgevision, color_bundle, photos):
    done = edgevision("stream", color_bundle(), "--camera", photos / "red", "--json")
    assert done.status == 0
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["sequence"] for row in rows if row["kind"] == "result"] == list(range(20))
    assert {row["camera"] for row in rows} == {"cam1"}


def test_a_gallery_without_examples_is_told_at_the_start_and_serves(edgevision, photos, tmp_path):
    bundle, gallery = write_colour_embedder(tmp_path / "embed.edge"), tmp_path / "shop.evg"
    assert edgevision("gallery", "new", gallery, "--model", bundle).status == 0
    done = edgevision("stream", bundle, "--gallery", gallery, "--camera", photos / "red", "--json")
    assert done.status == 0
    assert f"warning: {gallery} has no examples" in done.err
    results = [row["result"] for row in map(json.loads, done.out.splitlines()) if row["kind"] == "result"]
    assert [(one["known"], one["top"]) for one in results] == [(False, [])] * 20


def test_everything_from_a_file(edgevision, color_bundle, photos, tmp_path):
    config = tmp_path / "streams.toml"
    config.write_text(
        f'model = "{color_bundle()}"\n[[camera]]\nname = "till"\nsource = "{photos / "blue"}"\n'
        f'[[sink]]\nurl = "jsonl:{tmp_path / "r.jsonl"}"\n'
    )
    done = edgevision("stream", "--config", config, "--camera", f"more={photos / 'red'}")
    assert done.status == 0, done.err
    seen = {
        (row["camera"], row["result"]["top"][0]["name"])
        for row in lines(tmp_path / "r.jsonl")
        if row["kind"] == "result"
    }
    assert seen == {("till", "blue"), ("more", "red")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--camera", "x"], "no model"),
        (["{bundle}"], "no camera"),
        (["{bundle}", "--camera", "a=x", "--camera", "a=y"], "'a' already"),
        (["{bundle}", "--camera", "x", "--sink", "nonsense"], "write one of"),
        (["{bundle}", "--camera", "x", "--sink", "jsonl:r#keeep=1"], "did you mean keep"),
        (["{bundle}", "--config", "{folder}/none.toml"], "cannot read"),
        (["{folder}/none.edge", "--camera", "x"], "none.edge"),
        (["{bundle}", "--camera", "x", "--threads", "0"], "--threads"),
        (["{bundle}", "--camera", "x", "--threshold", "40"], "--threshold is a score, 0…1, got 40"),
    ],
)
def test_what_is_wrong_is_told_at_once(edgevision, color_bundle, tmp_path, arguments, words):
    bundle = str(color_bundle())
    done = edgevision("stream", *(word.format(bundle=bundle, folder=tmp_path) for word in arguments))
    assert done.status == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_zones_need_a_model_that_finds_boxes(edgevision, color_bundle, photos, tmp_path):
    config = tmp_path / "s.toml"
    config.write_text(
        f'[[camera]]\nname = "a"\nsource = "{photos / "red"}"\n[[camera.zone]]\nname = "z"\ncorners = [[0,0],[9,0],[9,9]]\n'
    )
    done = edgevision("stream", color_bundle(), "--config", config)
    assert done.status == 2
    assert "finds boxes" in done.err


def test_a_sink_that_takes_nothing_is_told_at_the_end(edgevision, color_bundle, photos, tmp_path):
    (tmp_path / "file").write_text("")
    done = edgevision("stream", color_bundle(), "--camera", photos / "red", "--sink", f"jsonl:{tmp_path}/file/r.jsonl")
    assert done.status == 0
    assert "items did not reach it (NotADirectoryError" in done.err or "did not reach it (FileExistsError" in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_under_the_ledger_ends_nothing(edgevision, color_bundle, photos, tmp_path):
    done = edgevision(
        "stream",
        color_bundle(),
        "--camera",
        photos / "red",
        "--sink",
        f"jsonl:{tmp_path / 'r.jsonl'}",
        "--ledger",
        "/dev/full",
    )
    assert done.status == 0, done.err
    assert "cannot write the ledger /dev/full" in done.err
    assert any(row["kind"] == "result" for row in lines(tmp_path / "r.jsonl"))


def test_a_ledger_that_cannot_be_is_told_at_once(edgevision, color_bundle, photos, tmp_path):
    done = edgevision("stream", color_bundle(), "--camera", photos / "red", "--ledger", tmp_path / "none" / "l.jsonl")
    assert done.status == 2
    assert "cannot write the ledger" in done.err


def test_what_is_wrong_with_a_sink_is_told_while_it_runs(edgevision, color_bundle, photos, tmp_path, monkeypatch):
    """On stderr for people, and with --json as lines of their own kind."""
    monkeypatch.setattr("edgevision.cli.stream.REFRESH_S", 0.01)
    (tmp_path / "file").write_text("")
    sinks = ("--sink", f"jsonl:{tmp_path}/file/r.jsonl", "--sink", "http://127.0.0.1:1/services/hush")
    done = edgevision("stream", color_bundle(), *cameras_of(photos), *sinks, "--json")
    assert done.status == 0
    rows = [json.loads(line) for line in done.out.splitlines()]
    faults = {row["sink"]: row["fault"] for row in rows if row["kind"] == "sink" and row["fault"]}
    assert any("FileExistsError" in fault or "NotADirectoryError" in fault for fault in faults.values())
    assert any("cannot connect" in fault for fault in faults.values())
    assert "(FileExistsError" in done.err or "(NotADirectoryError" in done.err
    assert "on disk will go out after the next start" in done.err
    assert "hush" not in done.out + done.err


# ---- a process of its own: signals and changes of the file ----


class Running:
    """``edgevision stream`` with a camera that never ends: a port where nobody answers."""

    def __init__(self, tmp_path: Path, text: str, *arguments: object, stdout: int | None = None) -> None:
        self.config = tmp_path / "streams.toml"
        self.config.write_text(text)
        self.log = tmp_path / "log"
        command = [sys.executable, "-m", "edgevision", "stream", "--config", str(self.config), *map(str, arguments)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log if stdout is None else stdout, stderr=log)

    def waits_for(self, words: str) -> None:
        wait_until(lambda: words in self.log.read_text("utf-8") or self.process.poll() is not None, 60.0)
        assert words in self.log.read_text("utf-8")

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def running(tmp_path, color_bundle):
    started: list[Running] = []

    def start(text: str, *arguments: object, stdout: int | None = None) -> Running:
        """``arguments``: a bundle where there are none."""
        started.append(Running(tmp_path, text, *(arguments or (color_bundle(),)), stdout=stdout))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


DEAD = '[[camera]]\nname = "{}"\nsource = "rtsp://u:hush@127.0.0.1:1/{}"\n'


@pytest.mark.requires("av")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(running, number):
    one = running(DEAD.format("a", 1))
    one.waits_for("a: backoff")
    assert one.end(number) == 0
    log = one.log.read_text("utf-8")
    assert "a: 0 frames captured" in log
    assert "hush" not in log
    assert "Traceback" not in log


@pytest.mark.requires("av", "paho")
def test_it_ends_although_nobody_reads_its_json(running, color_bundle):
    """The reader of the pipe hangs: the thread of stdout is stuck, and neither the main thread nor the end waits for it."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writes, bytes(1))
    os.set_blocking(writes, True)
    nobody = '[[sink]]\nurl = "mqtt://127.0.0.1:1/shop"\n'
    one = running(DEAD.format("a", 1) + nobody, color_bundle(), "--json", stdout=writes)
    os.close(writes)
    one.waits_for("a: backoff")
    one.waits_for("cannot connect")
    assert one.end(signal.SIGTERM) in (0, 1)  # 1 where it waited for the stuck thread to the last moment
    os.close(reads)
    log = one.log.read_text("utf-8")
    assert "sink jsonl:-: 2 of 2 items did not reach it" in log
    assert "Fatal Python error" not in log


@pytest.mark.requires("av")
def test_a_changed_file_is_taken_up_by_itself_and_by_sighup_and_a_wrong_one_is_not(running):
    one = running(DEAD.format("a", 1))
    one.waits_for("a: backoff")
    one.config.write_text(DEAD.format("a", 1) + DEAD.format("b", 2))
    one.waits_for("cameras added: b")
    one.config.write_text(DEAD.format("b", 2) + "nonsense = 1\n")
    one.waits_for("'nonsense' is not known in [[camera]]")
    one.waits_for("the settings stay as they were")
    time.sleep(0.1)
    one.config.write_text(DEAD.format("b", 3) + "[stream]\nmax_batch = 2\n")
    one.process.send_signal(signal.SIGHUP)
    one.waits_for("cameras removed: a")
    one.waits_for("cameras changed: b")
    one.waits_for("start the program anew to take up what changed in: stream")
    assert one.end(signal.SIGTERM) == 0
    log = one.log.read_text("utf-8")
    assert "hush" not in log
    assert "b: 0 frames captured" in log


# ---- stock ----


@pytest.fixture
def stock(tmp_path) -> Path:
    with Inventory(tmp_path / "stock.db") as inventory:
        inventory.add(
            [event(0), event(1), event(2, delta=-1), event(3, place="gate", product="crème"), event(4, camera="dock")]
        )
    return tmp_path / "stock.db"


def nets(call: Callable[..., object], *arguments: object) -> dict[tuple[str, str, str], int]:
    return {
        (row["camera"], row["place"], row["product"]): row["net"] for row in call("stock", *arguments, "--json").json
    }


def test_stock_now_and_then(edgevision, stock):
    assert nets(edgevision, stock) == {
        ("dock", "shelf", "cola"): 1,
        ("till", "gate", "crème"): 1,
        ("till", "shelf", "cola"): 1,
    }
    assert nets(edgevision, f"sqlite:{stock}", "--camera", "till", "--place", "shelf") == {("till", "shelf", "cola"): 1}
    assert nets(edgevision, stock, "--product", "crème") == {("till", "gate", "crème"): 1}
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(T0_NS // 10**9 + 1))
    assert nets(edgevision, stock, "--at", f"{second}Z") == {("till", "shelf", "cola"): 2}
    assert nets(edgevision, stock, "--at", "2001-01-01") == {}
    done = edgevision("stock", stock)
    assert done.status == 0
    assert all(word in done.out for word in ("camera", "net", "crème", "dock"))
    assert edgevision("stock", stock, "--at", "2001-01-01").out == "no events\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["{stock}", "--at", "noon"], "2026-11-27T18:30"), (["{stock}x"], "not there"), (["{other}"], "no table")],
)
def test_stock_of_what_is_none(edgevision, stock, tmp_path, arguments, words):
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE x (y)").connection.close()
    done = edgevision("stock", *(word.format(stock=stock, other=tmp_path / "other.db") for word in arguments))
    assert done.status == 2
    assert words in done.err


def test_a_rendered_camera_is_served(running, tmp_path):
    results = tmp_path / "results.jsonl"
    one = running(
        f'[[camera]]\nname = "belt"\nsource = "rendered:conveyor?seed=3&fps=10&height=120&width=160"\n[[sink]]\nurl = "jsonl:{results}"\n'
    )
    wait_until(lambda: results.is_file() and results.read_text("utf-8").count('"kind": "result"') >= 3, 60.0)
    assert one.end(signal.SIGTERM) == 0
    rows = [row for row in lines(results) if row["kind"] == "result"]
    assert {row["camera"] for row in rows} == {"belt"}
    assert [row["sequence"] for row in rows] == sorted({row["sequence"] for row in rows})


@pytest.mark.requires("av")
def test_what_the_start_refuses_a_changed_file_does_not_change_and_corrected_it_is_taken_up(running, photos, tmp_path):
    one = running(DEAD.format("a", 1))
    one.waits_for("a: backoff")
    zone = '[[camera.zone]]\nname = "z"\ncorners = [[0, 0], [9, 0], [9, 9]]\n'
    camera = '[[camera]]\nname = "b"\nsource = "{}"\n'
    for wrong, words in (
        (camera.format(tmp_path / "none.mp4"), "none.mp4"),
        (camera.format(photos / "red") + zone, "lines and zones need a model that finds boxes"),
        (camera.format("rtsp://h/x") + 'password_env = "NO_SUCH_VARIABLE"\n', "NO_SUCH_VARIABLE"),
    ):
        one.config.write_text(wrong)  # and without the camera "a"
        one.waits_for(words)
    log = one.log.read_text("utf-8")
    assert log.count("the settings stay as they were") == 3
    assert "cameras" not in log
    one.config.write_text(DEAD.format("a", 1) + camera.format(photos / "red"))
    one.waits_for("cameras added: b")
    assert one.end(signal.SIGTERM) == 0
    assert "cameras removed" not in one.log.read_text("utf-8")


@pytest.mark.requires("av", "onnx")
def test_a_model_that_does_something_else_needs_a_new_start(running, color_bundle, tmp_path):
    camera = DEAD.format("a", 1)
    one = running(f'model = "{color_bundle()}"\n{camera}', "--ledger", tmp_path / "l.jsonl")
    one.waits_for("a: backoff")
    one.config.write_text(f'model = "{write_spot_finder(tmp_path / "spots.edge")}"\n{camera}')
    one.waits_for("can detect, and the model that serves can classify; start the program anew")
    assert one.end(signal.SIGTERM) == 0
    assert model_changes(read_ledger(tmp_path / "l.jsonl")) == []


def test_a_model_is_swapped_where_the_file_names_another_and_where_its_file_was_replaced(
    running, color_bundle, tmp_path
):
    first, second, third = (
        color_bundle(f"{name}.edge", manifest={"name": name}) for name in ("first", "second", "third")
    )
    ledger = tmp_path / "l.jsonl"
    text = (
        'model = "{}"\n[[camera]]\nname = "shelf"\nsource = "rendered:shelf?seed=3&fps=20&height=60&width=80"\n'
        f'[[sink]]\nurl = "jsonl:{tmp_path / "r.jsonl"}"\n'
        "[swap]\nframes = 5\nshare = 1.0\nmax_slowdown = 1000.0\nwatched_batches = 3\n"
    )
    one = running(text.format(first), "--ledger", ledger)
    results = tmp_path / "r.jsonl"
    wait_until(lambda: results.is_file() and '"kind": "result"' in results.read_text("utf-8"), 60.0)
    one.config.write_text(text.format(tmp_path / "none.edge"))
    one.waits_for("the settings stay as they were")
    one.config.write_text(text.format(second))
    one.waits_for("model kept: second@")
    third.replace(second)  # the same name, another model
    one.process.send_signal(signal.SIGHUP)
    one.waits_for("model kept: third@")
    assert one.end(signal.SIGTERM) == 0
    rows = [row for row in lines(results) if row["kind"] == "result"]
    names = [row["model_id"].partition("@")[0] for row in rows]
    assert names == sorted(names, key=["first", "second", "third"].index)
    assert set(names) == {"first", "second", "third"}
    assert [row["sequence"] for row in rows] == sorted({row["sequence"] for row in rows})
    steps = [row["step"] for row in lines(results) if row["kind"] == "model"]
    assert steps == 2 * ["loading", "loaded", "shadowing", "compared", "switched", "kept"]
    assert [change.step.value for change in model_changes(read_ledger(ledger))] == steps


def test_a_threshold_holds_for_the_model_that_serves_and_for_the_next(running, tmp_path):
    """Weak boxes are found, then they are not, although the two models do not agree; and another model gets the same threshold."""
    first = write_spot_finder(tmp_path / "first.edge", threshold=1.0)
    second = write_spot_finder(tmp_path / "second.edge", threshold=0.01)
    results = tmp_path / "r.jsonl"
    text = (
        'model = "{}"\nthreshold = {}\n[[camera]]\nname = "shelf"\nsource = "rendered:shelf?seed=3&fps=20&height=60&width=80"\n'
        f'[[sink]]\nurl = "jsonl:{results}"\n[swap]\nframes = 5\nshare = 1.0\nmax_slowdown = 1000.0\nwatched_batches = 3\n'
    )
    one = running(text.format(first, 0.01), "--threads", 1)
    wait_until(lambda: results.is_file() and '"kind": "result"' in results.read_text("utf-8"), 60.0)
    one.config.write_text(text.format(first, 1.0))
    one.waits_for("the threshold is to be 1\n")
    one.waits_for("with threshold 1 in place of 0.01, and is compared in speed alone")
    one.waits_for("model kept: spots@")
    one.config.write_text(text.format(second, 1.0))
    one.waits_for("the model is to be")
    wait_until(lambda: one.log.read_text("utf-8").count("model kept: spots@") == 2, 60.0)
    assert one.end(signal.SIGTERM) == 0
    rows = lines(results)
    assert len({row["model_id"] for row in rows if row["kind"] == "result"}) == 2
    found = [len(row["result"]["detections"]) for row in rows if row["kind"] == "result"]
    assert found[0] > 0
    assert found == sorted(found, key=lambda count: count == 0)  # from one moment on none
    assert found[-1] == 0
