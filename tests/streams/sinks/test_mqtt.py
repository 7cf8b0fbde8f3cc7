"""MQTT against mosquitto: nothing is lost while it is away, order is kept, TLS is verified, and Home Assistant finds its sensors."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker, Listener
from certificates import self_signed
from stream_items import change, classified, detected, event, free_port, result, wait_until

from edgevision.errors import InputError
from edgevision.streams.backoff import Pace
from edgevision.streams.camera_state import State
from edgevision.streams.sinks import mqtt as mqtt_module
from edgevision.streams.sinks.courier import SpoolOptions
from edgevision.streams.sinks.messages import MessageMaker
from edgevision.streams.sinks.mqtt import MqttOptions, MqttSink, client_id_for, discovery_messages, topic_of
from edgevision.streams.sinks.spool import Spool

pytestmark = pytest.mark.requires("mosquitto", "openssl")

QUICK = Pace(0.05, 0.1)


_to_close: list[Any] = []  # sinks, listeners, brokers, liars of the test that runs


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Also where a test fails, so that the next one does not."""
    yield
    while _to_close:
        _to_close.pop()()


def start_broker(folder: Path, *lines: str, **options: Any) -> Broker:
    broker = Broker(folder, *lines, **options)
    _to_close.append(broker.kill)
    return broker


def listen(port: int, *given: str, **options: Any) -> Listener:
    listener = Listener(port, *given, **options)
    _to_close.append(listener.close)
    return listener


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    return start_broker(tmp_path / "broker")


def opened(tmp_path: Path, port: int, **options: Any) -> MqttSink:
    given = {"host": "127.0.0.1", "topic": "shop", **options}
    sink = MqttSink(MqttOptions(port=port, **given), SpoolOptions(tmp_path / "s.spool"))
    sink.courier._pace = QUICK
    sink.open()
    _to_close.append(lambda: sink.close(0.5))
    return sink


def delivered(sink: MqttSink) -> Callable[[], bool]:
    return lambda: sink.courier.spool.pending == 0


def test_items_arrive_under_their_topics_once_each_and_in_order(tmp_path, broker):
    listener = listen(broker.port)
    sink = opened(tmp_path, broker.port)
    for number in range(150):
        sink.write(result(number))
    sink.write(event(7))
    sink.write(change(State.STALLED))
    wait_until(delivered(sink))
    wait_until(lambda: bool(listener.of("shop/till/state")))
    results = listener.json_of("shop/till/result")
    assert [one["sequence"] for one in results] == list(range(150))
    assert not any(one["late"] for one in results)
    assert results[0]["result"]["top"][0]["name"] == "cola"
    assert listener.json_of("shop/till/event") == [
        {"late": False, "kind": "event", "id": "event-7", **event(7).to_dict()}
    ]
    wait_until(lambda: sink.courier.delivered == 152)  # counted after they have left the spool
    sink.close(5.0)


def test_a_broker_that_is_killed_loses_nothing(tmp_path, broker, monkeypatch):
    """What it had not confirmed comes once it is back: all of it, in order, late; what comes twice has the id that it had."""
    allowed = threading.Event()
    allowed.set()
    connect = mqtt_module._Broker.connect

    def wait_and_connect(self: Any) -> None:
        connect(self)  # where nothing listens, it fails at once
        allowed.wait(20.0)

    monkeypatch.setattr(mqtt_module._Broker, "connect", wait_and_connect)
    sink = opened(tmp_path, broker.port)
    before = listen(broker.port)
    for number in range(40):
        sink.write(result(number))
    wait_until(lambda: len(before.of("shop/till/result")) >= 20)  # somewhere in the middle
    broker.kill()
    allowed.clear()
    for number in range(40, 400):
        sink.write(result(number))
    wait_until(lambda: sink.courier.fault != "")
    confirmed = sink.courier.delivered  # what the broker did with these before it died is its own affair
    threading.Event().wait(2.0)
    broker.start()
    after = listen(broker.port)  # before the sink sends anything
    allowed.set()
    for number in range(400, 450):
        sink.write(result(number))
    wait_until(delivered(sink))
    sink.write(result(450))
    wait_until(lambda: bool(after.of("shop/till/result")) and after.json_of("shop/till/result")[-1]["sequence"] == 450)
    replayed = after.json_of("shop/till/result")
    assert 0 < confirmed <= 40
    assert [one["sequence"] for one in replayed] == list(range(confirmed, 451))
    assert all(one["late"] for one in replayed[: 400 - confirmed])
    assert not replayed[-1]["late"]
    assert sink.courier.spool.dropped == {}
    seen_twice = {one["id"]: one["sequence"] for one in before.json_of("shop/till/result")}
    again = {one["id"]: one["sequence"] for one in replayed}
    assert all(again[identity] == seen_twice[identity] for identity in again.keys() & seen_twice.keys())
    assert len(seen_twice.keys() & again.keys()) == len(set(seen_twice.values()) & set(again.values()))


