"""``edgevision serve``: what it tells, what it refuses, signals; in a process of its own where there are some."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from colors import plain
from http_clients import Running as Client
from stream_items import wait_until

from edgevision.decode import encode_png

pytestmark = pytest.mark.requires("serve")

ROOT = Path(__file__).parents[2]
RED = encode_png(plain((250, 10, 20)))


class Serving:
    """``edgevision serve`` on a free port. ``told``: its first line."""

    def __init__(self, tmp_path: Path, *arguments: object) -> None:
        self.errors = tmp_path / "errors"
        command = [sys.executable, "-m", "edgevision", "serve", "--json", "--port", "0", *map(str, arguments)]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text("utf-8")
        self.told = json.loads(line)
        self.client = Client(int(self.told["url"].rpartition(":")[2]), None, None)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def serving(tmp_path):
    started: list[Serving] = []

    def start(*arguments: object) -> Serving:
        started.append(Serving(tmp_path, "--engine", "onnxruntime", *arguments))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_what_it_serves_and_a_signal_ends_it_well(serving, color_bundle, number):
    one = serving(color_bundle(), f"till={color_bundle('till.edge')}")
    assert one.told["url"].startswith("http://127.0.0.1:")
    assert [(model["name"], model["task"]) for model in one.told["models"]] == [
        ("color", "classify"),
        ("till", "classify"),
    ]
    for model in one.told["models"]:
        answered = one.client.ask("POST", f"/v1/recognise?model={model['name']}", RED)
        assert answered.json["model"] == {key: model[key] for key in ("name", "version", "id")}
        assert answered.json["top"][0]["name"] == "red"
    assert one.end(number) == 0
    log = [
        json.loads(line) for line in one.errors.read_text("utf-8").splitlines()
    ]  # the service's log, and nothing else
    assert [(line["event"], line["status"]) for line in log] == [("request", 200)] * 2


def test_it_answers_at_each_address_that_it_tells(serving, color_bundle):
    one = serving(color_bundle(), "--host", "0.0.0.0", "--insecure")
    assert one.told["url"] == one.told["urls"][0]
    for url in one.told["urls"]:
        with urllib.request.urlopen(f"{url}/v2/health/live", timeout=30) as answer:
            assert answer.status == 200


def test_sighup_takes_up_a_bundle_that_was_replaced_and_refuses_a_bad_one(serving, color_bundle, tmp_path):
    path = color_bundle("live.edge")
    one = serving(path)
    before = one.told["models"][0]["version"]
    (tmp_path / "bad").write_bytes(b"no bundle")
    (tmp_path / "bad").replace(path)
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "stays as it is" in one.errors.read_text("utf-8"), 60.0)
    assert one.client.ask("POST", "/v1/recognise", RED).json["model"]["version"] == before
    color_bundle("new.edge", manifest=lambda manifest: replace(manifest, source={"name": "2"})).replace(path)
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: f", and was {before}" in one.errors.read_text("utf-8"), 60.0)
    assert one.client.ask("POST", "/v1/recognise", RED).json["model"]["version"] != before
    status = one.client.ask("GET", "/v1/status").json
    assert "stays as it is" in status["errors"][-1]["words"]
    assert one.end(signal.SIGTERM) == 0
    log = [json.loads(line) for line in one.errors.read_text("utf-8").splitlines()]  # and nothing else
    told = [(line["event"], line["words"]) for line in log if line["event"] in ("trouble", "reload")]
    assert [event for event, _ in told] == ["trouble", "reload"]
    assert "stays as it is" in told[0][1]
    assert f", and was {before}" in told[1][1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.edge"], "none.edge"),
        (["{bundle}", "{bundle}"], "given twice"),
        (["a b={bundle}"], "a model's name is"),
        (["{bundle}", "--then", "{bundle}"], "expected a model that finds boxes first"),
        (["{bundle}", "b={bundle}", "--then", "{bundle}"], "got 2 models before it"),
        (["{bundle}", "--port", "65536"], "a port is 0…65535"),
        (["{bundle}", "--stop-timeout", "0"], "stop_timeout_s is a finite number over 0"),
        (["{bundle}", "--queue", "4"], "holds at least one batch"),
        (["{bundle}", "--max-batch", "0"], "max_batch is a whole number"),
        (["{bundle}", "--threads", "0"], "--threads is 1…256"),
        (["{bundle}", "--host", "192.0.2.1", "--insecure"], "cannot listen on 192.0.2.1 port 8765"),
        (["{bundle}", "--host", "192.0.2.1", "--insecure"], "--host is an address of this machine"),
        (["{bundle}", "--host", "no-such-host.invalid", "--insecure"], "--host is an address of this machine"),
    ],
)
def test_wrong_usage_is_told(edgevision, color_bundle, arguments, words):
    bundle = color_bundle()
    done = edgevision("serve", *(word.format(bundle=bundle) for word in arguments))
    assert done.status == 2
    assert words in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tokens", "{folder}/none.json"], "none.json is not there"),
        (["--host-name", "a b"], "--host-name"),
        (["--allow-frame", "board"], "--allow-frame"),
        (["--prices", "{folder}/none.csv"], "none.csv"),
        (["--product-pictures", "{folder}/none"], "folder of product pictures"),
        (["--feedback", "{folder}/file"], "file is a file, expected a folder"),
        (["--keep", "{folder}/file"], "file is a file, expected a folder"),
        (["--gallery", "{folder}/none/shop.evg"], "the folder does not exist"),
        (["--currency", "euro"], "three capital letters"),
        (["--receipts", "ftp://shop.example/r"], "--receipts is the URL of a webhook"),
        (["--receipts", "https://shop.example/r#secret_env=NO_SUCH_SECRET"], "NO_SUCH_SECRET"),
        (["--camera", "rtps://10.0.0.3/main"], "begin with rtps: are not known"),
        (["--language", "xx"], "--language is one of en, de, zh, es"),
    ],
)
def test_what_is_cheap_to_see_is_told_before_a_model_is_loaded(edgevision, tmp_path, arguments, words):
    (tmp_path / "file").write_bytes(b"")
    given = [one.format(folder=tmp_path) for one in arguments]
    done = edgevision("serve", "not-there.edge", "--port", "0", *given)
    assert done.status == 2
    assert words in " ".join(done.err.split())
    assert "not-there.edge" not in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_models_are_loaded_ends_it_before_it_serves(edgevision, color_bundle, monkeypatch, number):
    from edgevision.kiosk.service.service import Service

    made, closed = Service.__init__, []

    def slow(self, *given, **named) -> None:
        made(self, *given, **named)
        signal.raise_signal(number)

    monkeypatch.setattr(Service, "__init__", slow)
    monkeypatch.setattr(Service, "__exit__", lambda self, *exc: closed.append(self.close(10.0)))
    done = edgevision("serve", color_bundle(), "--port", "0", "--engine", "onnxruntime")
    assert (done.status, done.out) == (130, "")
    assert "stopped by the user" in done.err
    assert len(closed) == 1


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded(edgevision):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = edgevision("serve", "none.edge", "--port", taken.getsockname()[1])
    assert done.status == 2
    assert "give another --port" in done.err
    assert "none.edge" not in done.err
