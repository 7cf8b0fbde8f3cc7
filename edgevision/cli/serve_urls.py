"""The addresses to tell people, of a service that listens at every address of the machine."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence

_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of a network interface
_LOOPBACK = "127.0.0.1"


def is_every_address(host: str) -> bool:
    """Whether ``host`` means every address of the machine. It is nobody's name: the service refuses it in a URL."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def urls_for_people(url: str, host: str, names: Sequence[str]) -> list[str]:
    """Where a browser reaches what listens at ``url``: each of ``names``, else this machine's addresses. ``url`` alone where it listens at one address.

    >>> urls_for_people("https://0.0.0.0:8765", "0.0.0.0", ["till-3.local"])
    ['https://till-3.local:8765']
    """
    if not is_every_address(host):
        return [url]
    scheme, port = url.partition("://")[0], url.rpartition(":")[2]
    reached = names or own_addresses() or [_LOOPBACK]
    return [f"{scheme}://[{one}]:{port}" if ":" in one else f"{scheme}://{one}:{port}" for one in reached]


def own_addresses() -> list[str]:
    """IPv4 addresses of this machine that others may reach. Asks nobody but the system; empty where it does not tell."""
    found = [address for _, name in socket.if_nameindex() if (address := _address_of(name)) is not None]
    return [one for one in dict.fromkeys(found) if not ipaddress.ip_address(one).is_loopback]


def _address_of(interface: str) -> str | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            answer = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:  # it has none
            return None
    return socket.inet_ntoa(answer[20:24])
