"""Which heads of requests (request line and headers) are taken at all.

The parser, h11, is strict already. What it lets pass is refused here: what a proxy in front might read in another way than we do
(request smuggling), what stands for no place of ours, and what is larger than anything a client needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from edgevision.kiosk.service.access.refusals import Refusal
from edgevision.kiosk.service.access.settings import Limits

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_END = re.compile(rb"\n\r?\n")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FOLDED = re.compile(rb"\n[ \t]")
_SPACE_BEFORE_COLON = re.compile(rb"\n[^:\r\n]*[ \t]+:")
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_ONCE = (b"host", b"content-length", b"transfer-encoding", b"authorization", b"origin", b"content-type", b"expect", b"upgrade",
         b"sec-websocket-key", b"sec-websocket-version")  # fmt: skip


@dataclass(frozen=True)
class Head:
    """A request's head as the parser read it; names of headers in small letters."""

    method: bytes
    target: bytes
    version: bytes
    headers: Sequence[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[bytes]:
        """Of all headers of that name."""
        return [value for key, value in self.headers if key == name]

    @property
    def wants_websocket(self) -> bool:
        """Whether the server will hand the connection to its WebSocket protocol."""
        tokens = {token.strip().lower() for value in self.values(b"connection") for token in value.split(b",")}
        return b"upgrade" in tokens and [value.lower() for value in self.values(b"upgrade")] == [b"websocket"]


def check_bytes(received: bytes, limits: Limits) -> Refusal | None:
    """Judge a head by its bytes, before it is parsed: its size, whole or not, and how its lines end."""
    end = _END.search(received)
    head = received if end is None else received[: end.end()]
    if len(head) > limits.header_bytes:
        line_end = head.find(b"\n")
        if line_end < 0 or line_end > limits.target_bytes:
            return Refusal(414, f"the address is longer than {limits.target_bytes} bytes")
        return Refusal(431, f"the headers have more than {limits.header_bytes} bytes")
    if end is None:
        return None
    if head.count(b"\n") - 2 > limits.headers:
        return Refusal(431, f"there are more than {limits.headers} headers")
    if _BARE.search(head):
        return Refusal(400, "a line of the headers ends in half a line end; expected CR LF")
    if _CONTROL.search(head):
        return Refusal(400, "there is a control character in the headers")
    if _FOLDED.search(head):
        return Refusal(400, "a header is continued on a second line, which is outdated")
    if _SPACE_BEFORE_COLON.search(head):
        return Refusal(400, "there is a space before the colon of a header")
    return _check_names(head)


def _check_names(head: bytes) -> Refusal | None:
    """The parser makes one of two equal Content-Lengths, also of ``5, 5``; a proxy may not, so they are looked at here."""
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    names = [name.lower() for name, _, _ in lines]
    for name in _ONCE:
        if names.count(name) > 1:
            return Refusal(400, f"the header {name.decode()} is there more than once")
    if any(name.lower() == b"content-length" and not value.strip(b" \t").isdigit() for name, _, value in lines):
        return Refusal(400, "Content-Length is no number of bytes")
    return None


def check_head(head: Head, limits: Limits) -> Refusal | None:
    """Judge a head that was parsed."""
    if head.version not in {b"1.1", b"1.0"}:
        return Refusal(400, "expected HTTP/1.1")
    if head.method not in METHODS:
        return Refusal(405, "this method is not served", headers=(("allow", b", ".join(sorted(METHODS)).decode()),))
    return _check_target(head.target, limits) or _check_length(head) or _check_upgrade(head)


def _check_target(target: bytes, limits: Limits) -> Refusal | None:
    if len(target) > limits.target_bytes:
        return Refusal(414, f"the address is longer than {limits.target_bytes} bytes")
    if not target.startswith(b"/") or b"#" in target:
        return Refusal(400, "expected a path that begins with /, without the server's name and without #")
    path = unquote_to_bytes(target.partition(b"?")[0])
    if re.search(rb"[\x00-\x1f\x7f\\]", path):
        return Refusal(400, "there is a control character or a backslash in the path")
    if any(part in {b".", b".."} for part in path.split(b"/")):
        return Refusal(400, "there is . or .. in the path")
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return Refusal(400, "the path is not UTF-8")
    return None


def _check_length(head: Head) -> Refusal | None:
    coded = head.values(b"transfer-encoding")
    lengths = head.values(b"content-length")
    if coded and lengths:
        return Refusal(400, "there are both Content-Length and Transfer-Encoding")
    if coded and head.version == b"1.0":
        return Refusal(400, "HTTP/1.0 has no Transfer-Encoding")
    if any(len(value) > 18 for value in lengths):
        return Refusal(400, "Content-Length is no number of bytes")
    if any(value.lower() != b"100-continue" for value in head.values(b"expect")):
        return Refusal(417, "only Expect: 100-continue is known")
    return None


def _check_upgrade(head: Head) -> Refusal | None:
    """The server hands a WebSocket's request on without its body, so it must have none."""
    if not head.wants_websocket:
        return None
    if head.method != b"GET" or head.version != b"1.1":
        return Refusal(400, "a WebSocket begins with GET and HTTP/1.1")
    if head.values(b"transfer-encoding") or any(value != b"0" for value in head.values(b"content-length")):
        return Refusal(400, "a WebSocket's request has no body")
    if head.values(b"sec-websocket-version") != [b"13"]:
        return Refusal(426, "expected Sec-WebSocket-Version: 13")
    if not all(value.isascii() for _, value in head.headers):
        return Refusal(400, "the headers of a WebSocket's request are ASCII")
    keys = head.values(b"sec-websocket-key")
    if len(keys) != 1 or _KEY.fullmatch(keys[0]) is None:
        return Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    return None
