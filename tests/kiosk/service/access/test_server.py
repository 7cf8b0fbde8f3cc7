"""What uvicorn does with our protocol, over real sockets: bounds on connections and times, TLS, endings, and what a good client sees."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from guarded_server import GOOD, LOG_LINE, QUICK, GuardedServer, running, statuses

from edgevision.errors import EdgeVisionError, InputError
from edgevision.kiosk.service.access.server_options import server_options
from edgevision.kiosk.service.access.settings import AccessSettings
from edgevision.kiosk.service.access.tokens import revoke_token

pytestmark = pytest.mark.requires("serve")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    with running(tmp_path_factory.mktemp("server")) as one:
        yield one


def authorized(server: GuardedServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def head(server: GuardedServer, target: str, method: str = "GET", *lines: str) -> bytes:
    text = "\r\n".join(
        [f"{method} {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {server.token}", *lines, "", ""]
    )
    return text.encode()


def open_websocket(server: GuardedServer, connection: socket.socket, target: str = "/ws") -> bytes:
    lines = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    connection.sendall(head(server, target, "GET", *lines))
    answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return answer


# ---- good clients ----


def test_many_requests_on_one_connection(server):
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for number in range(20):
        client.request("POST", "/json", body=json.dumps({"n": number}), headers=authorized(server))
        answer = client.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {"n": number})
        assert answer.getheader("server") is None
        assert answer.getheader("x-content-type-options") == "nosniff"
    client.close()


def test_pipelined_requests_are_answered_in_their_order(server):
    bodies = [json.dumps({"n": number}).encode() for number in range(5)]
    sent = b"".join(head(server, "/json", "POST", f"Content-Length: {len(body)}") + body for body in bodies)
    answer = server.ask(sent + GOOD % server.token.encode())
    assert [answer.index(b'{"n":%d}' % number) for number in range(5)] == sorted(
        answer.index(b'{"n":%d}' % number) for number in range(5)
    )
    assert statuses(answer)[-1] == 200


def test_a_slow_but_steady_body_is_taken(server):
    text = json.dumps({"n": 1}).encode() + b" " * 60_000
    pieces = [
        text[place : place + 6000] for place in range(0, len(text), 6000)
    ]  # three times the least rate, for twice the pause
    answer = server.ask(
        head(server, "/json", "POST", f"Content-Length: {len(text)}", "Connection: close"), *pieces, pause_s=0.1
    )
    assert statuses(answer) == [200]


def test_a_client_that_asks_beforehand_is_told_to_go_on(server):
    with server.connect() as connection:
        connection.sendall(
            head(server, "/json", "POST", "Content-Length: 8", "Expect: 100-continue", "Connection: close")
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        assert statuses(server.talk(connection, [b'{"n": 1}'])) == [200]


def test_who_sends_too_much_reads_why(server):
    """Also in the middle of a long body, which the server does not take any more."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.suppress(ConnectionError):
        client.request("POST", "/json", body=bytes(5_000_000), headers=authorized(server))
    answer = client.getresponse()
    assert answer.status == 413
    assert "300000 bytes" in json.loads(answer.read())["error"]
    client.close()


def test_a_body_that_nobody_reads_is_not_taken_for_ever(server):
    """The route has answered; the rest of 900 kB would come at the least rate for long."""
    began_s = time.monotonic()
    pieces = [b"x" * 1000] * 100
    answer = server.ask(head(server, "/ignore", "POST", "Content-Length: 900000"), *pieces, pause_s=0.05)
    assert statuses(answer) == [200]
    assert time.monotonic() - began_s < 100 * 0.05  # it ended while we were sending
    assert server.wait_until_at_rest()


# ---- times ----


def test_an_idle_connection_is_closed(server):
    with server.connect() as connection:
        connection.sendall((GOOD % server.token.encode()).replace(b"Connection: close\r\n", b""))
        began_s = time.monotonic()
        answer = server.talk(connection, [])
    assert statuses(answer) == [200]
    assert time.monotonic() - began_s >= QUICK["keep_alive_s"] * 0.9
    assert server.wait_until_at_rest()


@pytest.mark.parametrize("target", ["/endless", "/ws"])
def test_who_does_not_read_is_cut(server, target):
    """An answer without end, or the answers to pings: nothing piles up."""
    before_mb = server.resident_mb
    with server.connect() as connection:
        if target == "/ws":
            open_websocket(server, connection)
            ping = b"\x89\xfd\x00\x00\x00\x00" + bytes(125)
            with contextlib.suppress(OSError):
                connection.settimeout(QUICK["write_s"] + 4)
                for _ in range(500):
                    connection.sendall(ping * 1000)
        else:
            connection.sendall(head(server, target))
        assert server.wait_until_at_rest(limit_s=QUICK["write_s"] + 5)
        assert server.resident_mb - before_mb < 30


