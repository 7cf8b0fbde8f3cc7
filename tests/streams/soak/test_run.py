"""The soak itself, in its shortest form: real cameras, a real broker, a real model. Rules of time are not asked for: this runs on busy
machines."""

from __future__ import annotations

import time

import pytest

from edgevision.errors import InputError
from edgevision.streams.soak.plan import SoakOptions
from edgevision.streams.soak.process import SubjectProcess
from edgevision.streams.soak.run import soak
from edgevision.streams.soak.subject import Settings
from edgevision.streams.soak.verdict import Outcome, judge

OF_TIME = {"results are fresh", "healthy cameras are served throughout", "failures of cameras are noticed"}
SMALL = {"cameras": 4, "fps": 8.0, "width": 320, "height": 192, "threads": 1}


def broken(options: SoakOptions) -> dict[str, str]:
    record, plan = soak(options)
    assert record.outages > 0
    assert sum(one.late for one in record.arrivals.values()) > 0
    assert record.freezes > 0
    return {rule.name: rule.figure for rule in judge(record, plan, options) if rule.outcome is Outcome.BROKEN}


@pytest.mark.requires("av", "gstreamer", "mosquitto")
def test_half_a_minute_loses_nothing(color_bundle):
    found = broken(SoakOptions(color_bundle(), swap_to=color_bundle("other.edge"), seconds=30, **SMALL))
    assert {name: figure for name, figure in found.items() if name not in OF_TIME} == {}


@pytest.mark.slow
@pytest.mark.requires("av", "gstreamer", "mosquitto")
def test_a_minute_and_a_half_breaks_no_rule(color_bundle):
    found = broken(SoakOptions(color_bundle(), swap_to=color_bundle("other.edge"), seconds=90, most_age_s=2.0, **SMALL))
    assert found == {}


@pytest.mark.requires("av", "paho")
def test_a_stream_that_does_not_start_says_why(tmp_path):
    settings = Settings(
        str(tmp_path / "none.edge"),
        {"cam0": "rtsp://127.0.0.1:9/cam"},
        "mqtt://127.0.0.1:9/soak",
        str(tmp_path / "s.spool"),
    )
    with pytest.raises(InputError, match=r"the stream does not start: it ended with status 1: .*none\.edge"):
        SubjectProcess(settings)


@pytest.mark.requires("av", "paho")
def test_the_process_answers_and_ends(color_bundle, tmp_path):
    settings = Settings(
        str(color_bundle()), {"cam0": "rtsp://127.0.0.1:9/cam"}, "mqtt://127.0.0.1:9/soak", str(tmp_path / "s.spool"), 1
    )
    with SubjectProcess(settings) as subject:
        until_s = time.monotonic() + 30
        while subject.look()["states"]["cam0"] != "backoff" and time.monotonic() < until_s:
            time.sleep(0.05)
        assert subject.usage().threads > 3
        told = subject.stop()
    assert told["stopped"]
    assert told["threads_left"] == []
    assert told["status"] == 0
    assert sum(sum(one["fates"].values()) for one in told["accounts"]) == 0
