"""Requests of attackers, over raw sockets, against a real server: each is refused with 4xx or cut, and the server goes on as before.

Each case is a good request with one thing wrong: with that set right the server answers 200 (``test_the_good_ones_are_good``). So none is
refused for another reason than its own.
"""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from guarded_server import LOG_LINE, GuardedServer, running, statuses
from picture_files import jpeg_of_size, png_chunk, png_of_size

from edgevision.decode import encode_png

pytestmark = pytest.mark.requires("serve")

GENERATED = 900
TOKEN = b"@TOKEN@"  # the server's, filled in when a case is sent
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


@dataclass(frozen=True)
class Case:
    """``pieces`` are sent one after another, ``pause_s`` apart. ``status``: what the answer must be, where one is expected; else any 4xx, or
    none. ``slow``: it takes until a timer of the server ends it."""

    name: str
    pieces: tuple[bytes, ...]
    status: int | None = None
    pause_s: float = 0.0
    slow: bool = False


def request(
    method: bytes = b"GET", target: bytes = b"/read", headers: tuple[bytes, ...] = (), body: bytes = b"", version: bytes = b"HTTP/1.1",
    host: bytes | None = b"localhost", token: bytes | None = b"Authorization: Bearer " + TOKEN, end: bytes = b"\r\n",
) -> bytes:  # fmt: skip
    lines = [b"%s %s %s" % (method, target, version)]
    if host is not None:
        lines.append(b"Host: " + host)
    if token is not None:
        lines.append(token)
    return end.join([*lines, *headers, b"", b""]) + body


def post(body: bytes, *headers: bytes, target: bytes = b"/json", length: bytes | None = None) -> bytes:
    announced = str(len(body)).encode() if length is None else length
    return request(b"POST", target, (b"Content-Length: " + announced, *headers), body)


