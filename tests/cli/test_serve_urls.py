"""The addresses that ``edgevision serve`` tells, which it has to answer to."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from edgevision.cli import serve_urls
from edgevision.cli.serve_urls import own_addresses, urls_for_people


@pytest.mark.parametrize(
    ("url", "host", "names", "expected"),
    [
        ("http://127.0.0.1:8765", "127.0.0.1", ["till"], ["http://127.0.0.1:8765"]),
        ("https://[fe80::1]:9", "fe80::1", [], ["https://[fe80::1]:9"]),
        (
            "https://0.0.0.0:9",
            "0.0.0.0",
            ["till-3.local", "10.0.0.7"],
            ["https://till-3.local:9", "https://10.0.0.7:9"],
        ),
        ("http://[::]:9", "::", ["2001:db8::7"], ["http://[2001:db8::7]:9"]),
        ("http://[::]:9", "0:0::0", [], ["http://192.0.2.7:9", "http://192.0.2.8:9"]),
        ("http://0.0.0.0:9", "0.0.0.0", [], ["http://192.0.2.7:9", "http://192.0.2.8:9"]),
    ],
)
def test_names_come_before_addresses(monkeypatch, url, host, names, expected):
    monkeypatch.setattr(serve_urls, "own_addresses", lambda: ["192.0.2.7", "192.0.2.8"])
    assert urls_for_people(url, host, names) == expected


def test_a_machine_without_a_network_has_its_own_address(monkeypatch):
    monkeypatch.setattr(serve_urls, "own_addresses", list)
    assert urls_for_people("http://0.0.0.0:9", "0.0.0.0", []) == ["http://127.0.0.1:9"]


def test_own_addresses_are_this_machines():
    for one in own_addresses():
        assert not ipaddress.ip_address(one).is_loopback
        with socket.create_server((one, 0)):  # an address of another machine cannot be listened at
            pass
