"""Webhooks against a real HTTP server in a thread: signed, retried, in order, and never to another host."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import self_signed
from stream_items import T0_NS, change, event, result, threads_named, wait_until

from edgevision.errors import InputError
from edgevision.streams.backoff import Pace
from edgevision.streams.camera_state import State
from edgevision.streams.sinks import courier as courier_module
from edgevision.streams.sinks.courier import SpoolOptions
from edgevision.streams.sinks.messages import MessageMaker
from edgevision.streams.sinks.spool import Spool
from edgevision.streams.sinks.webhook import SIGNATURE, WebhookOptions, WebhookSink, sign, verify

SECRET = "s3cret"


class Server(ThreadingHTTPServer):
    """Answers 204, or what ``answers`` says next: a status, (status, headers), or None to cut the connection. ``bad_ids``: a
    request that holds one of these is answered with 400; ``broken_ids``: with this status, or with None."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int = 0, certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answers: list[Any] = []
        self.bad_ids: set[str] = set()
        self.broken_ids: dict[str, int | None] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.accepted: list[dict[str, Any]] = []
        self.connections = 0
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join(5.0)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.requests.append((self.path, dict(self.headers), body))
        messages = json.loads(body)
        answer = server.answers.pop(0) if server.answers else 204
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        if any(one["id"] in server.bad_ids for one in messages):
            status = 400
        for one in messages:
            status = server.broken_ids.get(one["id"], status)
        if status is None:
            self.close_connection = True
            self.connection.close()
            return
        if status // 100 == 2:
            server.accepted += messages
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier_module, "CAREFUL", Pace(0.05, 0.05))


def opened(tmp_path: Path, url: str, **options: Any) -> WebhookSink:
    sink = WebhookSink(WebhookOptions(url, **options), SpoolOptions(tmp_path / "s.spool"))
    sink.courier._pace = Pace(0.02, 0.05)
    sink.open()
    return sink


def ids(server: Server) -> list[str]:
    return [one["id"] for one in server.accepted]


def test_items_arrive_signed_as_an_array_of_messages(tmp_path, server):
    sink = opened(tmp_path, f"http://127.0.0.1:{server.port}/hook?token=a", secret=SECRET, user="till", password="p:w")
    sink.write(event(1))
    sink.write(change(State.STALLED))
    sink.write(result(3))
    wait_until(lambda: len(server.accepted) == 3)
    sink.close(5.0)
    path, headers, body = server.requests[0]
    assert path == "/hook?token=a"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"till:p:w").decode()
    now_s = int(headers[SIGNATURE].split(",")[0].removeprefix("t="))
    assert verify(SECRET, body, headers[SIGNATURE], now_s=now_s)
    first, second, third = server.accepted
    assert first == {"late": False, "kind": "event", "id": "event-1", **event(1).to_dict()}
    assert (second["kind"], second["state"], second["camera"]) == ("state", "stalled", "till")
    assert (third["kind"], third["sequence"], third["captured_ns"]) == ("result", 3, T0_NS + 120_000_000)
    assert len({one["id"] for one in server.accepted}) == 3


@pytest.mark.requires("openssl")
def test_the_signature_is_what_openssl_makes_of_time_and_body(tmp_path):
    body = '[{"é": 1}]'.encode()
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-r"],
        input=b"1790000000." + body,
        capture_output=True,
        check=True,
    )
    assert sign(SECRET, body, 1_790_000_000) == f"t=1790000000,v1={made.stdout.split()[0].decode()}"


@pytest.mark.parametrize(
    ("secret", "body", "header", "now_s"),
    [
        ("other", b"[]", sign(SECRET, b"[]", 1000), 1000),
        (SECRET, b"[1]", sign(SECRET, b"[]", 1000), 1000),
        (SECRET, b"[]", sign(SECRET, b"[]", 1000), 1301),  # replayed later
        (SECRET, b"[]", sign(SECRET, b"[]", 1000), 699),
        (SECRET, b"[]", sign(SECRET, b"[]", 1000).replace("t=1000", "t=1001"), 1001),  # made younger
        (SECRET, b"[]", "", 1000),
        (SECRET, b"[]", "t=,v1=", 1000),
    ],
)
def test_a_wrong_signature_is_told(secret, body, header, now_s):
    assert verify(SECRET, b"[]", sign(SECRET, b"[]", 1000), now_s=1300)
    assert not verify(secret, body, header, now_s=now_s)