def test_a_message_that_does_not_end_is_cut(server):
    with server.connect() as connection:
        open_websocket(server, connection)
        connection.sendall(b"\x82\xfe\xff\xff\x00\x00\x00\x00" + bytes(100))
        assert server.talk(connection, [b"x"] * 40, pause_s=0.05, limit_s=QUICK["message_s"] + 5) == b""
    assert server.wait_until_at_rest()


def test_a_websocket_that_is_never_quiet_stays(server):
    """Each piece ends one message and begins the next: the time is of one message, not of all."""
    mask = b"\x00\x00\x00\x00"
    start, end = b"\x81\x82" + mask + b"h", b"i"
    with server.connect() as connection:
        open_websocket(server, connection)
        connection.sendall(start)
        for _ in range(round(QUICK["message_s"] * 2 / 0.2)):
            time.sleep(0.2)
            connection.sendall(end + start)
            assert json.loads(connection.recv(4096)[2:])["bytes"] == 2


def test_a_quiet_websocket_stays(server):
    with server.connect() as connection:
        open_websocket(server, connection)
        time.sleep(QUICK["keep_alive_s"] + 0.3)
        connection.sendall(b"\x81\x82\x00\x00\x00\x00hi")
        assert json.loads(connection.recv(4096)[2:])["bytes"] == 2


# ---- failures of the app ----


def test_a_failure_tells_an_id_and_one_line_of_the_log_has_it(server):
    answer = server.ask(head(server, "/fail?x=%0aERROR%20root:%20forged", "GET", "Connection: close"))
    assert statuses(answer) == [500]
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert told["error"] == "internal error"
    lines = [line for line in server.log_lines() if told["id"] in line]
    assert len(lines) == 1
    assert "secret of" in lines[0]
    assert all(LOG_LINE.match(line) for line in server.log_lines())


def test_a_failure_in_the_middle_ends_the_answer_short(server):
    answer = server.ask(head(server, "/fail-late"))
    assert statuses(answer) == [200]
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("early", [False, True])
def test_a_websocket_whose_app_fails(server, early):
    with server.connect() as connection:
        if early:
            lines = (
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            )
            answer = server.talk(connection, [head(server, "/ws-fail?early=1", "GET", *lines)])
            assert statuses(answer) == [500]
            assert b"internal error" in answer
        else:
            closing = b"\x88\x82\x00\x00\x00\x00\x03\xf3"  # 1011, as it is told
            answer = open_websocket(server, connection, "/ws-fail") + server.talk(connection, [closing])
            assert b"\x88" in answer
            assert b"internal error" in answer
        assert b"secret" not in answer


def test_a_websocket_by_its_protocol(server):
    lines = ["GET /ws HTTP/1.1", "Host: localhost", "Origin: http://localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Sec-WebSocket-Protocol: edgevision, edgevision.token.{server.token}", "", ""]  # fmt: skip
    with server.connect() as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-protocol: edgevision\r\n" in answer.lower()
        assert b"sec-websocket-extensions" not in answer.lower()
        connection.sendall(b"\x81\x82\x00\x00\x00\x00hi")
        assert json.loads(connection.recv(4096)[2:]) == {"bytes": 2, "offered": ["edgevision"]}


# ---- connections ----


def test_no_more_connections_than_allowed(tmp_path):
    with running(tmp_path, limits={"connections": 5, "header_s": 5.0}) as server, contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(server.connect()).sendall(b"GET ")
        time.sleep(0.2)
        assert statuses(server.good()) == []  # cut
        stack.close()
        assert server.wait_until_at_rest()
        assert statuses(server.good()) == [200]
        assert sum("too many" in line for line in server.log_lines()) == 1


def test_places_are_given_back_by_every_kind_of_end(tmp_path):
    with running(tmp_path, limits={"connections": 3}) as server:
        for _ in range(4):
            assert statuses(server.good()) == [200]
            assert statuses(server.ask(b"nonsense\r\n\r\n")) == [400]
            assert statuses(server.ask(head(server, "/read", "POST"))) == [405]
            with server.connect() as connection:
                open_websocket(server, connection)
            with server.connect() as connection:
                open_websocket(server, connection)
                connection.sendall(b"\xff\xff\xff\xff")
            with server.connect() as connection:
                connection.sendall(head(server, "/endless"))
                connection.recv(100)
            server.connect().close()
            assert server.wait_until_at_rest()
        assert statuses(server.good()) == [200]


def test_a_revoked_token_ends_what_it_began(tmp_path):
    with running(tmp_path) as server, server.connect() as stream, server.connect() as websocket:
        stream.sendall(head(server, "/endless"))
        assert stream.recv(100).startswith(b"HTTP/1.1 200 ")
        open_websocket(server, websocket)
        revoke_token(tmp_path / "tokens.json", "till")
        assert len(server.talk(stream, [], limit_s=5)) < 1 << 30
        websocket.sendall(b"\x81\x82\x00\x00\x00\x00hi")
        assert websocket.recv(100)[:4] == b"\x88\x17\x03\xf0"  # 1008
        assert statuses(server.good()) == [401]


