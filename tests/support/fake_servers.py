"""Servers that answer as a test tells them, each in threads of this process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Answer = Callable[[str, socket.socket], None]


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """A TCP server of 127.0.0.1; its port. ``answer`` gets each request's head, and the connection; it may answer several
    requests of one connection, and whatever it raises of OSError ends that."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            held = b""
            while True:
                while b"\r\n\r\n" not in held:
                    got = connection.recv(4096)
                    if not got:
                        return
                    held += got
                head, _, held = held.partition(b"\r\n\r\n")
                answer(head.decode(errors="replace"), connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        for one in (listener, *connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def rtsp(description: str = "", *, status: str = "200 OK", headers: str = "") -> Answer:
    """Answers every RTSP request with ``status``; DESCRIBE with ``description``."""

    def answer(head: str, connection: socket.socket) -> None:
        sequence = next((line for line in head.splitlines() if line.lower().startswith("cseq")), "")
        body = description if head.startswith("DESCRIBE") else ""
        kind = "Content-Type: application/sdp\r\n" if body else ""
        connection.sendall(
            f"RTSP/1.0 {status}\r\n{sequence}\r\n{headers}Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    return answer


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> Answer:
    """Answers every HTTP request so, and closes the connection."""

    def answer(_head: str, connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n".encode() + body)
        connection.shutdown(socket.SHUT_WR)
        raise OSError("done")

    return answer
