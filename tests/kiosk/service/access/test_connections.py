"""How many connections are let in, against a plain list of those that are open."""

from __future__ import annotations

import random

from edgevision.kiosk.service.access.connections import Connections
from edgevision.kiosk.service.access.settings import Limits


def test_places_are_given_and_given_back():
    limits = Limits(connections=6, connections_each=2)
    connections = Connections(limits)
    chance = random.Random(0)
    open_now: list[tuple[str, object]] = []
    for _ in range(5000):
        if open_now and chance.random() < 0.45:
            _, lease = open_now.pop(chance.randrange(len(open_now)))
            lease.release()  # type: ignore[attr-defined]
            lease.release()  # type: ignore[attr-defined]
        else:
            address = chance.choice(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "127.0.0.1"])
            from_there = sum(one == address for one, _ in open_now)
            each = 6 if address == "127.0.0.1" else 2
            lease = connections.open(address)
            assert (lease is not None) == (len(open_now) < 6 and from_there < each)
            if lease is not None:
                open_now.append((address, lease))
        assert connections.total == len(open_now)


def test_addresses_that_left_are_forgotten():
    connections = Connections(Limits(connections=2))
    for number in range(1000):
        lease = connections.open(f"10.0.{number // 256}.{number % 256}")
        assert lease is not None
        lease.release()
    first, second = connections.open("10.0.0.1"), connections.open("10.0.0.2")
    assert first is not None
    assert second is not None
    for number in range(1000):
        assert connections.open(f"10.9.{number // 256}.{number % 256}") is None
    assert len(connections._by_address) == 2