# ---- TLS ----


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    with running(tmp_path_factory.mktemp("secure"), tls=True, host="0.0.0.0", limits={"connections": 8}) as one:
        yield one


@pytest.mark.requires("openssl")
def test_over_tls(secure):
    assert secure.tls is not None
    client = http.client.HTTPSConnection("localhost", secure.port, context=secure.tls, timeout=10)
    client.request(
        "POST", "/json", body=b'{"n": 7}', headers={**authorized(secure), "Origin": f"https://localhost:{secure.port}"}
    )
    assert client.getresponse().status == 200
    client.close()
    client.request(
        "POST", "/json", body=b'{"n": 7}', headers={**authorized(secure), "Origin": f"http://localhost:{secure.port}"}
    )
    assert client.getresponse().status == 403  # another scheme, another page
    client.close()
    with secure.connect() as connection:
        open_websocket(secure, connection)
        connection.sendall(b"\x81\x82\x00\x00\x00\x00hi")
        assert json.loads(connection.recv(4096)[2:])["bytes"] == 2
    with secure.connect() as connection:
        assert statuses(secure.talk(connection, [b"nonsense\r\n\r\n"])) == [400]
    assert secure.wait_until_at_rest()


@pytest.mark.requires("openssl")
@pytest.mark.parametrize(
    "sent", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes(range(256)) * 20]
)
def test_what_is_no_tls_is_cut(secure, sent):
    with socket.create_connection(("127.0.0.1", secure.port), timeout=10) as raw:
        answer = secure.talk(raw, [sent], limit_s=QUICK["handshake_s"] + 5)
    assert b"HTTP" not in answer
    assert secure.wait_until_at_rest()
    assert statuses(secure.good()) == [200]


@pytest.mark.requires("openssl")
def test_no_first_byte_of_tls_is_lost(tmp_path):
    """Clients say hello at once; each is heard."""
    with (
        running(tmp_path, tls=True, host="0.0.0.0", limits={"handshake_s": 10.0}) as server,
        ThreadPoolExecutor(6) as pool,
    ):
        assert [statuses(answer) for answer in pool.map(lambda _: server.good(), range(150))] == [[200]] * 150
        assert server.wait_until_at_rest()


@pytest.mark.requires("openssl")
def test_silent_ones_are_counted_before_tls_is_agreed(secure):
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(socket.create_connection(("127.0.0.1", secure.port), timeout=10))
        time.sleep(0.2)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            secure.connect()
        assert secure.wait_until_at_rest(limit_s=QUICK["handshake_s"] + 5)
        assert statuses(secure.good()) == [200]


def test_the_server_stops_with_connections_open(tmp_path):
    with (
        running(tmp_path, limits={"header_s": 30.0}) as server,
        server.connect() as idle,
        server.connect() as begun,
        server.connect() as websocket,
    ):
        begun.sendall(b"GET /re")
        open_websocket(server, websocket)
        idle.sendall(b"")
        time.sleep(0.1)
        server.process.terminate()
        assert server.process.wait(10) in {0, -15}
        assert [line for line in server.log_lines() if '"level": "error"' in line or "Traceback" in line] == []


# ---- what uvicorn is told ----


def test_an_open_address_gets_no_options():
    with pytest.raises(InputError, match="--insecure"):
        server_options(AccessSettings(host="0.0.0.0"))


def test_options():
    import uvicorn

    options = server_options(AccessSettings())
    config = uvicorn.Config(lambda *_: None, port=0, log_config=None, **options)
    assert (config.host, config.proxy_headers, config.server_header, config.ws_per_message_deflate) == (
        "127.0.0.1",
        False,
        False,
        False,
    )
    assert config.workers == 1


def test_every_method_that_bounds_something_is_one_that_uvicorn_calls():
    """Also that the list of them is whole: what our classes define and uvicorn's do too."""
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

    from edgevision.kiosk.service.access import uvicorn_http, uvicorn_websocket

    for ours, theirs, listed in [
        (uvicorn_http.http_class(), H11Protocol, uvicorn_http._OVERRIDDEN),
        (uvicorn_websocket.websocket_class(), WSProtocol, uvicorn_websocket._OVERRIDDEN),
    ]:
        overriding = {name for name in vars(ours) if name in vars(theirs) and not name.startswith("__")}
        assert overriding <= set(listed)
        assert all(name in vars(theirs) for name in listed)


def test_a_uvicorn_that_works_otherwise_is_refused():
    from edgevision.kiosk.service.access.uvicorn_known import check_methods

    check_methods(str, ["upper"])
    with pytest.raises(EdgeVisionError, match=r"str has no bounded, other.*pip install 'uvicorn"):
        check_methods(str, ["upper", "bounded", "other"])
