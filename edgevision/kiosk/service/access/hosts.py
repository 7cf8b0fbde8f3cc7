"""Which names the service answers to.

A page of an attacker's can give its own name this machine's address (DNS rebinding): the shopper's browser then lets that page read
what the service answers. The browser still writes the attacker's name into the header Host, so other names than our own are refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from edgevision.errors import InputError
from edgevision.kiosk.service.access.addresses import ip_of
from edgevision.kiosk.service.access.asgi import Request, header_values
from edgevision.kiosk.service.access.refusals import Refusal

_MOST_CHARACTERS = 260  # 253 of a name, a colon, a port
_OWN = frozenset({"localhost", "127.0.0.1", "::1"})
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253}\.?)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class HostName:
    """A host as ``Host`` and ``Origin`` write it. ``host``: a name in small letters, or an address in its short form. ``port``: None
    where none is written."""

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> HostName | None:
        """None for anything that is no host with an optional port.

        >>> HostName.parse("[0:0:0:0:0:0:0:1]:8000")
        HostName(host='::1', port=8000)
        """
        return _parsed(text) if len(text) <= _MOST_CHARACTERS else None


@lru_cache(256)
def _parsed(text: str) -> HostName | None:
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    host = plain_host(match["host"])
    port = None if match["port"] is None else int(match["port"])
    return None if host is None or (port is not None and port > 65535) else HostName(host, port)


def plain_host(text: str) -> str | None:
    """A name or address in one spelling; None for anything else."""
    address = ip_of(text)
    if address is not None:
        return str(address)
    name = text.lower().removesuffix(".")
    return name if _NAME.fullmatch(name) else None


def own_names(host: str, names: Collection[str]) -> frozenset[str]:
    """What a service that listens at ``host`` answers to, besides the address that a connection came in at.

    Raises InputError for a name that is none.
    """
    allowed = set(_OWN)
    for given in (*names, host):
        plain = plain_host(given)
        if plain is None:
            raise InputError(
                f"--host-name and --host are a name or an address without port, such as till-3.local, got {given!r}"
            )
        allowed.add(plain)
    return frozenset(allowed - {"0.0.0.0", "::"})  # these mean every address, and are nobody's name


def check_host(request: Request, allowed: Collection[str]) -> Refusal | None:
    """None where the request is for us: its one Host is among ``allowed``, or the very address at which it came in."""
    values = header_values(request, b"host")
    if len(values) != 1:
        return Refusal(400, f"expected one header Host, got {len(values)}")
    name = HostName.parse(values[0])
    if name is None:
        return Refusal(400, "the header Host is no host name or address with an optional port")
    if name.host in allowed or name.host == _address_reached(request):
        return None
    return Refusal(
        421,
        f"this service does not answer to {name.host}; reach it as localhost, or start it with --host-name {name.host}",
    )


def _address_reached(request: Request) -> str | None:
    """The address of ours that the connection came in at. A name never is one, so rebinding gains nothing."""
    server = request.get("server")
    address = None if server is None else ip_of(str(server[0]))
    return None if address is None else str(address)
