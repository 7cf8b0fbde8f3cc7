from __future__ import annotations

import socket

import pytest

from edgevision.errors import DeviceError, InputError
from edgevision.streams.soak import broker as module
from edgevision.streams.soak.arrivals import Arrivals, Subscriber
from edgevision.streams.soak.broker import SoakBroker, find_mosquitto, parse_address


@pytest.mark.parametrize("text", ["", ":1883", "mqtt://broker", "broker:", "broker:0", "broker:65536", "broker:x"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match="HOST or HOST:PORT"):
        parse_address(text)


def test_without_mosquitto_it_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda *_, **__: None)
    with pytest.raises(DeviceError, match=r"apt-get install .*mosquitto; or give a broker of yours with --broker"):
        find_mosquitto()


def test_a_broker_that_does_not_answer_is_told(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(DeviceError, match=r"no broker answers at 127\.0\.0\.1"):
            SoakBroker(tmp_path, nobody.getsockname())


@pytest.mark.requires("mosquitto")
def test_the_door_is_shut_for_one_and_open_for_others(tmp_path):
    with SoakBroker(tmp_path) as broker:
        socket.create_connection(("127.0.0.1", broker.door.port), 5.0).close()
        broker.away()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", broker.door.port), 5.0)
        Subscriber(broker.host, broker.port, "soak", Arrivals()).close()
        broker.back()
        socket.create_connection(("127.0.0.1", broker.door.port), 5.0).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((broker.host, broker.port), 5.0)
