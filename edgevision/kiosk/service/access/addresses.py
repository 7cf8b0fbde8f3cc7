"""Where the service may listen: at this machine's own address as it likes, elsewhere with tokens and TLS."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from edgevision.errors import InputError
from edgevision.kiosk.service.access.settings import AccessSettings

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(1024)  # each request has two or three, mostly the same
def ip_of(text: str) -> IpAddress | None:
    """The address that ``text`` is, an IPv4 address in IPv6's clothes as IPv4; None for a name.

    >>> ip_of("::ffff:10.0.0.7")
    IPv4Address('10.0.0.7')
    """
    try:
        address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_this_machine(host: str) -> bool:
    """Whether only programs of this machine reach ``host``."""
    address = ip_of(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def check_address(settings: AccessSettings) -> None:
    """Raise InputError, with the cure, unless the service may listen at ``settings.host``.

    At this machine's own address it always may. At others it needs tokens and TLS, or ``insecure``: the others on the network
    could use it, send it pictures, and read those of the shoppers.
    """
    if (settings.certificate is None) != (settings.key is None):
        raise InputError(
            "--certificate and --key belong together; give both, or --tls for a certificate that is made for you"
        )
    if settings.tls and settings.certificate is not None:
        raise InputError("--tls makes a certificate, and --certificate gives one; leave one of them out")
    if is_this_machine(settings.host) or settings.insecure:
        return
    missing = []
    if settings.tokens is None:
        missing.append("tokens (edgevision token add NAME)")
    if not settings.uses_tls:
        missing.append("TLS (--tls, or --certificate and --key)")
    if missing:
        where = f"--host {settings.host} lets other machines in"
        raise InputError(
            f"{where}, which needs {' and '.join(missing)}; or stay at 127.0.0.1, or say --insecure and accept that anybody there can use it"
        )
