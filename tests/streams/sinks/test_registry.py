"""Sinks by URL: what each text makes, what is refused, and that no message shows a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.errors import EdgeVisionError, InputError
from edgevision.streams.sinks.inventory import InventorySink
from edgevision.streams.sinks.json_lines import JsonLinesSink
from edgevision.streams.sinks.mjpeg import MjpegSink
from edgevision.streams.sinks.registry import make_sink
from edgevision.streams.sinks.state_folder import spool_path, state_folder
from edgevision.streams.sinks.webhook import WebhookSink


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_STATE", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("jsonl:out/r.jsonl", JsonLinesSink, "jsonl:out/r.jsonl"),
        ("jsonl:-", JsonLinesSink, "jsonl:-"),
        ("JSONL:r.jsonl#max_bytes=9&keep=2", JsonLinesSink, "jsonl:r.jsonl"),
        ("mjpeg://:8090", MjpegSink, "mjpeg://127.0.0.1:8090"),
        ("mjpeg://0.0.0.0:1", MjpegSink, "mjpeg://0.0.0.0:1"),
        ("https://u:hush@host:99/a/b?token=hush", WebhookSink, "https://host:99/#ea5cd172"),
        ("https://host/services/hush", WebhookSink, "https://host/#9c7d37ad"),
        ("https://host/?hush", WebhookSink, "https://host/#53f2df98"),
        ("https://host/services/hush#name=till hook", WebhookSink, "till hook"),
        ("http://host/#timeout_s=3", WebhookSink, "http://host/"),
        ("sqlite:stock.db", InventorySink, "sqlite:stock.db"),
        ("postgresql://u:hush@host/shop", InventorySink, "postgresql://***@host/shop"),
    ],
)
def test_what_each_text_makes(text, kind, name):
    sink = make_sink(text)
    assert type(sink) is kind
    assert sink.name == name
    assert "hush" not in repr(sink) + sink.name
    if isinstance(sink, WebhookSink):
        shown = sink.courier._options, sink.courier.name, sink.courier._carrier._place
        assert "hush" not in repr(shown)


def test_webhooks_of_one_host_have_names_and_spools_of_their_own():
    """Also where they differ in their secrets alone; and a name given to one keeps its spool when the secret changes."""
    texts = ["https://h/a", "https://h/b", "https://h/a?t=1", "https://h/a?t=2", "https://h/", "https://h/a#name=one"]
    sinks = [make_sink(text) for text in texts]
    assert len({sink.name for sink in sinks}) == len({sink.courier._options.path for sink in sinks}) == len(texts)
    assert make_sink("https://h/new#name=one").courier._options.path == sinks[-1].courier._options.path


@pytest.mark.requires("paho")
def test_an_mqtt_sink_with_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("MQTT_PASSWORD", "from env")
    sink = make_sink(
        "mqtt://till:hush@host:99/shop/one#password_env=MQTT_PASSWORD&device=Till 3&discovery=&max_age_s=60",
        {"spool": str(tmp_path / "my.spool"), "max_bytes": 1000},
    )
    options, spool = sink.courier._carrier._options, sink.courier._options
    assert (options.host, options.port, options.tls, options.topic, options.device) == (
        "host",
        99,
        False,
        "shop/one",
        "Till 3",
    )
    assert (options.user, options.password, options.discovery) == ("till", "from env", None)
    assert (spool.path, spool.max_bytes, spool.max_age_s) == (tmp_path / "my.spool", 1000, 60.0)
    plain = make_sink("mqtts://host")
    assert plain.courier._carrier._options.topic == "edgevision"
    assert plain.courier._carrier._options.real_port == 8883


@pytest.mark.requires("prometheus")
def test_prometheus_listens_on_this_machine_alone():
    assert make_sink("prometheus://:9100").name == "prometheus://127.0.0.1:9100"
    assert make_sink("prometheus://").port == 9100


@pytest.mark.requires("av")
def test_video():
    assert make_sink("video:shop.mkv").wants_frames


def test_a_webhook_takes_its_query_to_the_server_and_its_options_from_behind_the_hash(tmp_path):
    (tmp_path / "secret").write_text("s3cret\n")
    sink = make_sink(f"https://u:p%40ss@host/hook?a=1&b=2#secret_file={tmp_path / 'secret'}")
    options = sink.courier._carrier._options
    assert (options.url, options.user, options.password, options.secret) == (
        "https://host/hook?a=1&b=2",
        "u",
        "p@ss",
        "s3cret",
    )


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("results.jsonl", {}, "write one of: jsonl:FILE"),
        ("jsonl:", {}, "write one of"),
        ("ftp://host/hush", {}, "write one of"),
        ("jsonl:r#kep=3", {}, "did you mean keep"),
        ("jsonl:r#keep=many", {}, "keep is a number, got 'many'"),
        ("jsonl:r", {"colour": "red"}, "known are max_bytes, keep"),
        ("https://u:hush@/x", {}, "HOST"),
        ("htps://host/services/hush", {}, r"'htps://host/\*\*\*' is no sink"),
        ("host/services/hush", {}, r"'host/\*\*\*' is no sink"),
        ("https://host/services/hush#kep=3", {}, "'kep' is no option"),
        ("https://host/services/hush", {"timeout_s": "long"}, "timeout_s is a number"),
        ("https://host/services/hush", {"timeout_s": 0}, "timeout_s"),
        ("https://host:x/services/hush", {}, "1…65535"),
        ("https://host/services/hush hush", {}, "without spaces"),
        ("https://host/services/hush#name=", {}, "name is 1 to 80"),
        ("https://u:hush@host:99999/x", {}, "1…65535"),
        ("https://u:hush@host/#secret_env=A&secret_file=B", {}, "not both"),
        ("https://u:hush@host/#secret_env=NOT_THERE_AT_ALL", {}, "NOT_THERE_AT_ALL"),
        ("mjpeg://:many", {}, "port"),
        ("video:shop.avi", {}, r"\.mkv or \.mp4"),
        ("mqtt://h/a#ca_file=x", {}, "mqtts://"),
        ("mqtt://h/a/+", {}, "topic"),
    ],
)
def test_what_is_refused_and_how(text, options, words):
    if text.startswith("mqtt"):
        pytest.importorskip("paho.mqtt.client")
    with pytest.raises(InputError, match=words) as caught:
        make_sink(text, options)
    assert "hush" not in str(caught.value)


def test_spools_lie_where_the_state_is_and_keep_their_name(tmp_path, monkeypatch):
    names = {spool_path(address) for address in ("mqtt://a/x", "mqtt://a/y", "mqtt://a/x/", "https://a/x")}
    assert len(names) == 4
    assert spool_path("mqtt://a/x") in names
    assert {path.parent for path in names} == {tmp_path / "state"}
    monkeypatch.delenv("EDGEVISION_STATE")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edgevision:/var/lib/other")
    assert state_folder() == Path("/var/lib/edgevision")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert state_folder() == Path("/x/edgevision")


def test_nothing_is_opened_or_made_by_describing_a_sink(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in ("jsonl:a/r.jsonl", "https://127.0.0.1:1/", "sqlite:b/s.db", "mjpeg://:0"):
        make_sink(text)
    assert list(tmp_path.iterdir()) == []
    assert issubclass(InputError, EdgeVisionError)
