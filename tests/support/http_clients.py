"""A service before a real server, in a thread, and a small client: requests as bytes, answers as they came."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Strict JSON: NaN and the like are refused."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        return json.loads(self.body, parse_constant=refuse)

    @property
    def error(self) -> str:
        """What an answer says that tells nothing but why; of what failed there, under which id the log has it."""
        told = self.json
        failed = self.status in (500, 507)
        assert set(told) == ({"error", "id"} if failed else {"error"}), told
        return told["error"]


@dataclass(frozen=True)
class Running:
    """A server at work. ``stop``: set to end it; ``thread``: its thread."""

    port: int
    stop: threading.Event
    thread: threading.Thread

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answered:
        """One request on a connection of its own."""
        with contextlib.closing(self.connection()) as connection:
            return ask(connection, method, path, body, headers)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Answered:  # fmt: skip
    connection.request(method, path, body or None, headers or {})
    with connection.getresponse() as response:
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answered(response.status, names, response.read())


@contextlib.contextmanager
def served(service: Any, routes: Sequence[Any] = (), **options: Any) -> Iterator[Running]:
    """``service`` before a server; both are closed at the end, which has to come in time."""
    from edgevision.kiosk.service.app import make_app
    from edgevision.kiosk.service.server import ServerOptions, serve

    stop, begun = threading.Event(), threading.Event()
    urls: list[str] = []

    def begin(url: str) -> None:
        urls.append(url)
        begun.set()

    def run() -> None:
        serve(make_app(service, routes), service, ServerOptions(port=0, **options), stop=stop, started=begin)

    thread = threading.Thread(target=run, name="test-server", daemon=True)
    thread.start()
    try:
        assert begun.wait(PATIENCE_S)
        yield Running(int(urls[0].rpartition(":")[2]), stop, thread)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        service.close()
        assert not thread.is_alive()
