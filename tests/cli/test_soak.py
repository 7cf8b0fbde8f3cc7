"""The command line of ``edgevision soak``, with a soak that is made up."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from edgevision.cli.main import main
from edgevision.streams.soak import run
from edgevision.streams.soak.arrivals import CameraArrivals
from edgevision.streams.soak.plan import Plan
from edgevision.streams.soak.record import Record, Sample
from edgevision.streams.soak.usage import Usage


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("nothing.edge", "nothing.edge"),
        ("MODEL --swap-to nothing.edge", "nothing.edge"),
        ("MODEL --cameras 3", "4 to 64 cameras"),
        ("MODEL --hours 0", "20 seconds at least"),
        ("MODEL --broker mqtt://broker", "HOST or HOST:PORT"),
        ("MODEL --broker broker:99999", "HOST or HOST:PORT"),
        ("MODEL --threads 0", "--threads is 1"),
        ("MODEL --report MODEL", "is a file, expected a folder"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(capsys, color_bundle, monkeypatch, words, told):
    monkeypatch.setattr(run, "soak", lambda *_: pytest.fail("it started"))
    assert main(["soak", *words.replace("MODEL", str(color_bundle())).split()]) == 2
    assert told in capsys.readouterr().err


@pytest.fixture
def made_up(monkeypatch):
    """A soak that is over at once, in which nothing was served: some rules are broken."""
    record = Record(samples=[
        Sample(at_s, Usage(10**8, 20, 10, at_s), {"cam3": 0}, (), None, None, 0) for at_s in range(10, 100, 10)
    ])  # fmt: skip

    def soak(options, progress):
        plan = Plan.of(options.seconds, options.cameras)
        record.arrivals = {name: CameraArrivals() for name in plan.roles}
        progress(1.0)
        return record, plan

    monkeypatch.setattr(run, "soak", soak)
    return record


@pytest.mark.requires("matplotlib")
def test_a_broken_rule_is_named_and_the_status_is_1(capsys, color_bundle, made_up, tmp_path):
    folder = tmp_path / "report"
    assert main(["soak", str(color_bundle()), "--hours", "0.03", "--report", str(folder)]) == 1
    told = capsys.readouterr().out
    assert "broken" in told
    assert "every result arrives at the broker" in told
    values = json.loads((folder / "soak.json").read_text())
    assert not values["passed"]
    assert len(values["samples"]) == 9
    page = (folder / "soak.html").read_text()
    assert page.count("<svg") == 6
    assert "every result arrives at the broker" in page


def test_json_is_the_verdict_without_the_samples(capsys, color_bundle, made_up):
    assert main(["soak", str(color_bundle()), "--json", "--hours", "0.03"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["options"]["cameras"]["cam1"] == "freezing"
    assert {"passed", "rules"} <= set(told)
    assert "samples" not in told


def test_the_status_is_0_where_no_rule_is_broken(color_bundle, made_up, monkeypatch):
    monkeypatch.setattr("edgevision.streams.soak.verdict.judge", lambda *_: [])
    assert main(["soak", str(color_bundle()), "--hours", "0.03"]) == 0


@pytest.mark.parametrize("interrupts", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_ends_what_was_started(color_bundle, monkeypatch, capsys, interrupts):
    ended = []

    def soak(options, progress):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)  # the signal comes while it waits
        finally:
            ended.append("broker and cameras")

    monkeypatch.setattr(run, "soak", soak)
    before = signal.getsignal(signal.SIGTERM)
    sigint = signal.signal(signal.SIGINT, interrupts)  # ignored, in a shell's background
    try:
        assert main(["soak", str(color_bundle()), "--hours", "0.03"]) == 130
    finally:
        signal.signal(signal.SIGINT, sigint)
    assert ended
    assert signal.getsignal(signal.SIGTERM) is before
    assert "stopped" in capsys.readouterr().err
