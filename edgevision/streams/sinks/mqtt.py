"""Messages to an MQTT broker: TLS, QoS 1, a last will, and topics that Home Assistant finds by itself."""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import ssl
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgevision.errors import InputError, MissingExtraError, SinkError
from edgevision.streams.sink_status import Health
from edgevision.streams.sinks.base import Item
from edgevision.streams.sinks.courier import Courier, Outcome, Parcel, RefusedError, SpoolOptions, UndeliveredError
from edgevision.streams.sinks.messages import MessageMaker
from edgevision.streams.sinks.tls import tls_context

PORT, TLS_PORT = 1883, 8883
CONNECT_S = 5.0  # for the network, for TLS, and for the broker's answer
CONFIRM_S = 10.0  # without a single confirmation, after which the connection counts as lost
KEEPALIVE_S = 30
_PING_S = 5.0  # how often the connection is looked at while nothing happens
_GOODBYE_S = 1.0

# What a sensor shows of a result: the class, or how many products there are.
_RESULT_TEMPLATE = (
    "{% set r = value_json.result %}{% if r.top is defined %}{{ r.top[0].name if r.known else 'unknown' }}"
    "{% elif r.products is defined %}{{ r.products | length }}{% else %}{{ r.detections | length }}{% endif %}"
)


@dataclass(frozen=True)
class MqttOptions:
    """A broker. ``topic``: what all topics begin with; ``device``: what Home Assistant calls this machine.

    ``tls``: verified against the system's certificates, and those in ``ca_file``. ``discovery``: the prefix under which Home
    Assistant looks for sensors; None: announce none.

    ``client_id``: what the broker knows this stream by, see ``client_id_for``. A second client with the same one drives the first one
    out. ``name``: for messages and metrics; None: the address and the topic.
    """

    host: str
    port: int | None = None
    tls: bool = False
    ca_file: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    topic: str = "edgevision"
    device: str = "EdgeVision"
    discovery: str | None = "homeassistant"
    client_id: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("topic", "discovery"):
            value = getattr(self, name)
            if value is not None and re.fullmatch(r"[^+#\x00/]+(/[^+#\x00/]+)*", value) is None:
                raise InputError(f"MQTT: {name} is a topic without + and #, such as shop/edgevision, got {value!r}")
        if self.client_id is not None and not (self.client_id.isprintable() and 1 <= len(self.client_id) <= 200):
            raise InputError(f"MQTT: client_id is 1 to 200 printable characters, got {self.client_id!r}")
        if self.password is not None and self.user is None:
            raise InputError("MQTT: a password needs a user")
        if self.ca_file is not None and not self.tls:
            raise InputError("MQTT: ca_file is for TLS; write mqtts:// instead of mqtt://")

    @property
    def address(self) -> str:
        """Scheme, host and port, without secrets."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.real_port}"

    @property
    def real_port(self) -> int:
        """The port, or the usual one."""
        if self.port is not None:
            return self.port
        return TLS_PORT if self.tls else PORT


class MqttSink:
    """Publishes every item with QoS 1. While the broker is away they wait on disk, and go out marked ``late`` in their order.

    Topics, under ``options.topic``: ``status`` (``online`` or ``offline``, retained, also the last will; where a will comes late, it
    is put right), and for each camera ``CAMERA/result``, ``CAMERA/event``, and ``CAMERA/state`` (retained).

    A message for which the broker breaks each connection, while it takes others, is put aside: see ``Spool``.

    Raises MissingExtraError without paho-mqtt.
    """

    wants_frames = False

    def __init__(self, options: MqttOptions, spool: SpoolOptions) -> None:
        _paho()
        tls_context(options.ca_file)  # a file that is wrong is told now, not when the broker is called
        self.name = options.name or f"{options.address}/{options.topic}"
        if options.client_id is None:
            options = replace(options, client_id=client_id_for(options.topic, spool.path))
        self.courier = Courier(self.name, _Broker(options), spool)
        self._topic = options.topic
        self._messages = MessageMaker()

    def open(self) -> None:
        """Open the spool and begin to connect. Does not wait for the broker."""
        self.courier.open()

    def write(self, item: Item) -> None:
        """Keep the item until the broker has confirmed it."""
        message = self._messages.message(item)
        levels = (
            [self._topic, topic_of(message.camera), message.kind] if message.camera else [self._topic, message.kind]
        )
        self.courier.send(message, "/".join(levels))

    def close(self, timeout_s: float) -> None:
        """Publish what can be published in time; the rest stays on disk."""
        self.courier.close(timeout_s)

    def health(self) -> Health:
        """How the broker is, and what waits for it."""
        return self.courier.health()


def client_id_for(topic: str, spool: Path, machine_id: Path = Path("/etc/machine-id")) -> str:
    """The same for each connection of one stream, so that the broker ends the session of the last one, with its will, before it
    takes the next: the host's name, and a check sum of it, the system's machine id, topic and spool. One spool is used by one program
    at a time.

    At most 23 letters and digits, which every broker has to take (MQTT 3.1.1, section 3.1.3.1).
    """
    host = socket.gethostname()
    machine = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):  # systems without one; names of hosts differ mostly
        machine = machine_id.read_text().strip()
    seen = f"{host}\0{machine}\0{topic}\0{spool.absolute()}"
    return f"ev{re.sub('[^A-Za-z0-9]', '', host)[:12]}{zlib.crc32(seen.encode()):08x}"


def topic_of(camera: str) -> str:
    """A camera's level of a topic, and its id in Home Assistant: letters, digits, ``_`` and ``-``.

    A name with other characters gets a check sum, so that no two cameras share a topic.

    >>> topic_of("till-1"), topic_of("till/1")
    ('till-1', 'till_1_c6acb9e0')
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", camera)
    return plain if plain == camera else f"{plain}_{zlib.crc32(camera.encode()):08x}"