@pytest.mark.parametrize("trouble", [500, 503, 429, 408, None, 401, 404, 301, 302])
def test_what_may_be_cured_is_sent_again_late_and_in_order(tmp_path, server, trouble):
    server.answers = [trouble, trouble]
    sink = opened(tmp_path, f"http://127.0.0.1:{server.port}/")
    for number in range(20):
        sink.write(event(number))
    wait_until(lambda: len(server.accepted) == 20)
    sink.write(event(99))
    wait_until(lambda: len(server.accepted) == 21)
    assert ids(server) == [f"event-{number}" for number in (*range(20), 99)]
    assert server.accepted[0]["late"]
    assert not server.accepted[-1]["late"]
    assert sink.courier.spool.dropped == {}
    sink.close(5.0)


@pytest.mark.parametrize("bad", [[0], [13], [5, 6, 19], list(range(20))])
def test_bad_messages_are_found_and_dropped_and_take_no_other_with_them(tmp_path, server, bad):
    server.bad_ids = {f"event-{number}" for number in bad}
    server.answers = [503]  # so that they come as one batch
    sink = opened(tmp_path, f"http://127.0.0.1:{server.port}/")
    for number in range(20):
        sink.write(event(number))
    wait_until(lambda: sink.courier.spool.pending == 0)
    assert ids(server) == [f"event-{number}" for number in range(20) if number not in bad]
    assert sink.courier.refused == len(bad)
    sink.close(5.0)
    assert len(server.requests) < 100  # by halves, not for ever


@pytest.mark.parametrize("how", [None, 500])
def test_a_message_at_which_the_server_fails_blocks_no_other(tmp_path, server, how):
    """It cuts the connection, or runs into a mistake of its own, at one message alone."""
    server.broken_ids = {"event-7": how}
    spool = Spool(tmp_path / "s.spool")
    for number in range(20):
        message = MessageMaker().message(event(number))
        spool.append(message.id, message.body)
    spool.close()
    sink = opened(tmp_path, f"http://127.0.0.1:{server.port}/")
    wait_until(lambda: sink.courier.spool.pending == 0)
    assert ids(server) == [f"event-{number}" for number in range(20) if number != 7]
    assert sink.courier.refused == 1
    sink.close(5.0)
    line = json.loads((tmp_path / "s.spool.refused").read_text("utf-8"))
    assert line["id"] == "event-7"
    assert ("500" in line["reason"]) is (how == 500)


def test_a_secret_path_stands_in_no_fault(tmp_path):
    """Whoever knows the path of such a webhook may post to it."""
    from stream_items import free_port

    sink = opened(tmp_path, f"http://127.0.0.1:{free_port()}/services/hush?hush")
    sink.write(event(0))
    wait_until(lambda: "cannot connect" in sink.courier.fault)
    assert "hush" not in sink.courier.fault + sink.name + repr(sink.courier._carrier._options)
    assert not threads_named("hush")
    sink.close(5.0)


@pytest.mark.parametrize("status", [404, 500, 503, 307])
def test_no_answer_brings_a_secret_path_into_a_fault(tmp_path, server, status):
    server.answers = [status] * 100
    sink = opened(tmp_path, f"http://127.0.0.1:{server.port}/services/hush")
    sink.write(event(0))
    wait_until(lambda: sink.courier.fault != "")
    assert "hush" not in sink.courier.fault
    sink.close(5.0)


def test_a_server_that_comes_later_gets_everything(tmp_path, server):
    port = server.port
    server.stop()
    sink = opened(tmp_path, f"http://127.0.0.1:{port}/")
    for number in range(5):
        sink.write(event(number))
    wait_until(lambda: "refused" in sink.courier.fault)
    late = Server(port)
    wait_until(lambda: len(late.accepted) == 5)
    assert ids(late) == [f"event-{number}" for number in range(5)]
    assert all(one["late"] for one in late.accepted)
    sink.close(5.0)
    late.stop()


