"""The socket that the service listens with."""

from __future__ import annotations

import socket

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.server import ServerOptions, listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answers_go_out_at_once(host):
    """Without TCP_NODELAY the body of an answer waits 40 ms for the client's acknowledgement of its head."""
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with listen(ServerOptions(host=host, port=0)) as listener, socket.create_connection(listener.getsockname()[:2]):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_in_use_is_refused():
    with listen(ServerOptions(port=0)) as listener, pytest.raises(InputError, match="cannot listen on"):
        listen(ServerOptions(port=listener.getsockname()[1]))
