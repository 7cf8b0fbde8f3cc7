from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from edgevision.streams.camsim.proxy import FaultProxy


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[:2]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: tuple[str, int]) -> Iterator[FaultProxy]:
    made = FaultProxy(echo)
    yield made
    made.close()


def connected(proxy: FaultProxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), 10.0)
    client.sendall(b"ping")
    assert client.recv(4) == b"ping"
    return client


def test_it_passes_everything_on_both_ways(proxy):
    data = bytes(range(256)) * 4000
    with connected(proxy) as client:
        threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
        got = b""
        while len(got) < len(data):
            got += client.recv(65536)
    assert got == data


def test_a_stall_holds_back_and_loses_nothing(proxy):
    with connected(proxy) as client:
        proxy.stall()
        client.sendall(b"held")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(4)
        proxy.resume()
        client.settimeout(10.0)
        assert client.recv(4) == b"held"


def test_a_reset_breaks_what_is_there_and_new_ones_come_through(proxy):
    with connected(proxy) as client:
        proxy.reset()
        with contextlib.suppress(ConnectionError):
            assert client.recv(4) == b""
    connected(proxy).close()


def test_down_refuses_and_up_takes_again_on_the_same_port(proxy):
    port = proxy.port
    with connected(proxy) as client:
        proxy.down()
        with contextlib.suppress(ConnectionError):
            assert client.recv(4) == b""
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port), 10.0)
    proxy.up()
    proxy.up()
    assert proxy.port == port
    connected(proxy).close()


def test_slow_is_slow(proxy):
    """4 kB at 8 kB a second, there and back."""
    import time

    with connected(proxy) as client:
        proxy.slow(8000)
        begin_s = time.monotonic()
        client.sendall(bytes(4000))
        client.sendall(bytes(1))
        got = 0
        while got < 4001:
            got += len(client.recv(4096))
        assert time.monotonic() - begin_s > 0.4


def test_a_camera_that_is_not_there_is_a_broken_connection(echo):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[:2]
    proxy = FaultProxy(nobody)
    with socket.create_connection(("127.0.0.1", proxy.port), 10.0) as client, contextlib.suppress(ConnectionError):
        assert client.recv(1) == b""
    proxy.close()


def test_closing_leaves_no_thread(echo):
    before = threading.active_count()
    proxy = FaultProxy(echo)
    clients = [connected(proxy) for _ in range(5)]
    proxy.stall()
    clients[0].sendall(b"held")
    proxy.close()
    assert not [thread for thread in proxy._threads if thread.is_alive()]
    for client in clients:
        client.close()
    assert threading.active_count() <= before + 5  # of the echo server, which may end a little later