def test_what_an_earlier_run_could_not_send_is_sent_by_the_next(tmp_path, broker):
    broker.kill()
    sink = opened(tmp_path, broker.port)
    for number in range(5):
        sink.write(event(number))
    sink.close(0.2)
    broker.start()
    listener = listen(broker.port)
    sink = opened(tmp_path, broker.port)
    wait_until(lambda: len(listener.of("shop/till/event")) == 5)
    assert [one["id"] for one in listener.json_of("shop/till/event")] == [f"event-{n}" for n in range(5)]
    assert all(one["late"] for one in listener.json_of("shop/till/event"))
    sink.close(5.0)


@pytest.fixture
def own_threads():
    """Names of our threads that were not there before the test: other tests of this process may have left some."""
    before = set(threading.enumerate())
    return lambda: [one.name for one in set(threading.enumerate()) - before if "edgevision" in one.name]


def test_status_is_online_offline_when_closed_and_offline_when_torn_away(tmp_path, broker, own_threads):
    listener = listen(broker.port)
    sink = opened(tmp_path, broker.port)
    wait_until(lambda: listener.of("shop/status") == [b"online"])
    connection = sink.courier._carrier._connection
    connection._client.socket().shutdown(socket.SHUT_RDWR)  # no goodbye: the broker sends the last will
    wait_until(lambda: listener.of("shop/status")[:3] == [b"online", b"offline", b"online"])
    sink.close(5.0)
    wait_until(lambda: listener.of("shop/status") == [b"online", b"offline", b"online", b"offline"])
    newcomer = listen(broker.port)
    wait_until(lambda: ("shop/status", b"offline", True) in newcomer.messages)
    assert not own_threads()


