"""The load generator of ``serve_load``: keep-alive connections that ask one after the other, in a process of its own.

It is asked by lines of JSON and answers by lines of JSON. Requests are made up beforehand and written with one call; what is read of an
answer is its status, its length and its bytes. The standard library alone, so that any Python runs it.

    {"do": "ask", "port": 8765, "requests": ["FILE", …], "clients": 4, "seconds": 2.0[, "per_second": 50.0]}

``requests``: files with whole requests, asked in turn. Without ``per_second`` each client asks again as soon as it has its answer;
with it, requests are due at a steady rate, whatever the answers do, and what counts is the time since each was due. ``last_ns``: a
request that was written whole before this moment of the monotonic clock has to be answered (``lost`` counts those that were not).
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT_S = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class GoneError(Exception):
    """The server closed the connection. ``answered``: whether bytes of an answer had come."""

    def __init__(self, answered: bool) -> None:
        super().__init__("the server closed the connection")
        self.answered = answered


class Connection:
    """One keep-alive connection to 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_open = True
        self.written_ns: int | None = None  # when the last request was written whole

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises GoneError, or OSError."""
        self.written_ns = None
        self._socket.sendall(request)
        self.written_ns = time.monotonic_ns()
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            self._more(data)
        head = bytes(data[: end + 2])
        start = end + 4
        if _CHUNKED.search(head):
            body = self._chunks(data, start)
        else:
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            while len(data) < start + size:
                self._more(data)
            body = bytes(data[start : start + size])
        if _CLOSES.search(head):
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        """Close it; the next request needs another."""
        self.is_open = False
        self._socket.close()

    def _more(self, data: bytearray) -> None:
        try:
            some = self._socket.recv(1 << 18)
        except ConnectionError:
            some = b""
        if not some:
            raise GoneError(bool(data))
        data += some

    def _chunks(self, data: bytearray, start: int) -> bytes:
        body = b""
        while True:
            while (end := data.find(b"\r\n", start)) < 0:
                self._more(data)
            size = int(data[start:end].split(b";")[0], 16)
            start = end + 2
            while len(data) < start + size + 2:
                self._more(data)
            body += data[start : start + size]
            start += size + 2
            if not size:
                return body


@dataclass
class Asked:
    """What the clients of one turn saw. ``bodies``: the first answer to each request."""

    latency_ns: list[int] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bodies: dict[int, str] = field(default_factory=dict)
    lost: int = 0  # written whole in time, and never answered
    late: int = 0  # neither written in time nor answered
    refused: int = 0  # connections that were not taken, after the moment
    answered_after: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Clock:
    """When requests are due."""

    def __init__(self, began_ns: int, per_second: float | None) -> None:
        self._began_ns, self._per_second = began_ns, per_second
        self._next = 0
        self._lock = threading.Lock()

    def next_ns(self) -> int:
        """When the next request is due; waits until then."""
        if self._per_second is None:
            return time.monotonic_ns()
        with self._lock:
            due_ns = self._began_ns + int(1e9 * self._next / self._per_second)
            self._next += 1
        wait_s = (due_ns - time.monotonic_ns()) / 1e9
        if wait_s > 0:
            time.sleep(wait_s)
        return due_ns


def ask(
    port: int, requests: list[bytes], clients: int, seconds: float, per_second: float | None = None
) -> dict[str, Any]:
    """One turn: so many clients for so many seconds."""
    asked = Asked()
    began_ns = time.monotonic_ns()
    end_ns = began_ns + int(1e9 * seconds)
    clock = _Clock(began_ns, per_second)

    def client(number: int) -> None:
        connection = Connection(port)
        turn = number
        while (due_ns := clock.next_ns()) < end_ns:
            which = turn % len(requests)
            turn += 1
            if not connection.is_open:
                connection = Connection(port)
            try:
                status, body = connection.ask(requests[which])
            except (GoneError, OSError):
                with asked.lock:
                    asked.lost += 1
                connection.close()
                continue
            with asked.lock:
                asked.latency_ns.append(time.monotonic_ns() - due_ns)
                asked.statuses[status] += 1
                asked.bodies.setdefault(which, body.decode("latin-1"))
        connection.close()

    _in_threads(client, clients)
    return {**_told(asked), "wall_ns": time.monotonic_ns() - began_ns, "began_ns": began_ns}


def ask_until_gone(port: int, requests: list[bytes], clients: int, stop_file: str) -> dict[str, Any]:
    """Ask until the server takes no more. ``stop_file``: written by whoever stops it, when it is told to: the moment, in monotonic ns."""
    asked = Asked()
    path = Path(stop_file)

    def told_ns() -> int | None:
        text = path.read_text() if path.exists() else ""
        return int(text) if text else None

    def client(number: int) -> None:
        turn = number
        connection: Connection | None = None
        while True:
            which = turn % len(requests)
            turn += 1
            began_ns = time.monotonic_ns()
            try:
                if connection is not None and not connection.is_open:
                    connection = None  # first: where another is refused, nothing was written to it
                if connection is None:
                    connection = Connection(port)
                status, _ = connection.ask(requests[which])
                with asked.lock:
                    asked.statuses[status] += 1
                    asked.latency_ns.append(time.monotonic_ns() - began_ns)
                    stopped_ns = told_ns()
                    asked.answered_after += stopped_ns is not None and began_ns > stopped_ns
            except (GoneError, OSError) as error:
                written_ns = None if connection is None else connection.written_ns
                connection = None
                stopped_ns = told_ns()
                with asked.lock:
                    if stopped_ns is None or (written_ns is not None and written_ns < stopped_ns):
                        asked.lost += 1
                    elif isinstance(error, ConnectionRefusedError):
                        asked.refused += 1
                        return
                    else:
                        asked.late += 1
                if stopped_ns is None:
                    time.sleep(0.01)

    _in_threads(client, clients)
    return _told(asked)


def _in_threads(client: Any, clients: int) -> None:
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _told(asked: Asked) -> dict[str, Any]:
    return {
        "latency_ns": asked.latency_ns, "statuses": {str(k): v for k, v in asked.statuses.items()},
        "bodies": {str(k): v for k, v in asked.bodies.items()}, "lost": asked.lost, "late": asked.late, "refused": asked.refused,
        "answered_after": asked.answered_after,
    }  # fmt: skip


def main() -> None:
    do: dict[str, Callable[..., dict[str, Any]]] = {"ask": ask, "ask_until_gone": ask_until_gone}
    for line in sys.stdin:
        told = json.loads(line)
        call = do[told.pop("do")]
        told["requests"] = [Path(name).read_bytes() for name in told["requests"]]
        print(json.dumps(call(**told)), flush=True)


if __name__ == "__main__":
    main()
