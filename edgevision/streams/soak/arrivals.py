"""What arrived at the broker, held against what results say of themselves: none may be missing, none come twice unmarked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from edgevision.errors import InputError, MissingExtraError, SinkError

_CONNECT_S = 10.0


@dataclass
class CameraArrivals:
    """The results of one camera.

    ``last``: the sequence of the newest. ``results``: how many different ones came; ``late``: of these, marked late. ``again``: came
    once more, marked late, as a broken connection makes them; ``twice``: came once more, not marked. ``unexplained``: frames between
    two results that the later one's ``gap`` does not account for. ``live`` and ``stalled``: how often the camera got into that state.
    """

    last: int = -1
    results: int = 0
    late: int = 0
    again: int = 0
    twice: int = 0
    unexplained: int = 0
    live: int = 0
    stalled: int = 0
    state: str = ""


class Arrivals:
    """Counts messages as they come. Nothing is kept of them, so that days fit into memory. Thread-safe.

    >>> arrivals = Arrivals()
    >>> arrivals.add(b'{"late": false, "kind": "result", "camera": "till", "sequence": 2, "gap": {"stale": 2}}')
    >>> arrivals.add(b'{"late": false, "kind": "result", "camera": "till", "sequence": 4, "gap": {}}')
    >>> arrivals.of("till").results, arrivals.of("till").unexplained
    (2, 1)
    """

    def __init__(self) -> None:
        self.foreign = 0  # messages that are not ours
        self._cameras: dict[str, CameraArrivals] = {}
        self._lock = threading.Lock()

    def add(self, body: bytes) -> None:
        """Count one message, as ``MessageMaker`` makes it."""
        with self._lock:
            try:
                message = json.loads(body)
                self._add(message, self._cameras.setdefault(str(message["camera"]), CameraArrivals()))
            except (ValueError, KeyError, TypeError):
                self.foreign += 1

    def of(self, camera: str) -> CameraArrivals:
        """What came of a camera so far."""
        with self._lock:
            return replace(self._cameras.get(camera, CameraArrivals()))

    def _add(self, message: Any, camera: CameraArrivals) -> None:
        if message["kind"] == "state":
            self._add_state(str(message["state"]), camera)
        elif message["kind"] == "result":
            self._add_result(message["sequence"], message["late"], sum(message["gap"].values()), camera)

    @staticmethod
    def _add_state(state: str, camera: CameraArrivals) -> None:
        if state == camera.state:  # another reason alone
            return
        camera.state = state
        if state == "live":
            camera.live += 1
        elif state == "stalled":
            camera.stalled += 1

    @staticmethod
    def _add_result(sequence: int, late: bool, gap: int, camera: CameraArrivals) -> None:
        if sequence > camera.last:
            camera.unexplained += abs(sequence - camera.last - 1 - gap)
            camera.last = sequence
            camera.results += 1
            if late:
                camera.late += 1
        elif late:
            camera.again += 1
        else:
            camera.twice += 1


class Subscriber:
    """Counts what arrives under a topic at a broker, until it is closed. Raises SinkError where the broker refuses."""

    def __init__(self, host: str, port: int, topic: str, arrivals: Arrivals) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise MissingExtraError("paho-mqtt", "stream", "a soak") from error
        subscribed = threading.Event()
        self._topic = topic
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"{topic}/+/result", 1), (f"{topic}/+/state", 1)]
        )
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda client, data, message: arrivals.add(bytes(message.payload))
        try:
            self._client.connect(host, port)
        except (OSError, ValueError) as error:
            raise SinkError(f"the broker at {host}:{port} cannot be reached: {error}") from error
        self._client.loop_start()
        if not subscribed.wait(_CONNECT_S):
            self.close()
            raise InputError(
                f"the broker at {host}:{port} lets nobody subscribe without TLS and password; give another"
            )

    def clear(self, cameras: Iterable[str]) -> None:
        """Take away what the broker would keep of these cameras for ever: their last states."""
        for name in (*(f"{camera}/state" for camera in cameras), "status"):
            self._client.publish(f"{self._topic}/{name}", b"", qos=1, retain=True)

    def close(self) -> None:
        """End its thread."""
        self._client.disconnect()
        self._client.loop_stop()