class Middle:
    """A network between: ``tear`` breaks the client's side, and the broker sees nothing of it until ``tell``."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._target = port
        self._clients: list[socket.socket] = []
        self._brokers: list[socket.socket] = []
        self._torn = 0
        threading.Thread(target=self._accept, daemon=True).start()
        _to_close.append(self.stop)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._target))
                self._clients.append(client)
                self._brokers.append(broker)
                for source, target in ((client, broker), (broker, client)):
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def tear(self) -> None:
        self._torn = len(self._clients)
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def tell(self) -> None:
        for broker in self._brokers[: self._torn]:
            with contextlib.suppress(OSError):
                broker.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        for one in (self._listener, *self._clients, *self._brokers):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def test_an_old_session_that_ends_late_says_nothing_of_the_new_one(tmp_path, broker):
    """The network broke; the broker learns of it when the stream is back already, and then sends the last will of before."""
    middle = Middle(broker.port)
    listener = listen(broker.port)
    sink = opened(tmp_path, middle.port)
    sink.write(event(0))
    wait_until(delivered(sink))
    middle.tear()
    sink.write(event(1))
    wait_until(lambda: sink.courier.delivered == 2)
    wait_until(lambda: len(listener.of("shop/status")) >= 3)
    middle.tell()
    threading.Event().wait(0.5)  # for a will that would come
    # The will came before, when the new session began; and what the new one says is the last word.
    assert listener.of("shop/status") == [b"online", b"offline", b"online"]
    sink.close(5.0)


def test_who_says_that_we_are_offline_is_put_right(tmp_path, broker):
    """Such as another stream with the same topic, which ends."""
    sink = opened(tmp_path, broker.port)
    listener = listen(broker.port)
    wait_until(lambda: b"online" in listener.of("shop/status"))
    other = opened(tmp_path / "other", broker.port)
    other.write(event(0))
    wait_until(delivered(other))
    other.close(5.0)
    wait_until(lambda: listener.of("shop/status")[-2:] == [b"offline", b"online"])
    sink.close(5.0)
    wait_until(lambda: listener.of("shop/status")[-1] == b"offline")
    threading.Event().wait(0.2)
    assert listener.of("shop/status")[-1] == b"offline"  # it does not contradict itself


def test_the_client_id_is_that_of_the_stream_and_no_other_s(tmp_path):
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef\n")
    first = client_id_for("shop", tmp_path / "a.spool", machine)
    assert first == client_id_for("shop", tmp_path / "a.spool", machine)
    assert re.fullmatch("[A-Za-z0-9]{1,23}", first)
    others = [
        client_id_for("shop/2", tmp_path / "a.spool", machine), client_id_for("shop", tmp_path / "b.spool", machine),
        client_id_for("shop", tmp_path / "a.spool", tmp_path / "none"),
    ]  # fmt: skip
    assert len({first, *others}) == 4
    sinks = [MqttSink(MqttOptions("h", client_id=given), SpoolOptions(tmp_path / "s")) for given in ("mine", None)]
    ids = [sink.courier._carrier._options.client_id for sink in sinks]
    assert ids == ["mine", client_id_for("edgevision", tmp_path / "s")]


def test_a_message_at_which_the_broker_breaks_the_connection_blocks_no_other(tmp_path):
    """It is larger than the broker takes; all others arrive, once each, in their order."""
    broker = start_broker(tmp_path / "broker", "max_packet_size 3000")
    listener = listen(broker.port)
    broker_port = broker.port
    sink = MqttSink(MqttOptions("127.0.0.1", port=broker_port, topic="shop"), SpoolOptions(tmp_path / "s.spool"))
    sink.courier._pace = Pace(0.01, 0.02)
    spool = Spool(tmp_path / "s.spool")
    maker = MessageMaker()
    for number in range(40):
        answer = {"top": [], "text": "x" * 5000} if number == 17 else classified()
        message = maker.message(result(number, answer=answer))
        spool.append(message.id, message.body, address="shop/till/result", kind="result")
    spool.close()
    sink.open()
    _to_close.append(lambda: sink.close(0.5))
    wait_until(lambda: sink.courier.delivered == 39, 60.0)
    seen = list(dict.fromkeys(one["sequence"] for one in listener.json_of("shop/till/result")))
    assert seen == [number for number in range(40) if number != 17]
    health = sink.health()
    assert health.spool is not None
    assert health.spool.dropped == {("refused", "result"): 1}
    assert (health.spool.waiting, health.spool.delivered, health.fault) == (0, 39, "")
    sink.close(5.0)
    (aside,) = (tmp_path / "s.spool.refused").read_text("utf-8").splitlines()
    assert json.loads(json.loads(aside)["body"])["sequence"] == 17
    assert "connection was lost" in json.loads(aside)["reason"]


def test_a_camera_s_state_and_its_announcement_stay_for_who_comes_later(tmp_path, broker):
    sink = opened(tmp_path, broker.port)
    sink.write(change(State.LIVE, camera="till 1"))
    sink.write(result(0, camera="till 1"))
    wait_until(delivered(sink))
    listener = listen(broker.port)
    topic = topic_of("till 1")
    wait_until(lambda: len(listener.messages) >= 5)
    kept = {place: payload for place, payload, retained in listener.messages if retained}
    assert json.loads(kept[f"shop/{topic}/state"])["camera"] == "till 1"
    assert f"shop/{topic}/result" not in kept
    configs = {place: json.loads(payload) for place, payload in kept.items() if place.startswith("homeassistant/")}
    assert len(configs) == 3
    assert all(re.fullmatch(r"homeassistant/(sensor|binary_sensor)/[\w-]+/config", place) for place in configs)
    assert len({one["unique_id"] for one in configs.values()}) == 3
    assert {one["availability_topic"] for one in configs.values()} == {"shop/status"}
    assert {one["state_topic"] for one in configs.values()} == {f"shop/{topic}/result", f"shop/{topic}/state"}
    sink.close(5.0)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (result(0, answer=classified("milk")), {"products": "milk", "age": "50.0"}),
        (result(0, answer=classified("milk", known=False)), {"products": "unknown", "age": "50.0"}),
        (result(0, answer=detected((0, 0, 5, 5), (9, 9, 12, 12))), {"products": "2", "age": "50.0"}),
        (change(State.LIVE), {"camera": "ON"}),
        (change(State.STALLED), {"camera": "OFF"}),
    ],
)
def test_home_assistant_s_templates_show_what_is_in_the_messages(item, expected):
    """By Jinja, which Home Assistant renders them with."""
    jinja2 = pytest.importorskip("jinja2")
    message = MessageMaker().message(item)
    shown = {}
    for _, content in discovery_messages(MqttOptions("h", topic="shop"), "till"):
        if content["state_topic"] == f"shop/till/{message.kind}":
            template = jinja2.Template(content["value_template"])
            shown[content["unique_id"].rpartition("_")[2]] = template.render(value_json=json.loads(message.body))
    assert shown == expected


def test_no_announcements_where_none_are_wanted(tmp_path, broker):
    listener = listen(broker.port)
    sink = opened(tmp_path, broker.port, discovery=None)
    sink.write(event(0))
    wait_until(lambda: bool(listener.of("shop/till/event")))
    assert {place for place, _, _ in listener.messages} == {"shop/status", "shop/till/event"}
    sink.close(5.0)


@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # paho leaves its socket to the collector
def test_tls_is_verified(tmp_path):
    certificate, key = self_signed(tmp_path / "tls")
    broker = start_broker(tmp_path / "broker", f"certfile {certificate}", f"keyfile {key}")
    listener = listen(broker.port, ca_file=str(certificate))
    for host, ca_file in (("localhost", None), ("127.0.0.1", str(certificate))):  # no authority; another name
        sink = opened(tmp_path, broker.port, host=host, tls=True, ca_file=ca_file)
        sink.write(event(0))
        wait_until(lambda sink=sink: "cannot be verified" in sink.courier.fault)
        sink.close(1.0)
    assert not listener.messages
    sink = opened(tmp_path, broker.port, host="localhost", tls=True, ca_file=str(certificate))
    wait_until(lambda: bool(listener.of("shop/till/event")))
    sink.close(5.0)


def test_a_wrong_password_is_told_and_never_shown(tmp_path):
    (tmp_path / "broker").mkdir()
    passwords = tmp_path / "broker" / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "till", "right"], check=True, capture_output=True)
    broker = start_broker(tmp_path / "broker", f"password_file {passwords}", anonymous=False)
    sink = opened(tmp_path, broker.port, user="till", password="hush-wrong")
    sink.write(event(0))
    wait_until(lambda: "refuses the connection" in sink.courier.fault)
    assert "hush" not in sink.courier.fault + sink.name + repr(sink.courier._carrier._options)
    sink.close(1.0)
    listener = listen(broker.port, "till", "right")
    sink = opened(tmp_path, broker.port, user="till", password="right")
    wait_until(lambda: bool(listener.of("shop/till/event")))
    sink.close(5.0)


class Liar(threading.Thread):
    """A broker that answers with ``answers``, one for each connection, and then closes it."""

    def __init__(self, answers: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        self.answers = answers
        self.served = 0
        self.start()
        _to_close.append(self.stop)

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1.0)
                try:
                    connection.recv(1000)
                    connection.sendall(self.answers[self.served % len(self.answers)])
                    self.served += 1
                    connection.recv(1000)
                except OSError:
                    pass

    def stop(self) -> None:
        with contextlib.suppress(OSError):  # stopped already
            self.socket.shutdown(socket.SHUT_RDWR)  # else accept goes on
        self.socket.close()
        self.join(5.0)


CONNACK = b"\x20\x02\x00\x00"


def garbage() -> list[bytes]:
    draw = random.Random(5)
    fixed = [
        b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00", b"\x20\x00", b"\x20\x02\x00\x05", b"\x20\x02\xff\xff",
        CONNACK + b"\x40\x00", CONNACK + b"\x40\x01\x00", CONNACK + b"\x40\x02\xff\xff", CONNACK + b"\xf0\x00",
        CONNACK + b"\x30\xff\xff\xff\xff\xff", CONNACK + b"\x30\x02\x00\xff", CONNACK + b"\x90\x00", CONNACK * 3,
        CONNACK + b"\x50\x02\x00\x01", CONNACK + b"\x62\x02\x00\x01", CONNACK + b"\x00\x00", b"\x20\x82\x80\x80\x80\x01",
    ]  # fmt: skip
    return [
        *fixed,
        *(draw.randbytes(draw.randrange(1, 60)) for _ in range(15)),
        *(CONNACK + draw.randbytes(draw.randrange(1, 60)) for _ in range(25)),
    ]


def test_a_broker_that_sends_garbage_harms_nothing(tmp_path, monkeypatch, own_threads):
    monkeypatch.setattr(mqtt_module, "CONNECT_S", 0.5)
    monkeypatch.setattr(mqtt_module, "CONFIRM_S", 0.5)
    monkeypatch.setattr("edgevision.streams.sinks.courier.CAREFUL", Pace(0.01, 0.01))
    answers = garbage()
    liar = Liar(answers)
    sink = opened(tmp_path, liar.port)
    sink.courier._pace = Pace(0.001, 0.001)
    for number in range(3):
        sink.write(event(number))
    wait_until(lambda: liar.served >= len(answers), 120.0)
    assert sink.courier.delivered == 0
    assert sink.courier.spool.pending == 3
    sink.close(1.0)
    liar.stop()
    wait_until(lambda: not own_threads())
    broker = start_broker(tmp_path / "broker")
    listener = listen(broker.port)
    sink = opened(tmp_path, broker.port)
    wait_until(lambda: len(listener.of("shop/till/event")) == 3)
    sink.close(5.0)


def test_a_confirmation_of_something_else_confirms_nothing(tmp_path, monkeypatch):
    """PUBACK for packets 1000 to 1100, which were never sent."""
    monkeypatch.setattr(mqtt_module, "CONFIRM_S", 0.3)
    liar = Liar([CONNACK + b"".join(b"\x40\x02" + number.to_bytes(2, "big") for number in range(1000, 1100))])
    sink = opened(tmp_path, liar.port)
    sink.write(event(0))
    wait_until(lambda: liar.served >= 2)
    assert sink.courier.delivered == 0
    sink.close(1.0)
    liar.stop()
    spool = Spool(tmp_path / "s.spool")
    assert spool.pending == 1
    spool.close()


def test_nothing_is_written_where_nobody_listens(tmp_path, own_threads):
    sink = opened(tmp_path, free_port())
    sink.write(event(0))
    wait_until(lambda: "cannot connect" in sink.courier.fault)
    sink.close(5.0)
    assert not own_threads()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"topic": "shop/#"}, "topic"), ({"topic": "a//b"}, "topic"), ({"topic": ""}, "topic"), ({"discovery": "+"}, "discovery"),
        ({"client_id": ""}, "client_id"), ({"client_id": "a\nb"}, "client_id"), ({"password": "hush"}, "needs a user"), ({"ca_file": "x"}, "mqtts://"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=words) as caught:
        MqttOptions("host", **options)
    assert "hush" not in str(caught.value)


def test_no_two_cameras_share_a_topic():
    names = ["till-1", "till 1", "till/1", "till_1", "till#1", "kässe", "kasse", "+", "#", ""]
    topics = [topic_of(name) for name in names]
    assert len(set(topics)) == len(names)
    assert all(re.fullmatch(r"[\w-]*", topic, re.ASCII) for topic in topics)
