"""Real MQTT brokers, and clients that listen to them. Needs mosquitto and paho-mqtt."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from stream_items import free_port


class Broker:
    """Mosquitto on 127.0.0.1. ``lines``: more of its configuration. The port stays the same after ``kill`` and ``start``."""

    def __init__(self, folder: Path, *lines: str, anonymous: bool = True) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._configuration = folder / "mosquitto.conf"
        allowed = "true" if anonymous else "false"
        self._configuration.write_text(
            "\n".join(["user root", f"listener {self.port} 127.0.0.1", f"allow_anonymous {allowed}", *lines, ""])
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["mosquitto", "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            except OSError:
                assert time.monotonic() < deadline
                assert self._process.poll() is None, "mosquitto did not start"
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Listener:
    """Subscribes to everything. ``messages``: (topic, payload, retained) in the order they came."""

    def __init__(
        self, port: int, user: str | None = None, password: str | None = None, ca_file: str | None = None
    ) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        subscribed = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        if user is not None:
            self._client.username_pw_set(user, password)
        if ca_file is not None:
            self._client.tls_set(ca_file)
        self._client.on_message = lambda client, data, one: self.messages.append((one.topic, one.payload, one.retain))
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("localhost" if ca_file else "127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10.0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def of(self, topic: str) -> list[bytes]:
        return [payload for place, payload, _ in self.messages if place == topic]

    def json_of(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.of(topic)]
