"""What a sink is written as → the sink."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit, urlunsplit

from edgevision.errors import InputError
from edgevision.streams.credentials import hide_login, read_password
from edgevision.streams.sinks import json_lines, mjpeg, prometheus, spool
from edgevision.streams.sinks.base import Sink
from edgevision.streams.sinks.courier import SpoolOptions
from edgevision.streams.sinks.inventory import InventorySink
from edgevision.streams.sinks.json_lines import JsonLinesSink
from edgevision.streams.sinks.mjpeg import MjpegSink
from edgevision.streams.sinks.mqtt import MqttOptions, MqttSink
from edgevision.streams.sinks.prometheus import PrometheusSink
from edgevision.streams.sinks.state_folder import spool_path
from edgevision.streams.sinks.video import VideoSink
from edgevision.streams.sinks.webhook import WebhookOptions, WebhookSink

Options: TypeAlias = Mapping[str, str | int | float]

FORMS = (
    "jsonl:FILE or jsonl:-", "mqtt://HOST/TOPIC", "mqtts://HOST/TOPIC", "https://HOST/PATH", "http://HOST/PATH",
    "prometheus://HOST:PORT", "mjpeg://HOST:PORT", "video:FILE.mkv", "sqlite:FILE", "postgresql://HOST/DATABASE",
)  # fmt: skip


def make_sink(text: str, options: Options | None = None) -> Sink:
    """The sink that ``text`` describes, see ``FORMS``.

    ``options``: what else it is told, by name; they may also stand behind a ``#`` in the text, as in
    ``https://host/hook#secret_env=HOOK_SECRET&max_age_s=3600``. Nothing is opened or connected yet.

    Raises InputError for a text or option that is not known (messages never show a password), MissingExtraError where the sink needs
    a package that is not installed.

    >>> make_sink("jsonl:results.jsonl#keep=3").name
    'jsonl:results.jsonl'
    """
    address, _, fragment = text.partition("#")
    scheme, colon, rest = address.partition(":")
    maker = _MAKERS.get(scheme.lower())
    if not colon or not rest or maker is None:
        raise InputError(f"{_host_of(text)!r} is no sink; write one of: {', '.join(FORMS)}")
    shown = _host_of(address) if maker is _webhook else hide_login(address)
    given = _Given(shown, {**dict(parse_qsl(fragment, keep_blank_values=True)), **(options or {})})
    sink = maker(address, given)
    given.check_all_used()
    return sink


class _Given:
    """The options of one sink, taken one by one; what is left in the end is unknown."""

    def __init__(self, shown: str, values: Options) -> None:
        self.shown = shown
        self._values = dict(values)
        self._known: list[str] = []

    def text(self, name: str, default: str | None = None) -> str | None:
        self._known.append(name)
        value = self._values.pop(name, default)
        return None if value is None else str(value)

    def name(self) -> str | None:
        """What the user calls the sink."""
        name = self.text("name")
        if name is not None and not (name.isprintable() and 1 <= len(name) <= 80):
            raise InputError(f"sink {self.shown}: name is 1 to 80 printable characters, got {name!r}")
        return name

    def whole(self, name: str, default: int) -> int:
        return int(self._number(name, default, int))

    def number(self, name: str, default: float) -> float:
        return float(self._number(name, default, float))

    def _number(self, name: str, default: float, kind: Callable[[str], float]) -> float:
        self._known.append(name)
        value = self._values.pop(name, default)
        try:
            return kind(str(value))
        except ValueError:
            raise InputError(f"sink {self.shown}: {name} is a number, got {value!r}") from None

    def secret(self, name: str) -> str | None:
        """What the environment variable ``NAME_env`` or the file ``NAME_file`` holds."""
        env, file = self.text(f"{name}_env"), self.text(f"{name}_file")
        if env is not None and file is not None:
            raise InputError(f"sink {self.shown}: give {name}_env or {name}_file, not both")
        found = read_password(env=env, file=file)
        return None if found is None else found.reveal()

    def spool(self, address: str) -> SpoolOptions:
        path = self.text("spool")
        return SpoolOptions(
            spool_path(address) if path is None else Path(path),
            self.whole("max_bytes", spool.MAX_BYTES),
            self.number("max_age_s", spool.MAX_AGE_S),
        )

    def check_all_used(self) -> None:
        """Raise InputError for an option that the sink does not have."""
        for name in self._values:
            near = difflib.get_close_matches(name, self._known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(self._known) or 'none'}"
            raise InputError(f"sink {self.shown}: {name!r} is no option of it; {hint}")


def _json_lines(address: str, given: _Given) -> Sink:
    path = address.partition(":")[2]
    return JsonLinesSink(
        path, max_bytes=given.whole("max_bytes", json_lines.MAX_BYTES), keep=given.whole("keep", json_lines.KEEP)
    )


def _mqtt(address: str, given: _Given) -> Sink:
    parts = _split(address, given)
    user, password = _login(parts, given)
    options = MqttOptions(
        host=parts.hostname or "",
        port=parts.port,
        tls=parts.scheme == "mqtts",
        ca_file=given.text("ca_file"),
        user=user,
        password=password,
        topic=unquote(parts.path).strip("/") or MqttOptions.topic,
        device=given.text("device", MqttOptions.device) or "",
        discovery=given.text("discovery", MqttOptions.discovery) or None,
        client_id=given.text("client_id"),
        name=given.name(),
    )
    return MqttSink(options, given.spool(options.name or f"{options.address}/{options.topic}"))


def _webhook(address: str, given: _Given) -> Sink:
    parts = _split(address, given)
    user, password = _login(parts, given)
    place = parts.netloc.rpartition("@")[2]
    options = WebhookOptions(
        url=urlunsplit((parts.scheme, place, parts.path, parts.query, "")),
        user=user,
        password=password,
        secret=given.secret("secret"),
        ca_file=given.text("ca_file"),
        timeout_s=given.number("timeout_s", WebhookOptions.timeout_s),
        name=given.name(),
    )
    return WebhookSink(options, given.spool(options.label))


def _prometheus(address: str, given: _Given) -> Sink:
    return PrometheusSink(*_listening(address, given, prometheus.HOST, prometheus.PORT))


def _mjpeg(address: str, given: _Given) -> Sink:
    return MjpegSink(*_listening(address, given, mjpeg.HOST, mjpeg.PORT))


def _video(address: str, given: _Given) -> Sink:
    return VideoSink(address.partition(":")[2])


def _sqlite(address: str, given: _Given) -> Sink:
    return InventorySink(Path(address.partition(":")[2]), name=given.shown)


def _database(address: str, given: _Given) -> Sink:
    parts = _split(address, given)
    password = given.secret("password")
    if password is None:
        return InventorySink(address, name=given.shown)
    place = parts.netloc.rpartition("@")[2]
    login = f"{quote(unquote(parts.username or ''), safe='')}:{quote(password, safe='')}"
    return InventorySink(urlunsplit(parts._replace(netloc=f"{login}@{place}")), name=given.shown)


_MAKERS: dict[str, Callable[[str, _Given], Sink]] = {
    "jsonl": _json_lines, "mqtt": _mqtt, "mqtts": _mqtt, "http": _webhook, "https": _webhook, "prometheus": _prometheus,
    "mjpeg": _mjpeg, "video": _video, "sqlite": _sqlite, "postgresql": _database,
}  # fmt: skip


def _split(address: str, given: _Given) -> SplitResult:
    """The URL's parts. Raises InputError where it has no host, or a port that is none."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise InputError(f"sink {given.shown}: expected SCHEME://HOST:PORT/…, with a host and a port of 1…65535")
    return parts


def _login(parts: SplitResult, given: _Given) -> tuple[str | None, str | None]:
    """User and password, of the URL or the options."""
    user = given.text("user", None if parts.username is None else unquote(parts.username))
    password = given.secret("password")
    if password is None and parts.password is not None:
        password = unquote(parts.password)
    return user, password


def _host_of(text: str) -> str:
    """The text up to its host: what comes after it may be a secret, as in Slack's webhooks, and the text may be mistyped.

    >>> _host_of("htps://hooks.example/services/secret")
    'htps://hooks.example/***'
    """
    found = re.fullmatch(r"([\w+.-]+:/*)?([^/?#]*)(.*)", hide_login(text), re.DOTALL)
    assert found is not None  # it matches any text
    return (found[1] or "") + found[2] + ("/***" if found[3].strip("/") else found[3])


def _listening(address: str, given: _Given, host: str, port: int) -> tuple[str, int]:
    """Where to listen: ``SCHEME://:9100`` means this machine alone."""
    try:
        parts = urlsplit(address)
        return parts.hostname or host, port if parts.port is None else parts.port
    except ValueError:
        raise InputError(f"sink {given.shown}: the port is a number up to 65535") from None
