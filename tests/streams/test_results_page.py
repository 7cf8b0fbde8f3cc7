"""The page on results, stock and settings shows what works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from edgevision.cli.main import parser
from edgevision.streams.settings import parse_settings
from edgevision.streams.sink_status import SinkStatus, SpoolStatus
from edgevision.streams.sinks.messages import marked_late
from edgevision.streams.troubles import News

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "results.md").read_text("utf-8")


def block(language: str, place: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[place]


@pytest.mark.requires("paho")
def test_the_settings_are_some(tmp_path, monkeypatch):
    (tmp_path / "password").write_text("x")
    settings = parse_settings(block("toml").replace("/etc/edgevision/mqtt-password", str(tmp_path / "password")))
    assert [camera.name for camera in settings.cameras] == ["till"]
    assert [place.name for place in settings.places["till"]] == ["gate", "shelf"]
    assert len(settings.sinks) == 2
    assert settings.stream.age_budget_s == 0.04


def test_the_news_of_a_sink_have_all_their_fields():
    news = json.loads(block("json"))
    status = SinkStatus("mqtt", spool=SpoolStatus())
    assert list(news) == list(News("sink", "", status.to_dict()).to_dict())
    assert list(news["spool"]) == list(status.to_dict()["spool"])
    assert list(news["counts"]) == list(status.to_dict()["counts"])


def test_the_message_is_one():
    message = json.loads(block("json", 1))
    assert list(message)[:3] == ["late", "kind", "id"]
    assert marked_late(json.dumps(message).encode()).startswith(b'{"late": true')


def test_the_check_of_a_webhook_runs():
    exec(compile(block("python"), "results.md", "exec"), {})


def test_the_service_runs_a_command_that_there_is():
    (command,) = re.findall(r"^ExecStart=(.*)$", block("ini"), re.MULTILINE)
    arguments = parser().parse_args(shlex.split(command)[1:])
    assert arguments.command == "stream"
    assert arguments.config == Path("/etc/edgevision/streams.toml")
