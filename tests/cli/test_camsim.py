from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edgevision.cli.main import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--cameras 0", "--cameras is 1"),
        ("--tls --clock-off 5", "TLS does not allow"),
        ("--fault cam1:freeze@1+1", "no camera that there is: cam0"),
        ("--user till", "--user needs"),
        ("--password-file nothing", "nothing"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(capsys, words, told):
    assert main(["camsim", *words.split()]) == 2
    assert told in capsys.readouterr().err


def free_port() -> int:
    """The first of two that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.mark.requires("gstreamer", "openssl")
def test_cameras_run_and_fail_as_told():
    port = free_port()
    done = subprocess.run(
        [sys.executable, "-m", "edgevision", "camsim", "--port", str(port), "--tls", "--seconds", "1", "--fault",
         "cam0:freeze@0.2+0.3"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in (f"cam0  rtsps://127.0.0.1:{port}/cam", "cam0: freeze", "cam0: freeze is over"):
        assert line in done.stdout


@pytest.mark.requires("gstreamer")
def test_ctrl_c_ends_it_and_its_cameras():
    port = free_port()
    command = [sys.executable, "-m", "edgevision", "camsim", "--json", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            told = ""
            while not told.endswith("\n}\n"):
                told += started.stdout.readline()
            children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        finally:
            started.send_signal(signal.SIGINT)
            started.wait(60)
    assert json.loads(told)["cameras"] == {"cam0": f"rtsp://127.0.0.1:{port}/cam"}
    assert children
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)