def test_one_connection_serves_many_requests_and_a_closed_one_is_made_again(tmp_path, server):
    sink = opened(tmp_path, f"http://127.0.0.1:{server.port}/")
    for number in range(3):
        sink.write(event(number))
        wait_until(lambda number=number: len(server.accepted) == number + 1)
    assert server.connections == 1
    server.answers = [(204, {"Connection": "close"})]
    for number in range(3, 6):
        sink.write(event(number))
        wait_until(lambda number=number: len(server.accepted) == number + 1)
    assert server.connections == 2
    assert not any(one["late"] for one in server.accepted)
    sink.close(5.0)


def test_a_redirect_is_followed_on_the_same_host_alone(tmp_path, server):
    other = Server()
    port = server.port
    server.answers = [(307, {"Location": "/moved?x=1"}), 204]
    sink = opened(tmp_path, f"http://127.0.0.1:{port}/")
    sink.write(event(0))
    wait_until(lambda: len(server.accepted) == 1)
    assert [path for path, _, _ in server.requests] == ["/", "/moved?x=1"]
    places = [
        f"http://127.0.0.1:{other.port}/",
        f"http://localhost:{port}/",
        f"https://127.0.0.1:{port}/",
        "//evil/",
        "",
    ]
    for place in places:
        server.answers = [(307, {"Location": place})]
        sink.write(event(len(server.accepted)))
        wait_until(lambda: "redirects to" in sink.courier.fault or not server.answers)
        wait_until(lambda: sink.courier.spool.pending == 0)
    server.answers = [(308, {"Location": "/"})] * 20
    sink.write(event(999))
    wait_until(lambda: "more than 3 redirects" in sink.courier.fault)
    server.answers.clear()
    wait_until(lambda: sink.courier.spool.pending == 0)
    sink.close(5.0)
    assert not other.requests
    other.stop()


@pytest.mark.requires("openssl")
def test_tls_is_verified(tmp_path):
    certificate, key = self_signed(tmp_path / "tls")
    server = Server(certificate=(certificate, key))
    url = f"https://localhost:{server.port}/"
    sink = opened(tmp_path / "a", url)
    sink.write(event(0))
    wait_until(lambda: "cannot be verified" in sink.courier.fault)
    sink.close(5.0)
    assert not server.requests
    wrong_name = opened(tmp_path / "b", f"https://127.0.0.1:{server.port}/", ca_file=str(certificate))
    wrong_name.write(event(1))
    wait_until(lambda: "cannot be verified" in wrong_name.courier.fault)
    wrong_name.close(5.0)
    assert not server.requests
    sink = opened(tmp_path / "a", url, ca_file=str(certificate))
    wait_until(lambda: ids(server) == ["event-0"])
    sink.close(5.0)
    server.stop()


def test_closing_is_bounded_where_the_server_hangs(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and says nothing
        sink = opened(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=60.0)
        sink.write(event(0))
        wait_until(lambda: sink.courier._carrier._connection is not None and sink.courier._carrier._connection.sock)
        sink.close(0.1)
        wait_until(lambda: not threads_named("edgevision http"), 5.0)
    spool = Spool(tmp_path / "s.spool")
    assert [one.id for one in spool.waiting()] == ["event-0"]
    spool.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://host/"}, "http://HOST"),
        ({"url": "https:///path"}, "http://HOST"),
        ({"url": "https://user:pass@host/"}, "apart"),
        ({"url": "http://host/", "ca_file": "x"}, "https://"),
        ({"url": "http://host/", "timeout_s": 0}, "timeout_s"),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=words) as caught:
        WebhookOptions(**options)
    assert "pass@" not in str(caught.value)


def test_secrets_are_not_shown():
    shown = repr(WebhookOptions("https://host/", user="u", password="hush", secret="hush"))
    assert "hush" not in shown
