"""Which heads are taken, judged by their bytes and as parsed."""

from __future__ import annotations

import pytest

from edgevision.kiosk.service.access.heads import Head, check_bytes, check_head
from edgevision.kiosk.service.access.settings import Limits

LIMITS = Limits(header_bytes=1000, headers=8, target_bytes=100)
START = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "received",
    [
        b"", b"G", START, START + b"\r\n", START + b"\r\nbody \x00 \n Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        START + b"A: b\tc\r\n\r\n", START + b"A:\r\n\r\n", START + b"X: 1\r\n" * 7 + b"\r\n", START + "A: ä\r\n\r\n".encode(),
    ],
)  # fmt: skip
def test_heads_that_are_well(received):
    assert check_bytes(received, LIMITS) is None


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (START + b"X: 1\r\n" * 8 + b"\r\n", 431),
        (START + b"X: " + b"1" * 1000, 431),
        (START + b"X: " + b"1" * 1000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 1000, 414),
        (b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (START + b"A: b\n\r\n", 400), (b"GET / HTTP/1.1\nHost: localhost\n\n", 400), (START + b"\n", 400),
        (START + b"A: b\rC: d\r\n\r\n", 400), (START + b"A: b\x00\r\n\r\n", 400), (START + b"A: \x1b[2J\r\n\r\n", 400), (START + b"A: \x7f\r\n\r\n", 400),
        (START + b"A: b\r\n c\r\n\r\n", 400), (START + b"A: b\r\n\tc\r\n\r\n", 400), (START + b"A : b\r\n\r\n", 400),
        (START + b"Content-Length: 5\r\ncontent-length: 5\r\n\r\n", 400), (START + b"Host: localhost\r\n\r\n", 400),
        *((START + b"Content-Length: %s\r\n\r\n" % value, 400) for value in (b"", b"5, 5", b"+5", b"-5", b"5 5", b"0x5", b"5;")),
        (START + b"Origin: a\r\nOrigin: a\r\n\r\n", 400), (START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (START + b"Authorization: Bearer a\r\nAuthorization: Bearer a\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_heads_that_are_not(received, status):
    refusal = check_bytes(received, LIMITS)
    assert refusal is not None
    assert refusal.status == status


def head(target: bytes = b"/", *headers: tuple[bytes, bytes], method: bytes = b"GET", version: bytes = b"1.1") -> Head:
    return Head(method, target, version, [(b"host", b"localhost"), *headers])


WEBSOCKET = ((b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"WebSocket"), (b"sec-websocket-version", b"13"),
             (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="))  # fmt: skip


@pytest.mark.parametrize(
    "one",
    [head(), head(b"/v1/products/7/picture?x=%2e%2e"), head(b"/a..b/...//c"), head(b"/%C3%A4"), head(version=b"1.0"), head(b"/", *WEBSOCKET),
     head(b"/", (b"content-length", b"12")), head(b"/", (b"transfer-encoding", b"chunked")), head(b"/", (b"expect", b"100-Continue")),
     head(b"/", *WEBSOCKET, (b"content-length", b"0")), head(b"/", (b"upgrade", b"h2c"), (b"connection", b"upgrade"))],
)  # fmt: skip
def test_requests_that_are_well(one):
    assert check_head(one, LIMITS) is None


def without(name: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(pair for pair in WEBSOCKET if pair[0] != name)


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (head(version=b"2.0"), 400), (head(version=b"0.9"), 400), (head(method=b"TRACE"), 405), (head(method=b"CONNECT"), 405),
        (head(method=b"get"), 405), (head(b"/" + b"a" * 100), 414), (head(b"http://localhost/"), 400), (head(b"*"), 400),
        (head(b"localhost:80"), 400), (head(b"/#x"), 400), (head(b"/a/../b"), 400), (head(b"/%2e%2e/b"), 400), (head(b"/.%2E/b"), 400),
        (head(b"/..%2fb"), 400), (head(b"/a/."), 400), (head(b"/..%5cb"), 400), (head(b"/a%00"), 400), (head(b"/a%0d%0aX:1"), 400),
        (head(b"/%ff"), 400), (head(b"/%c0%ae"), 400),
        (head(b"/", (b"content-length", b"5"), (b"transfer-encoding", b"chunked")), 400),
        (head(b"/", (b"transfer-encoding", b"chunked"), version=b"1.0"), 400),
        (head(b"/", (b"content-length", b"9" * 19)), 400),
        (head(b"/", (b"expect", b"200-maybe")), 417),
        (head(b"/", *WEBSOCKET, method=b"POST"), 400), (head(b"/", *WEBSOCKET, (b"content-length", b"5")), 400),
        (head(b"/", *WEBSOCKET, (b"transfer-encoding", b"chunked")), 400), (head(b"/", *without(b"sec-websocket-key")), 400),
        (head(b"/", *without(b"sec-websocket-key"), (b"sec-websocket-key", b"short")), 400), (head(b"/", *without(b"sec-websocket-version")), 426),
        (head(b"/", *without(b"sec-websocket-version"), (b"sec-websocket-version", b"8")), 426),
        (head(b"/", *WEBSOCKET, (b"sec-websocket-protocol", b"\xe4")), 400),
    ],
)  # fmt: skip
def test_requests_that_are_not(one, status):
    refusal = check_head(one, LIMITS)
    assert refusal is not None
    assert refusal.status == status
