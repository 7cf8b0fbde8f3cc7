"""Closing a connection whose other side does not read, or goes on sending."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from edgevision.kiosk.service.access.timers import Timers
from edgevision.kiosk.service.access.transports import BoundedTransport, LingeringTransport


class Side(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def connected() -> tuple[asyncio.Transport, Side, socket.socket]:
    mine, others = socket.socketpair()
    transport, side = await asyncio.get_running_loop().create_connection(Side, sock=mine)
    return transport, side, others


def test_what_is_not_taken_is_given_up():
    async def run() -> None:
        timers = Timers(asyncio.get_running_loop())
        transport, side, others = await connected()
        transport.write(bytes(50_000_000))  # far more than the system keeps
        bounded = BoundedTransport(transport, timers, 0.3)
        bounded.close()
        bounded.close()
        assert bounded.is_closing()
        await asyncio.sleep(0.05)
        assert not side.lost.is_set()
        await asyncio.wait_for(side.lost.wait(), 10)
        others.close()

    asyncio.run(run())


def test_what_is_taken_arrives_whole():
    async def run() -> None:
        timers = Timers(asyncio.get_running_loop())
        transport, side, others = await connected()
        transport.write(bytes(3_000_000))
        BoundedTransport(transport, timers, 30.0).close()
        count = 0
        others.setblocking(False)
        while part := await asyncio.get_running_loop().sock_recv(others, 1 << 20):
            count += len(part)
        await side.lost.wait()
        timers.stop_all()
        assert count == 3_000_000
        others.close()

    asyncio.run(run())


@pytest.mark.parametrize("sending", [False, True])
def test_lingering(sending):
    async def run() -> None:
        timers = Timers(asyncio.get_running_loop())
        transport, side, others = await connected()
        asked: list[Any] = []
        lingering = LingeringTransport(transport, timers, 30.0, lambda: sending, asked.append)
        lingering.close()
        lingering.close()
        assert lingering.is_closing()
        assert lingering.lingers == sending
        assert asked == ([transport] if sending else [])
        transport.abort()
        await side.lost.wait()
        timers.stop_all()
        others.close()

    asyncio.run(run())


def test_timers():
    async def run() -> None:
        rung: list[str] = []
        timers = Timers(asyncio.get_running_loop())
        timers.start("a", 0.01, lambda: rung.append("a"))
        timers.start("b", 0.01, lambda: rung.append("b"))
        timers.start("b", 0.02, lambda: rung.append("B"))
        timers.start("c", 0.01, lambda: rung.append("c"))
        timers.stop("c")
        timers.stop("nobody")
        assert "a" in timers
        assert "c" not in timers
        await asyncio.sleep(0.2)
        assert sorted(rung) == ["B", "a"]
        assert "a" not in timers
        timers.start("d", 0.01, lambda: rung.append("d"))
        timers.stop_all()
        await asyncio.sleep(0.1)
        assert sorted(rung) == ["B", "a"]

    asyncio.run(run())
