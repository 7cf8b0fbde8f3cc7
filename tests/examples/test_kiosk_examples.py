"""The examples of the kiosk: windows that show what a Station tells, and clients of the service."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from house import ROOT

from edgevision.demo.products import LISTED
from edgevision.demo.scene import SceneKind, render, sample_scene

EXAMPLES = ROOT / "examples"

compiles = pytest.mark.requires("torch", "onnx")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    scene = sample_scene(np.random.default_rng(3), SceneKind.LISTED, product=LISTED[0])
    cv2.imwrite(str(path), render(scene))
    return path


# ---- windows ----


def said_of_visits(out: str) -> list[str]:
    """What the window said of each placement, between "One moment" and "Place a product"."""
    lines = out.splitlines()
    return [lines[number + 1] for number, line in enumerate(lines[:-1]) if line == "One moment …"]


def check_window(out: str, visits: int) -> None:
    answers = said_of_visits(out)
    assert len(answers) == visits
    known = {product.name for product in LISTED} | {"Which one is it?", "Please ask for help"}
    assert set(answers) <= known
    assert {product.name for product in LISTED} & set(answers)  # some are sure
    assert (
        out.splitlines().count("Place a product") >= visits
    )  # more on a machine so busy that the drawn camera stops for seconds


@compiles
@pytest.mark.requires("pyside6")
def test_a_window_of_qt(run_example, demo_bundle, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    check_window(run_example("09_qt_window", demo_bundle, 3), 3)


@compiles
@pytest.mark.requires("display")
def test_a_window_of_tk(run_example, demo_bundle):
    check_window(run_example("10_tk_window", demo_bundle, 3), 3)


# ---- the service ----


class Running:
    """A program that serves, until it is stopped."""

    def __init__(self, command: list[str], port: int, probe: str, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "EDGEVISION_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        waiting = threading.Event()
        for _ in range(1200):
            try:
                urllib.request.urlopen(self.url + probe, timeout=10).close()
            except OSError:
                assert self._process.poll() is None, self._process.stderr.read()
                waiting.wait(0.1)
            else:
                return
        pytest.fail("the service does not come up")

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(60)
        finally:
            self._process.kill()
            self._process.stderr.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def service(demo_bundle, tmp_path) -> Iterator[Running]:
    port = free_port()
    running = Running(
        [sys.executable, "-m", "edgevision", "serve", str(demo_bundle), "--port", str(port)], port, "/v2/health/ready", tmp_path
    )  # fmt: skip
    yield running
    assert running.stop() == 0


def client(name: str, *command: object) -> str:
    """What a client of the example prints."""
    program = EXAMPLES / name / str(command[1])
    done = subprocess.run(
        [str(command[0]), str(program), *map(str, command[2:])], capture_output=True, text=True, check=False, timeout=120
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@compiles
@pytest.mark.requires("serve", "node")
def test_a_client_in_node(service, photo):
    server, answer = client("12_clients", "node", "node.mjs", photo, service.url).splitlines()
    assert server.startswith("server: ")
    assert json.loads(answer)["top"][0]["name"] == LISTED[0].name


@compiles
@pytest.mark.requires("serve", "curl")
def test_a_client_in_curl(service, photo):
    out = client("12_clients", "sh", "curl.sh", photo, service.url)
    told = dict(re.findall(r"^(\w+):\n(.*)$", out, re.MULTILINE))
    assert told["ready"] == "200"
    assert json.loads(told["recognised"])["top"][0]["name"] == LISTED[0].name
    assert "error" in json.loads(told["refused"])


@compiles
@pytest.mark.requires("serve", "fastapi")
def test_a_route_of_fastapi_beside_the_service(demo_bundle, photo, tmp_path):
    port = free_port()
    program = EXAMPLES / "11_fastapi_route" / "main.py"
    running = Running(
        [sys.executable, str(program), str(demo_bundle), str(port)], port, "/edgevision/v2/health/ready", tmp_path
    )
    try:
        answers = {}
        for path in ("/products/shelf-3", "/edgevision/v1/recognise"):
            headers = {"Content-Type": "image/jpeg"}
            request = urllib.request.Request(running.url + path, photo.read_bytes(), headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                answers[path] = json.loads(answer.read())
        own, mounted = answers.values()
        assert own["shelf"] == "shelf-3"
        assert own["top"] == mounted["top"]
        assert own["top"][0]["name"] == LISTED[0].name
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(f"{running.url}/products/x", b"no picture", headers), timeout=60
            )
        assert refused.value.code == 400
        refused.value.close()
    finally:
        assert running.stop() in (0, -signal.SIGTERM)  # uvicorn's own way to end