def discovery_messages(options: MqttOptions, camera_topic: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What tells Home Assistant of a camera: (topic, content) of each sensor.

    See https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.
    """
    base = f"{options.topic}/{camera_topic}"
    machine = topic_of(options.topic.replace("/", "-"))
    shared = {
        "availability_topic": f"{options.topic}/status",
        "device": {
            "identifiers": [f"edgevision_{machine}_{camera_topic}"],
            "name": f"{options.device} {camera_topic}",
            "manufacturer": "EdgeVision",
        },
    }
    sensors: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("sensor", "products", {"name": "Products", "state_topic": f"{base}/result", "value_template": _RESULT_TEMPLATE}),
        (
            "sensor", "age",
            {
                "name": "Age", "state_topic": f"{base}/result", "value_template": "{{ (value_json.age_s * 1000) | round }}",
                "unit_of_measurement": "ms", "device_class": "duration", "entity_category": "diagnostic",
            },
        ),
        (
            "binary_sensor", "camera",
            {
                "name": "Camera", "state_topic": f"{base}/state", "json_attributes_topic": f"{base}/state",
                "value_template": "{{ 'ON' if value_json.state == 'live' else 'OFF' }}", "device_class": "connectivity",
            },
        ),
    )  # fmt: skip
    for component, name, own in sensors:
        unique = f"edgevision_{machine}_{camera_topic}_{name}"
        yield f"{options.discovery}/{component}/{unique}/config", {**shared, **own, "unique_id": unique}


class _Broker:
    """The carrier of a ``Courier``. Each connection is a client of paho of its own, which dies with it: so paho never sends
    anything again by itself, and the spool alone knows what is delivered."""

    def __init__(self, options: MqttOptions) -> None:
        self._options = options
        self._connection: _Connection | None = None

    def connect(self) -> None:
        self._connection = _Connection(self._options)
        self._connection.open()

    def deliver(self, parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        assert self._connection is not None  # the courier connects first
        return self._connection.deliver(parcels)

    def idle(self, timeout_s: float) -> None:
        assert self._connection is not None
        self._connection.idle(timeout_s)

    def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def wake(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.wake()

    def interrupt(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.interrupt()


class _Connection:
    """One connection, from the first packet to the first fault, driven by the courier's thread alone: paho's own thread would die
    unseen at the first packet that it cannot read."""

    def __init__(self, options: MqttOptions) -> None:
        self._options = options
        self._lost = ""  # why it is over
        self._answer: Any = None  # the broker's to the request to connect
        self._confirmed: deque[int] = deque()  # paho's numbers of messages, as the confirmations come
        self._announced: set[str] = set()
        self._status_topic = f"{options.topic}/status"
        self._contradicted = False  # somebody said that we are offline
        self._leaving = False
        self._inner, self._outer = socket.socketpair()  # what is sent into the outer one ends a wait
        self._inner.setblocking(False)
        self._outer.setblocking(False)
        self._client = self._make_client()

    def _make_client(self) -> Any:
        mqtt = _paho()
        options = self._options
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=options.client_id or "", reconnect_on_failure=False
        )
        client.connect_timeout = CONNECT_S
        client.on_connect, client.on_publish, client.on_disconnect = (
            self._on_connect,
            self._on_publish,
            self._on_disconnect,
        )
        client.on_message = self._on_message
        if options.user is not None:
            client.username_pw_set(options.user, options.password)
        client.will_set(self._status_topic, "offline", qos=1, retain=True)
        return client

    def open(self) -> None:
        """Connect, and say that we are there. Raises SinkError, RefusedError."""
        options = self._options
        try:
            if options.tls:
                self._client.tls_set_context(tls_context(options.ca_file))
            self._client.connect(options.host, options.real_port, keepalive=KEEPALIVE_S)
        except ssl.SSLCertVerificationError as error:
            raise RefusedError(
                f"{options.address}: its certificate cannot be verified ({error.verify_message}); give the CA's with ca_file"
            ) from error
        except (OSError, ValueError) as error:  # ValueError: a host name that is none
            raise SinkError(f"{options.address}: cannot connect ({error})") from error
        try:
            self._turn_until(lambda: self._answer is not None, CONNECT_S)
        except SinkError:
            if self._answer is None:  # else the broker said why, and then closed the connection
                raise
        if self._answer is None:
            raise SinkError(f"{options.address}: no answer; is it an MQTT broker?")
        if self._answer.is_failure:
            raise RefusedError(f"{options.address}: the broker refuses the connection: {self._answer}")
        self._publish(self._status_topic, b"online", retain=True)
        self._client.subscribe(self._status_topic, qos=1)  # where that is not allowed, nobody can contradict us in time

    def deliver(self, parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        """Publish, and give back each as it is confirmed. Raises UndeliveredError: brokers close the connection at what they do not
        want, such as a message that is too large or a topic that is not allowed, and do not say at which."""
        try:
            yield from self._deliver(parcels)
        except SinkError as error:
            raise UndeliveredError(str(error)) from error

    def _deliver(self, parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        numbers = {}
        for parcel in parcels:
            self._announce(parcel.address)
            numbers[self._publish(parcel.address, parcel.body, retain=parcel.address.endswith("/state"))] = (
                parcel.number
            )
        while numbers:
            if not self._turn_until(lambda: bool(self._confirmed), CONFIRM_S):
                raise SinkError(f"{self._options.address}: nothing was confirmed for {CONFIRM_S:g} s")
            number = numbers.pop(self._confirmed.popleft(), None)
            if number is not None:  # else of an announcement
                yield Outcome(number, accepted=True)

    def idle(self, timeout_s: float) -> None:
        """Keep the connection alive until ``wake``."""
        until_s = time.monotonic() + timeout_s
        while (left_s := until_s - time.monotonic()) > 0 and not self._turn(left_s):
            self._confirmed.clear()  # of announcements

    def wake(self) -> None:
        """End ``idle``."""
        with contextlib.suppress(OSError):  # it is full: awake already; or closed
            self._outer.send(b"w")

    def interrupt(self) -> None:
        """End whatever waits for the broker."""
        self._lost = self._lost or "interrupted"
        self.wake()

    def close(self) -> None:
        """Say goodbye where that is possible, and give everything back."""
        client = self._client
        if not self._lost and self._answer is not None and not self._answer.is_failure:
            self._leaving = True
            with contextlib.suppress(SinkError):
                number = self._publish(self._status_topic, b"offline", retain=True)
                self._turn_until(lambda: number in self._confirmed, _GOODBYE_S)
        client.disconnect()
        client.on_connect = client.on_publish = client.on_disconnect = client.on_message = (
            None  # no circle keeps it alive
        )
        for one in (client.socket(), self._inner, self._outer):
            if one is not None:
                one.close()

    def _announce(self, topic: str) -> None:
        camera, _, kind = topic.removeprefix(f"{self._options.topic}/").partition("/")
        if self._options.discovery is None or not kind or camera in self._announced:  # without a kind: of no camera
            return
        self._announced.add(camera)
        for place, content in discovery_messages(self._options, camera):
            self._publish(place, json.dumps(content).encode(), retain=True)

    def _publish(self, topic: str, body: bytes, *, retain: bool) -> int:
        info = self._client.publish(topic, body, qos=1, retain=retain)
        if info.rc != 0:
            raise SinkError(f"{self._options.address}: {self._lost or 'the connection was lost'}")
        return int(info.mid)

    def _turn_until(self, is_so: Callable[[], bool], timeout_s: float) -> bool:
        """Serve the connection until it is so, or for ``timeout_s`` seconds in which it never is. Raises SinkError."""
        until_s = time.monotonic() + timeout_s
        while not is_so():
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            self._turn(left_s)
        return True

    def _turn(self, timeout_s: float) -> bool:
        """Wait for the broker or for ``wake``, and serve both once. Whether it was woken. Raises SinkError where the connection is lost."""
        own, inner = self._client.socket(), self._inner
        if own is not None and not self._lost:
            wants_write = self._client.want_write()
            at_once = (
                isinstance(own, ssl.SSLSocket) and own.pending() > 0
            )  # decrypted already: the system knows nothing of it
            with selectors.DefaultSelector() as selector:
                selector.register(inner, selectors.EVENT_READ)
                selector.register(own, selectors.EVENT_READ | (selectors.EVENT_WRITE if wants_write else 0))
                ready = {key.fileobj: mask for key, mask in selector.select(0 if at_once else min(timeout_s, _PING_S))}
            events = ready.get(own, 0)
            if at_once or events & selectors.EVENT_READ:
                self._client.loop_read()
            if events & selectors.EVENT_WRITE:
                self._client.loop_write()
            self._client.loop_misc()  # pings
            if self._contradicted and not self._leaving:
                self._contradicted = False
                self._publish(self._status_topic, b"online", retain=True)
        if self._lost or self._client.socket() is None:
            raise SinkError(f"{self._options.address}: {self._lost or 'the connection was lost'}")
        return inner in ready and self._drain()

    def _drain(self) -> bool:
        """Take what ``wake`` has sent."""
        with contextlib.suppress(BlockingIOError):
            while self._inner.recv(1024):
                pass
        return True

    def _on_connect(self, client: Any, data: Any, flags: Any, answer: Any, properties: Any) -> None:
        self._answer = answer

    def _on_publish(self, client: Any, data: Any, number: int, answer: Any, properties: Any) -> None:
        self._confirmed.append(number)

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        """Of the status: a last will that came late, of a session before this one or of another stream with the same topic."""
        self._contradicted = message.topic == self._status_topic and message.payload == b"offline"

    def _on_disconnect(self, client: Any, data: Any, flags: Any, answer: Any, properties: Any) -> None:
        self._lost = self._lost or f"the connection was lost ({answer})"


def _paho() -> Any:
    try:
        import paho.mqtt.client
    except ImportError as error:
        raise MissingExtraError("paho-mqtt", "stream", "sending results by MQTT") from error
    return paho.mqtt.client
