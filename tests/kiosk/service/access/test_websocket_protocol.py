"""The WebSocket protocol by itself, with a transport of the test's own: what it writes, and when it gives up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgevision.kiosk.service.access.connections import Connections
from edgevision.kiosk.service.access.server_options import server_options
from edgevision.kiosk.service.access.settings import AccessSettings, Limits

pytestmark = pytest.mark.requires("serve")

ASK = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MASK = b"\x00\x00\x00\x00"
PING = b"\x89\x81" + MASK + b"p"
PONG = b"\x8a\x01p"
EMPTY_PART = b"\x00\x80" + MASK


class FakeTransport:
    def __init__(self) -> None:
        self.written = b""
        self.aborted = False
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def opened(accepts: bool = True, limits: Limits | None = None) -> tuple[Any, FakeTransport, Connections]:
    """A protocol that was asked to open; its app accepts at once, or never."""
    import uvicorn
    from uvicorn.server import ServerState

    from edgevision.kiosk.service.access.uvicorn_websocket import websocket_class

    async def app(request: Any, receive: Any, send: Any) -> None:
        if accepts:
            await send({"type": "websocket.accept"})
        await asyncio.sleep(60)

    limits = limits or Limits()
    config = uvicorn.Config(app, port=0, log_config=None, **server_options(AccessSettings(limits=limits)))
    config.load()
    connections = Connections(limits)
    lease = connections.open("127.0.0.1")
    protocol = websocket_class()(config, ServerState(), {}, asyncio.get_running_loop(), limits=limits, lease=lease)
    transport = FakeTransport()
    protocol.connection_made(transport)
    protocol.data_received(ASK)
    await asyncio.sleep(0.01)
    if accepts:
        assert transport.written.startswith(b"HTTP/1.1 101 ")
        transport.written = b""
    return protocol, transport, connections


async def ended(protocol: Any, connections: Connections) -> None:
    """The connection is lost: its place is free, and no timer is left."""
    protocol.connection_lost(None)
    for task in protocol.tasks:
        task.cancel()
    await asyncio.sleep(0)
    assert connections.total == 0
    assert not protocol._timers._running


def test_pings_are_answered_while_the_other_side_reads():
    async def run() -> None:
        protocol, transport, connections = await opened()
        protocol.data_received(PING)
        assert transport.written == PONG
        protocol.pause_writing()
        for _ in range(100):
            protocol.data_received(PING)
        assert transport.written == PONG
        protocol.resume_writing()
        protocol.data_received(PING)
        assert transport.written == PONG * 2
        await ended(protocol, connections)

    asyncio.run(run())


def test_what_comes_before_it_is_open_is_not_kept():
    async def run() -> None:
        protocol, transport, connections = await opened(accepts=False)
        assert not transport.aborted
        protocol.data_received(PING)
        assert transport.aborted
        await ended(protocol, connections)

    asyncio.run(run())


@pytest.mark.parametrize(("parts", "given_up"), [(64, False), (65, True)])
def test_empty_parts_cost_nothing_and_so_are_counted(parts, given_up):
    async def run() -> None:
        protocol, transport, connections = await opened()
        protocol.data_received(b"\x02\x81" + MASK + b"x" + EMPTY_PART * parts)
        assert transport.aborted == given_up
        await ended(protocol, connections)

    asyncio.run(run())


@pytest.mark.parametrize("end", [b"", b"\x80\x81" + MASK + b"y"])
def test_a_message_has_its_time(end):
    async def run() -> None:
        protocol, transport, connections = await opened(limits=Limits(message_s=0.1))
        protocol.data_received(b"\x02\x81" + MASK + b"x")
        protocol.data_received(end)
        await asyncio.sleep(0.3)
        assert transport.aborted == (not end)
        await ended(protocol, connections)

    asyncio.run(run())


@pytest.mark.parametrize("reads", [False, True])
def test_who_does_not_read_has_its_time(reads):
    async def run() -> None:
        protocol, transport, connections = await opened(limits=Limits(write_s=0.1))
        protocol.pause_writing()
        if reads:
            protocol.resume_writing()
        await asyncio.sleep(0.3)
        assert transport.aborted == (not reads)
        await ended(protocol, connections)

    asyncio.run(run())


def test_a_close_that_is_not_taken_is_given_up():
    async def run() -> None:
        protocol, transport, connections = await opened(limits=Limits(write_s=0.1))
        protocol.data_received(b"\x83\x80" + MASK)  # no such kind of frame
        assert transport.written[:4] == b"\x88" + transport.written[1:2] + b"\x03\xea"  # 1002
        assert transport.closed
        assert not transport.aborted
        await asyncio.sleep(0.3)
        assert transport.aborted
        await ended(protocol, connections)

    asyncio.run(run())
