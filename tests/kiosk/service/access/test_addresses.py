"""Where the service may listen: every combination of address, tokens, TLS and --insecure."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.access.addresses import check_address, is_this_machine
from edgevision.kiosk.service.access.settings import AccessSettings

OWN = ("127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1")
OTHERS = (
    "0.0.0.0",
    "::",
    "192.168.1.5",
    "10.0.0.7",
    "fe80::1",
    "till-3.local",
    "localhost.example",
    "::ffff:10.0.0.7",
    "1.0.0.127",
    "",
)
FILE = Path("file.pem")


@pytest.mark.parametrize("host", OWN)
def test_this_machine(host):
    assert is_this_machine(host)
    check_address(AccessSettings(host=host))


@pytest.mark.parametrize("host", OTHERS)
def test_other_addresses_need_tokens_and_tls_or_an_explicit_word(host):
    assert not is_this_machine(host)
    for tokens, tls, given, insecure in itertools.product((False, True), repeat=4):
        if tls and given:
            continue
        settings = AccessSettings(
            host=host, tokens=FILE if tokens else None, tls=tls, certificate=FILE if given else None,
            key=FILE if given else None, insecure=insecure,
        )  # fmt: skip
        if insecure or (tokens and (tls or given)):
            check_address(settings)
            continue
        with pytest.raises(InputError) as refused:
            check_address(settings)
        assert ("edgevision token add" in str(refused.value)) == (not tokens)
        assert ("--tls" in str(refused.value)) == (not (tls or given))
        assert "--insecure" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (AccessSettings(certificate=FILE), "--key"),
        (AccessSettings(key=FILE, insecure=True), "--certificate"),
        (AccessSettings(tls=True, certificate=FILE, key=FILE), "leave one"),
    ],
)
def test_certificates_that_do_not_fit(settings, word):
    with pytest.raises(InputError, match=word):
        check_address(settings)