def chunked(*chunks: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + last


def post_chunked(body: bytes, *headers: bytes, target: bytes = b"/json") -> bytes:
    return request(b"POST", target, (b"Transfer-Encoding: chunked", *headers), body)


def upgrade(*headers: bytes, key: bytes = b"Sec-WebSocket-Key: " + KEY, version: bytes = b"Sec-WebSocket-Version: 13", method: bytes = b"GET",
            target: bytes = b"/ws", rest: bytes = b"", token: bytes | None = b"Authorization: Bearer " + TOKEN) -> bytes:  # fmt: skip
    lines = tuple(line for line in (b"Connection: Upgrade", b"Upgrade: websocket", key, version, *headers) if line)
    return request(method, target, lines, rest, token=token)


def frame(
    opcode: int,
    data: bytes = b"",
    *,
    final: bool = True,
    masked: bool = True,
    reserved: int = 0,
    length: bytes | None = None,
) -> bytes:
    """A frame of a client. ``length``: the announced one, as it stands on the wire after the mask's bit."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    if length is None:
        length = (
            bytes([len(data)])
            if len(data) < 126
            else b"\x7e" + struct.pack("!H", len(data))
            if len(data) < 65536
            else b"\x7f" + struct.pack("!Q", len(data))
        )
    head = bytes([first, (0x80 if masked else 0) | length[0]]) + length[1:]
    mask = b"\x01\x02\x03\x04" if masked else b""
    covered = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data)) if masked else data
    return head + mask + covered


GOOD_JSON = b'{"n": 1}'
GOOD_PNG = encode_png(np.zeros((20, 30, 3), np.uint8))
GOOD = {
    "get": request(headers=(b"Connection: close",)),
    "page": request(target=b"/", token=None, headers=(b"Connection: close",)),
    "json": post(GOOD_JSON, b"Connection: close"),
    "json in chunks": post_chunked(chunked(GOOD_JSON[:3], GOOD_JSON[3:]), b"Connection: close"),
    "picture": post(GOOD_PNG, b"Connection: close", target=b"/picture"),
    "same origin": post(GOOD_JSON, b"Connection: close", b"Origin: http://localhost"),
    "other spellings of the host": request(host=b"LOCALHOST:1234", headers=(b"Connection: close",)),
    "asked before the body": post(GOOD_JSON, b"Connection: close", b"Expect: 100-continue"),
    "HTTP/1.0": request(version=b"HTTP/1.0"),
    "an upgrade that nobody knows": request(headers=(b"Upgrade: h2c", b"Connection: close, Upgrade")),
}


def bomb_png(width: int, height: int) -> bytes:
    """A whole PNG of black pixels: a few kB for each GB."""
    header = struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


# ---- the table ----


def smuggling() -> Iterator[Case]:
    """What two readers of one connection could take for requests of different lengths."""
    inner = b"GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n"
    both = (b"Content-Length: 5", b"Transfer-Encoding: chunked")
    yield Case("length and chunks", (request(b"POST", b"/json", both, b"0\r\n\r\n" + inner),), 400)
    yield Case("chunks and length", (request(b"POST", b"/json", both[::-1], b"0\r\n\r\n" + inner),), 400)
    for first, second in [(b"5", b"6"), (b"5", b"5"), (b"0", b"44"), (b"44", b"0")]:
        yield Case(
            f"lengths {first!r} and {second!r}",
            (request(b"POST", b"/json", (b"Content-Length: " + first, b"Content-Length: " + second), inner),),
            400,
        )
    for value in (
        b"5, 6",
        b"5,5",
        b"+5",
        b"-5",
        b"0x5",
        b"5 5",
        b"5.0",
        b"1e1",
        b"",
        b"five",
        b"9" * 19,
        b"9" * 40,
        b"\xb2",
        b"5;",
        b"00000000000000000000005",
    ):
        yield Case(
            f"length {value!r}",
            (request(b"POST", b"/json", (b"Content-Length: " + value,), b"12345"),),
            400,
        )
    for value in (b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity", b"xchunked", b"chunked\x0b", b"", b'"chunked"', b"chunked;x=1",
                  b"\x00chunked"):  # fmt: skip
        yield Case(
            f"coding {value!r}",
            (request(b"POST", b"/json", (b"Transfer-Encoding: " + value,), chunked(GOOD_JSON) + inner),),
            400,
        )
    for line in (b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked", b"X: y\r\n Transfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked",
                 b"Transfer-Encoding\t: chunked", b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"X: y\x00Transfer-Encoding: chunked",
                 b"Content-Length : 5", b"\x00Content-Length: 5", b"Content-Length: 5\n", b"X\r\nContent-Length: 5", b": 5", b"Content Length: 5"):  # fmt: skip
        yield Case(f"line {line!r}", (request(b"POST", b"/json", (line,), chunked(GOOD_JSON) + inner),), 400)
    yield Case("two codings", (post_chunked(chunked(GOOD_JSON), b"Transfer-Encoding: chunked"),), 400)
    yield Case(
        "chunks in HTTP/1.0",
        (request(b"POST", b"/json", (b"Transfer-Encoding: chunked",), chunked(GOOD_JSON), version=b"HTTP/1.0"),),
        400,
    )
    yield Case("bare line feeds", (request(end=b"\n"),), 400)
    yield Case("bare carriage returns", (request(end=b"\r") + b"\r\n\r\n",), 400)
    for size in (b"-1", b"+8", b"0x8", b"8 8", b"G", b"", b"1" * 21, b"\xb2", b"8\x00", b"8\r", b" 8"):
        yield Case(f"chunk size {size!r}", (post_chunked(size + b"\r\n" + GOOD_JSON + b"\r\n0\r\n\r\n"),), 400)
    yield Case("chunk that is longer than it says", (post_chunked(b"7\r\n" + GOOD_JSON + b"\r\n0\r\n\r\n"),), 400)
    yield Case("chunk that ends in half a line end", (post_chunked(b"8\r\n" + GOOD_JSON + b"\n0\r\n\r\n"),), 400)
    yield Case("trailer that is none", (post_chunked(chunked(GOOD_JSON, last=b"0\r\nbad trailer\r\n\r\n")),), 400)
    yield Case("trailer without end", (post_chunked(chunked(GOOD_JSON, last=b"0\r\nX: " + b"x" * 40_000)),))


def heads() -> Iterator[Case]:
    """Requests whose head is none, or too much."""
    yield Case("many headers", (request(headers=tuple(b"X-%d: 1" % number for number in range(500))),), 431)
    yield Case("65 headers", (request(headers=tuple(b"X-%d: 1" % number for number in range(63))),), 431)
    yield Case("a long header", (request(headers=(b"X: " + b"x" * 20_000,)),), 431)
    yield Case("a very long header", (request(headers=(b"X: " + b"x" * 2_000_000,)),))
    yield Case("a header without end", (request()[:-4] + b"\r\nX: ", *[b"x" * 5000] * 10))
    yield Case("a long name", (request(headers=(b"x" * 20_000 + b": 1",)),), 431)
    yield Case("a long path", (request(target=b"/read?" + b"x" * 5000),), 414)
    yield Case("a very long path", (request(target=b"/" + b"x" * 500_000),))
    yield Case("a line without end", (b"G" * 100_000,))
    for method in (b"TRACE", b"CONNECT", b"FOO", b"get", b"PROPFIND", b"SSTP_DUPLEX_POST", b"PRI"):
        yield Case(f"method {method!r}", (request(method),), 405)
    for method in (b"G\x00T", b"", b"GET\t", b"G ET", b"<GET>", b"G\xc3\xa4T"):
        yield Case(f"method {method!r}", (request(method),), 400)
    for target in (b"http://localhost/read", b"http://attacker.example/read", b"https://localhost/read", b"//", b"*", b"localhost:80", b"read", b"?x", b"/read#x",
                   b"/a/../read", b"/./read", b"/%2e%2e/%2e%2e/etc/passwd", b"/..%2f..%2fetc/passwd", b"/..%5c..%5cwindows", b"/read%00", b"/read%0d%0aX: y", b"/%0a",
                   b"/read%ff", b"/%c0%ae%c0%ae/", b"/read\x00", b"/re ad", b"/read\x7f", b"/read\xc3\xa4", b"", b"/%1b[2J", b"\\read", b"/\\..\\x"):  # fmt: skip
        yield Case(
            f"target {target!r}",
            (request(target=target, headers=(b"Connection: close",)),),
            404 if target == b"//" else 400,
        )
    for version in (b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/9.9", b"HTTP/1.1x", b"HTTP/11", b"http/1.1", b"HTTP/1.", b"HTTPS/1.1", b"", b"HTTP/1.1 HTTP/1.1",
                    b"HTTP/-1.1"):  # fmt: skip
        yield Case(f"version {version!r}", (request(version=version),), 400)
    for line in (
        b"X: \x00",
        b"X: \x01",
        b"X: \x0b",
        b"X: \x1b[31m",
        b"X: \x7f",
        b"X\x00: 1",
        b"X\xe4: 1",
        b"(X): 1",
        b"X y: 1",
        b"no colon",
        b"X@: 1",
    ):
        yield Case(f"header {line!r}", (request(headers=(line,)),), 400)
    yield Case("TLS where HTTP is spoken", (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),), 400)
    yield Case("HTTP/2 without asking", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30),))
    yield Case("nothing but an end", (b"\r\n\r\n",), 400)
    yield Case("noise", (random.Random(1).randbytes(3000) + b"\r\n\r\n",))
    yield Case("HTTP/0.9", (b"GET /read\r\n\r\n",), 400)
    yield Case("HEAD of a place that is none", (request(b"HEAD", b"/../x"),), 400)
    yield Case("an unknown wish", (request(headers=(b"Expect: the-impossible",)),), 417)
    yield Case("a thousand pipelined bad ones", (request(target=b"/../x") * 1000,))
    yield Case("half a request, then the end", (request()[:-10],), slow=True)


def names() -> Iterator[Case]:
    """Hosts, origins and tokens that are not ours."""
    for host in (b"attacker.example", b"attacker.example:80", b"localhost.attacker.example", b"127.0.0.1.nip.io", b"10.0.0.7", b"[::2]", b"0.0.0.0",
                 b"127.0.0.2", b"2130706433", b"0177.0.0.1"):  # fmt: skip
        yield Case(f"host {host!r}", (request(host=host),), 421)
    for host in (b"", b"localhost:99999", b"localhost:x", b"localhost,localhost", b"localhost/", b"user@localhost", b"[::1", b"loc\xe4lhost", b"*", b"localhost#",
                 b"http://localhost", b"localhost localhost", b"a" * 300):  # fmt: skip
        yield Case(f"host {host!r}", (request(host=host),), 400)
    yield Case("no host", (request(host=None),), 400)
    yield Case("no host in HTTP/1.0", (request(host=None, version=b"HTTP/1.0"),), 400)
    yield Case("two hosts", (request(headers=(b"Host: localhost",)),), 400)
    yield Case("two hosts, one not ours", (request(headers=(b"Host: attacker.example",)),), 400)
    for origin in (b"http://attacker.example", b"null", b"http://localhost:81", b"https://localhost", b"http://localhost.attacker.example", b"", b"file://", b"http://127.0.0.1",
                   b"http://localhost http://attacker.example", b"http://localhost/"):  # fmt: skip
        yield Case(f"origin {origin!r}", (post(GOOD_JSON, b"Origin: " + origin),), 403)
        yield Case(f"websocket of {origin!r}", (upgrade(b"Origin: " + origin),), 403)
    yield Case("two origins", (post(GOOD_JSON, b"Origin: http://localhost", b"Origin: http://localhost"),), 400)
    asks = (b"Origin: http://attacker.example", b"Access-Control-Request-Method: POST")
    yield Case("a stranger's question beforehand", (request(b"OPTIONS", b"/json", asks, token=None),), 403)
    for line in (None, b"X: 1", b"Authorization: Bearer", b"Authorization: Bearer ", b"Authorization: Basic dXNlcjpwYXNz", b"Authorization: " + TOKEN,
                 b"Authorization: Bearer Bearer " + TOKEN, b"Authorization: Bearer " + b"x" * 5000, b"Authorization: Bearer evk_\xe4",
                 b"Cookie: token=" + TOKEN, b"X-Authorization: Bearer " + TOKEN, b"Authorization: Bearer x" + TOKEN, b"Authorization: Bearer " + TOKEN + b"x",
                 b"Authorization: Bearer " + TOKEN + b",x"):  # fmt: skip
        yield Case(f"token {line!r}", (request(token=line),))
    yield Case("two tokens", (request(headers=(b"Authorization: Bearer x",)),), 400)
    yield Case("a token in the address", (request(target=b"/read?token=" + TOKEN, token=None),), 401)
    yield Case("a scope that it lacks", (request(target=b"/admin"),), 403)
    yield Case(
        "a token in the wrong protocol",
        (upgrade(b"Sec-WebSocket-Protocol: edgevision, edgevision.token.x", token=None),),
    )
    yield Case(
        "two tokens of a websocket",
        (upgrade(b"Sec-WebSocket-Protocol: edgevision.token.x, edgevision.token." + TOKEN, token=None),),
        400,
    )
    yield Case(
        "forwarded for the machine itself",
        (request(target=b"/admin", headers=(b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: https")),),
        403,
    )


def bodies() -> Iterator[Case]:
    """Bodies that are too much, too slow, or burst when they are unpacked."""
    yield Case("too long, announced", (post(b"", length=b"99999999"),), 413)
    yield Case("too long, sent", (post(b" " * 400_000),), 413)
    yield Case("too long in one chunk", (post_chunked(chunked(b" " * 400_000)),), 413)
    yield Case("too long in small chunks", (post_chunked(chunked(*[b" " * 10_000] * 40)),), 413)
    yield Case("tiny chunks", (post_chunked(b"1\r\n \r\n" * 3000 + chunked(GOOD_JSON)),), 400)
    yield Case("chunks without end", (post_chunked(b""), *[chunked(b" " * 50_000, last=b"")] * 30), 413)
    yield Case("a huge chunk announced", (post_chunked(b"fffffffffffffff\r\n" + b"x" * 400_000),), 413)
    yield Case("chunk extensions without end", (post_chunked(b"1;" + b"x" * 100_000),))
    yield Case("a body where none belongs", (request(headers=(b"Content-Length: 10",), body=b"0123456789"),), 413)
    yield Case("too long, asked beforehand", (post(b"", b"Expect: 100-continue", length=b"99999999"),), 413)
    yield Case("a picture that is too long", (post(bytes(1_100_000), target=b"/picture"),), 413)
    yield Case("too long for a route that does not read it", (post(bytes(1_100_000), target=b"/ignore"),), 413)
    for text in (b"[" * 100_000, b'{"n":' * 50_000, b'{"n":' + b"9" * 200_000 + b"}", b'{"n":1e999}', b'{"n":NaN}', b'{"n":-Infinity}', b'{"n":' + b"1" * 4000 + b"}", b"\xff\xfe", b"",
                 b'{"n":1', b"[]" * 100_000, b'{"n":"' + b"\\u0000" * 40_000 + b'"}', b"{" + b'"a":1,' * 40_000 + b'"n":""}', b'{"n":1}' * 9, b'"' + b"\\" * 200_000,
                 b'{"n":1.5}', b'{"n":9007199254740993}', b"\xef\xbb\xbf{}", b"null", b"-", b'{"n":0x1}', b"\x00" * 1000):  # fmt: skip
        yield Case(f"json {text[:12]!r} of {len(text)}", (post(text, b"Connection: close"),), 400)
    pictures = {
        "a tiny PNG of 60,000×60,000": png_of_size(60_000, 60_000), "a PNG of 2³¹ pixels a side": png_of_size(2**31 - 1, 2**31 - 1),
        "a JPEG of 65,500×65,500": jpeg_of_size(65_500, 65_500), "a PNG that unpacks to 100 MB": bomb_png(10_000, 10_000),
        "a PNG of no pixels": png_of_size(0, 10), "half a PNG": GOOD_PNG[: len(GOOD_PNG) // 2], "no picture": b"x" * 1000, "nothing": b"",
        "an SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "a GIF that is all promise": b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(10),
        "a BMP of negative size": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, -(2**31), -(2**31), 1, 24, 0, 0, 0, 0, 0, 0),
        "a TIFF whose pages are a circle": b"II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00",
    }  # fmt: skip
    for name, data in pictures.items():
        yield Case(name, (post(data, b"Connection: close", target=b"/picture"),), 400)


def websockets() -> Iterator[Case]:
    """WebSockets that begin wrongly."""
    for name, sent in {
        "no key": upgrade(key=b""), "a short key": upgrade(key=b"Sec-WebSocket-Key: short"), "a key of 17 bytes": upgrade(key=b"Sec-WebSocket-Key: " + b"A" * 23 + b"="),
        "two keys": upgrade(b"Sec-WebSocket-Key: " + KEY), "no version": upgrade(version=b""), "an old version": upgrade(version=b"Sec-WebSocket-Version: 8"),
        "by POST": upgrade(method=b"POST"), "with a body": upgrade(b"Content-Length: 5", rest=b"12345"), "with chunks": upgrade(b"Transfer-Encoding: chunked", rest=b"0\r\n\r\n"),
        "with a message in haste": upgrade(rest=frame(1, b"early")), "without a token": upgrade(token=None), "where there is none": upgrade(target=b"/nowhere"),
        "where HTTP is spoken": upgrade(target=b"/read"), "for another host": upgrade().replace(b"localhost", b"attacker.example"),
        "with a header that is not ASCII": upgrade(b"Sec-WebSocket-Protocol: \xe4"), "with a connection that is not ASCII": upgrade(b"Connection: \xe4"),
    }.items():  # fmt: skip
        yield Case(f"a WebSocket {name}", (sent,))


def slow() -> Iterator[Case]:
    """Those that take their time, each until a timer cuts it."""
    text = request(headers=(b"X: 1",) * 5)
    yield Case("headers byte by byte", tuple(text[place : place + 1] for place in range(60)), pause_s=0.05, slow=True)
    yield Case(
        "a header every moment",
        (request()[:-2], *(b"X-%d: 1\r\n" % number for number in range(30))),
        pause_s=0.1,
        slow=True,
    )
    yield Case("half a request line", (b"GET /re",), 408, slow=True)
    yield Case("a body that never comes", (post(b"", length=b"100"),), 408, slow=True)
    yield Case("a body byte by byte", (post(b"", length=b"1000"), *[b"x"] * 40), pause_s=0.05, slow=True)
    quick = [b" " * 20_000] * 12  # worth 12 s at the least rate
    yield Case("a quick start, then nothing", (post(b"", length=b"250000"), *quick), 408, pause_s=0.02, slow=True)
    yield Case("chunks byte by byte", (post_chunked(b""), *[b"1\r\nx\r\n"] * 40), pause_s=0.05, slow=True)
    yield Case("a chunk that never ends", (post_chunked(b"ff\r\nx"),), 408, slow=True)
    yield Case("an empty line, then silence", (b"\r",), slow=True)
    yield Case("too long, and on and on", (post(b"", length=b"99999999"), *[b"x" * 1000] * 30), pause_s=0.05, slow=True)
    yield Case("silence", (b"",), slow=True)


TABLE = [*smuggling(), *heads(), *names(), *bodies(), *websockets(), *slow()]
FRAMES: dict[str, tuple[bytes, ...]] = {
    "unmasked": (frame(1, b"x", masked=False),), "reserved bit 1": (frame(1, b"x", reserved=4),), "reserved bit 2": (frame(1, b"x", reserved=2),),
    "reserved bit 3": (frame(2, b"x", reserved=1),), "opcode 3": (frame(3, b"x"),), "opcode 7": (frame(7, b"x"),), "opcode 11": (frame(11),), "opcode 15": (frame(15),),
    "a continuation of nothing": (frame(0, b"x"),), "a text within a text": (frame(1, b"x", final=False), frame(1, b"y")),
    "a ping in parts": (frame(9, b"x", final=False),), "a long ping": (frame(9, bytes(126)),), "a close of one byte": (frame(8, b"\x03"),),
    "a close with a code of nobody's": (frame(8, b"\x00\x01"),), "a close with a reason that is no text": (frame(8, b"\x03\xe8\xff\xfe"),),
    "no text": (frame(1, b"\xff\xfe"),), "half a letter": (frame(1, b"\xc3"),), "a length with a sign": (frame(2, length=b"\x7f" + b"\xff" * 8),),
    "a length written too long": (frame(2, length=b"\x7f" + struct.pack("!Q", 5)) + b"xxxxx",), "a long length for 5": (frame(2, length=b"\x7e\x00\x05") + b"xxxxx",),
    "a message that is too long": (frame(2, length=b"\x7f" + struct.pack("!Q", 2**40)), *[bytes(100_000)] * 6),
    "one that is too long in parts": (frame(2, bytes(60_000), final=False), *[frame(0, bytes(60_000), final=False)] * 8),
    "empty parts without end": (frame(2, b"x", final=False), frame(0, final=False) * 500), "noise": (random.Random(2).randbytes(5000),),
    "HTTP again": (request(),), "a compressed one, unasked": (frame(1, zlib.compress(bytes(1000)), reserved=4),),
}  # fmt: skip


def generated(count: int) -> list[Case]:
    """Further ones like those of the table, from fixed seeds."""
    chance = random.Random(15)
    found = []
    while len(found) < count:
        found.append(chance.choice(_MAKERS)(chance))
    return found


def _a_host(chance: random.Random) -> Case:
    name = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789-.", k=chance.randint(3, 40))) + ".example"
    return Case(f"host {name}", (request(host=name.encode()),))


def _an_origin(chance: random.Random) -> Case:
    name = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(1, 20)))
    origin = f"{chance.choice(['http', 'https'])}://{name}.example:{chance.randint(1, 65535)}".encode()
    return Case(
        f"origin {origin!r}",
        (chance.choice([post(GOOD_JSON, b"Origin: " + origin), upgrade(b"Origin: " + origin)]),),
        403,
    )


def _a_length(chance: random.Random) -> Case:
    value = bytes(chance.choices(b"0123456789+-xXeE., \t\x0b_", k=chance.randint(1, 30)))
    while value.strip().isdigit():
        value += b"x"
    return Case(f"length {value!r}", (request(b"POST", b"/json", (b"Content-Length: " + value,), GOOD_JSON),), 400)


def _a_flood(chance: random.Random) -> Case:
    count, size = chance.randint(1, 300), chance.randint(1, 3000)
    lines = tuple(b"X-%d: %s" % (number, b"x" * size) for number in range(count))
    if count <= 60 and count * size < 16_000:
        lines *= 64
    return Case(f"{len(lines)} headers of {size}", (request(headers=lines),))


def _a_target(chance: random.Random) -> Case:
    steps = [
        chance.choice(
            [
                b"..",
                b"%2e%2e",
                b".%2e",
                b"%2E.",
                b"..%2f..",
                b"..%5c",
                b"%00",
                b"%0a",
                b"%0d%0a",
                b"%1b",
                b"%ff",
                b"%80",
                b"\\",
            ]
        )
    ]
    steps += [bytes(chance.choices(b"abcxyz%", k=0)) or b"a" for _ in range(chance.randint(0, 5))]
    chance.shuffle(steps)
    return Case(f"target {steps!r}", (request(target=b"/" + b"/".join(steps) + b"/read"),), 400)


def _a_control(chance: random.Random) -> Case:
    code = chance.choice([*range(9), 11, 12, *range(14, 32), 127])
    line = b"X-%d: a%sb" % (chance.randint(0, 99), bytes([code]))
    return Case(f"header {line!r}", (request(headers=(line,)),), 400)


def _some_json(chance: random.Random) -> Case:
    depth, digits = chance.randint(2000, 40_000), chance.randint(20, 100_000)
    text = chance.choice(
        [
            b"[" * depth + b"]" * depth,
            b'{"n":' * depth + b"1" + b"}" * depth,
            b'{"n":%s}' % (b"7" * digits),
            chance.randbytes(200),
            b'{"n":1e%d}' % digits,
        ]
    )
    return Case(f"json {text[:10]!r} of {len(text)}", (post(text, b"Connection: close"),), 400)


def _a_picture(chance: random.Random) -> Case:
    width, height = chance.randint(5000, 2**31 - 1), chance.randint(5000, 2**31 - 1)
    cut = GOOD_PNG[: chance.randint(1, len(GOOD_PNG) - 20)]
    data = chance.choice(
        [
            png_of_size(width, height),
            jpeg_of_size(max(5000, width % 65536), max(5000, height % 65536)),
            cut,
            chance.randbytes(500),
        ]
    )
    return Case(f"picture {data[:4]!r} {width}×{height}", (post(data, b"Connection: close", target=b"/picture"),), 400)


def _a_chunk(chance: random.Random) -> Case:
    size = bytes(chance.choices(b"0123456789abcdefgxyz+-. ;\x00\n", k=chance.randint(1, 30)))
    while re.fullmatch(rb"[0-9a-f]{1,20}(;[^\n]*)? *", size) is not None:
        size = b"z" + size
    return Case(f"chunk {size!r}", (post_chunked(size + b"\r\n" + GOOD_JSON + b"\r\n0\r\n\r\n"),), 400)


def _some_noise(chance: random.Random) -> Case:
    noise = b"\x80" + chance.randbytes(chance.randint(1, 4000)) + b"\r\n\r\n"
    return Case("noise", (noise,))


def _a_token(chance: random.Random) -> Case:
    return Case(
        "a guessed token", (request(token=b"Authorization: Bearer evk_" + bytes(chance.choices(b"abcXYZ019-_", k=43))),)
    )


def _a_broken_good_one(chance: random.Random) -> Case:
    """One byte of the request line's end or of the host's line is another."""
    whole = bytearray(request())
    place = whole.index(b"HTTP/1.1") + chance.randint(0, 4)
    whole[place] = chance.choice([byte for byte in range(256) if byte not in (whole[place], 10, 13)])
    return Case(f"version {bytes(whole[:30])!r}", (bytes(whole),))


_MAKERS = (
    _a_host,
    _an_origin,
    _a_length,
    _a_flood,
    _a_target,
    _a_control,
    _some_json,
    _a_picture,
    _a_chunk,
    _some_noise,
    _a_token,
    _a_broken_good_one,
)


# ---- what is shown ----


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    with running(tmp_path_factory.mktemp("hostile"), limits={"message_bytes": 300_000}) as running_server:
        yield running_server


def verdict(server: GuardedServer, case: Case) -> str | None:
    """What was wrong with how the server took a case; None: nothing."""
    answer = server.ask(*(piece.replace(TOKEN, server.token.encode()) for piece in case.pieces), pause_s=case.pause_s)
    codes = statuses(answer)
    if any(not 400 <= code < 500 for code in codes if code != 100):
        return f"{case.name}: answered {codes}"
    if case.status is not None and codes != [case.status]:
        return f"{case.name}: answered {codes}, expected {case.status}: {answer[:200]!r}"
    if b"Traceback" in answer or b"/site-packages" in answer or bytes(Path(__file__).parent) in answer:
        return f"{case.name}: tells of the inside: {answer[:300]!r}"
    return None


def faults_of(server: GuardedServer, cases: list[Case]) -> list[str]:
    quick = [fault for case in cases if not case.slow if (fault := verdict(server, case))]
    with ThreadPoolExecutor(16) as pool:
        slow_ones = [case for case in cases if case.slow]
        return quick + [fault for fault in pool.map(lambda case: verdict(server, case), slow_ones) if fault]


def test_there_are_enough_of_them():
    assert len({case.pieces for case in TABLE}) + len(FRAMES) >= 250
    assert len({case.pieces for case in generated(GENERATED)}) + len(TABLE) + len(FRAMES) >= 1000


@pytest.mark.parametrize("name", GOOD)
def test_the_good_ones_are_good(server, name):
    assert [code for code in statuses(server.ask(GOOD[name].replace(TOKEN, server.token.encode()))) if code != 100] == [
        200
    ]


def test_each_of_the_table_is_refused(server):
    assert faults_of(server, TABLE) == []
    assert statuses(server.good()) == [200]
    assert server.wait_until_at_rest()


def test_a_second_request_that_is_none_ends_the_connection(server):
    answer = server.ask(request().replace(TOKEN, server.token.encode()) + b"\x16\x03\x01" + bytes(40))
    assert statuses(answer) == [200, 400]


def opened(server: GuardedServer, connection: object) -> bytes:
    """Open a WebSocket; returns what came first after the handshake's answer, if anything."""
    connection.sendall(upgrade().replace(TOKEN, server.token.encode()))  # type: ignore[attr-defined]
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(4096)  # type: ignore[attr-defined]
        assert part, answer
        answer += part
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    return rest


def test_a_good_message_is_taken(server):
    with server.connect() as connection:
        opened(server, connection)
        connection.sendall(frame(2, bytes(70_000)))
        told = connection.recv(4096)
    assert json.loads(told[2:])["bytes"] == 70_000


@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_are_none_end_the_websocket(server, name):
    with server.connect() as connection:
        rest = opened(server, connection)
        answer = rest + server.talk(connection, FRAMES[name], limit_s=5)
    assert not answer or answer[0] == 0x88, answer[:100]  # cut, or told to close: no message was taken
    if answer:
        assert struct.unpack("!H", answer[2:4])[0] in {1002, 1005, 1007, 1009}
    assert statuses(server.good()) == [200]


def test_a_thousand_of_them_leave_the_server_as_it_was(server):
    """Memory, connections and the log, at the end of all."""
    cases = generated(GENERATED)
    assert faults_of(server, cases[: GENERATED // 3]) == []
    settled_mb = server.resident_mb
    assert faults_of(server, cases[GENERATED // 3 :] + TABLE) == []
    assert statuses(server.good()) == [200]
    assert server.resident_mb - settled_mb < 30
    assert server.wait_until_at_rest()
    lines = server.log_lines()
    assert len(lines) > 20
    assert [line for line in lines if LOG_LINE.match(line) is None or not line.isprintable()] == []
    assert [line for line in lines if '"level": "error"' in line or "Traceback" in line] == []
    assert server.token not in "\n".join(lines)
