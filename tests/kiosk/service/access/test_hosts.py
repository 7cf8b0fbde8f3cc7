"""The header Host: who is meant. Names of an attacker's own (DNS rebinding) never are."""

from __future__ import annotations

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.access.hosts import HostName, check_host, own_names

ALLOWED = own_names("192.168.1.5", ["till-3.local", "Kasse.Example.", "2001:db8::7"])


def request(*hosts: str, server: tuple[str, int] | None = ("192.168.1.5", 8000)) -> dict:
    return {"type": "http", "server": server, "headers": [(b"host", host.encode("latin-1")) for host in hosts]}


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8000", "localhost.", "127.0.0.1", "127.0.0.1:1", "[::1]:65535", "[0:0::1]", "192.168.1.5:8000", "till-3.local",
     "TILL-3.LOCAL:443", "kasse.example", "[2001:DB8:0::7]:8000"],
)  # fmt: skip
def test_ours(host):
    assert check_host(request(host), ALLOWED) is None


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("attacker.example", 421), ("attacker.example:8000", 421), ("localhost.attacker.example", 421), ("127.0.0.1.nip.io", 421),
        ("192.168.1.6", 421), ("till-3.local.attacker.example", 421), ("xlocalhost", 421), ("0.0.0.0:8000", 421), ("[::]", 421),
        ("[::2]:8000", 421), ("127.0.0.2", 421), ("2130706433", 421), ("0x7f.1", 421), ("localhost..", 400),
        ("", 400), (" ", 400), (":8000", 400), ("localhost:", 400), ("localhost:80:80", 400), ("localhost:http", 400), ("localhost:65536", 400),
        ("localhost:-1", 400), ("localhost/x", 400), ("user@localhost", 400), ("localhost,attacker.example", 400), ("localhost attacker", 400),
        ("[::1", 400), ("::1", 400), ("[::1]x", 400), ("http://localhost", 400), ("localhost\x00", 400), ("loc\u00e4lhost", 400), ("-", 400),
        ("a" * 300, 400), ("*", 400), ("[fe80::1%eth0]", 400), ("localhost?", 400), ("localhost#", 400), ("localhost\\", 400),
    ],
)  # fmt: skip
def test_not_ours(host, status):
    refusal = check_host(request(host), ALLOWED)
    assert refusal is not None
    assert refusal.status == status


@pytest.mark.parametrize("hosts", [(), ("localhost", "localhost"), ("localhost", "attacker.example")])
def test_one_host_is_there(hosts):
    refusal = check_host(request(*hosts), ALLOWED)
    assert refusal is not None
    assert refusal.status == 400


def test_a_service_at_every_address_answers_to_the_one_that_was_reached():
    allowed = own_names("0.0.0.0", [])
    assert check_host(request("10.0.0.7:8000", server=("10.0.0.7", 8000)), allowed) is None
    assert check_host(request("10.0.0.7", server=("::ffff:10.0.0.7", 8000)), allowed) is None
    for host, server in [("10.0.0.8", ("10.0.0.7", 8000)), ("0.0.0.0", ("10.0.0.7", 8000)), ("10.0.0.7", None),
                         ("attacker.example", ("attacker.example", 8000))]:  # fmt: skip
        assert check_host(request(host, server=server), allowed) is not None


def test_the_refusal_names_the_cure():
    refusal = check_host(request("shop.example"), ALLOWED)
    assert refusal is not None
    assert "--host-name shop.example" in refusal.error


@pytest.mark.parametrize("name", ["", "http://till", "till:8000", "a b", "x" * 300, "till\n", "*.local"])
def test_a_name_that_is_none_is_refused_at_the_start(name):
    with pytest.raises(InputError, match="--host-name"):
        own_names("127.0.0.1", [name])


def test_one_spelling():
    assert (
        HostName.parse("[2001:db8:0:0:0:0:0:1]:80") == HostName.parse("[2001:DB8::1]:80") == HostName("2001:db8::1", 80)
    )
    assert HostName.parse("SHOP.example.") == HostName("shop.example", None)
