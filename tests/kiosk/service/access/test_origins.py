"""The header Origin: pages of other servers may neither change anything, nor open a WebSocket, nor read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.access.origins import OriginRules, listed_origins, parse_origin

RULES = OriginRules(listed_origins(["https://shop.example", "http://10.0.0.9:3000"]))
OWN = "http://localhost:8000"


def request(
    origin: str | None, method: str = "POST", kind: str = "http", scheme: str = "http", host: str = "localhost:8000",
    more: tuple[tuple[bytes, bytes], ...] = (),
) -> dict:  # fmt: skip
    headers = [(b"host", host.encode()), *more]
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    return {"type": kind, "method": method, "scheme": scheme, "headers": headers}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    [None, OWN, "http://LOCALHOST:8000", "https://shop.example", "https://shop.example:443", "http://10.0.0.9:3000"],
)
def test_who_may_change_something(method, origin):
    assert RULES.check(request(origin, method)) is None


STRANGERS = ["null", "", "http://attacker.example", "http://localhost", "http://localhost:8001", "https://localhost:8000", "http://localhost:8000/",
             "http://localhost:8000.attacker.example", "http://shop.example", "https://shop.example:8443", "https://xshop.example", "file://",
             "http://user@localhost:8000", "localhost:8000", "ftp://localhost:8000", "http://127.0.0.1:8000", "https://shop.example\x00"]  # fmt: skip


@pytest.mark.parametrize("origin", STRANGERS)
def test_strangers(origin):
    for one in (request(origin), request(origin, "DELETE"), request(origin, "GET", "websocket", "ws")):
        refusal = RULES.check(one)
        assert refusal is not None
        assert refusal.status == 403
    assert (
        RULES.check(request(origin, "GET")) is None
    )  # reading is let through, for browsers send no Origin with all of it …
    assert RULES.permission(request(origin, "GET")) == [(b"vary", b"origin")]  # … and keep the answer from the page


def test_own_page_over_tls_and_at_the_usual_ports():
    assert RULES.check(request("https://till-3.local", scheme="https", host="till-3.local")) is None
    assert RULES.check(request("https://till-3.local:443", scheme="wss", kind="websocket", host="till-3.local")) is None
    assert RULES.check(request("http://till-3.local", scheme="https", host="till-3.local")) is not None
    assert RULES.check(request("http://localhost", host="localhost:80")) is None


def test_two_origins_are_none():
    doubled = request(OWN, more=((b"origin", OWN.encode()),))
    refusal = RULES.check(doubled)
    assert refusal is not None
    assert refusal.status == 403


def test_cors_is_closed_unless_a_page_is_listed():
    closed = OriginRules(frozenset())
    assert closed.permission(request("https://shop.example", "GET")) == []
    assert (
        dict(RULES.permission(request("https://shop.example", "GET")))[b"access-control-allow-origin"]
        == b"https://shop.example"
    )


OWN_HEADERS = ["edgevision-deadline-ms", "idempotency-key", "inference-header-content-length", "last-event-id", "x-request-id"]  # fmt: skip


def test_a_listed_page_may_read_what_it_is_to_act_on():
    shown = dict(RULES.permission(request("https://shop.example", "GET")))[b"access-control-expose-headers"]
    assert {"retry-after", "x-request-id", "inference-header-content-length"} == set(shown.decode().split(", "))


def test_every_header_that_a_route_reads_may_be_sent_by_a_listed_page():
    """Those that browsers do not send of their own accord, found in the source."""
    from edgevision.kiosk import service

    texts = [path.read_text("utf-8") for path in Path(service.__path__[0]).rglob("*.py") if "access" not in path.parts]
    read = {name for text in texts for name in re.findall(r"request\.headers\.get\(\s*\"([a-z-]+)\"", text)}
    assert {"idempotency-key", "last-event-id"} <= read
    assert read <= {*OWN_HEADERS, "content-type", "content-length", "content-encoding", "if-none-match", "accept"}


def test_a_browsers_question_beforehand():
    asks = ((b"access-control-request-method", b"POST"),)
    listed = request("https://shop.example", "OPTIONS", more=asks)
    assert RULES.check(listed) is None
    told = dict(RULES.preflight(listed) or [])
    allowed = told[b"access-control-allow-headers"].decode().split(", ")
    assert set(allowed) == {"authorization", "content-type", *OWN_HEADERS}
    assert b"*" not in b"".join(told.values())
    refusal = RULES.check(request("http://attacker.example", "OPTIONS", more=asks))
    assert refusal is not None
    assert refusal.status == 403
    assert RULES.preflight(request("https://shop.example", "OPTIONS")) is None
    assert RULES.preflight(request("https://shop.example", "POST", more=asks)) is None


@pytest.mark.parametrize(
    "text",
    [
        "shop.example",
        "*",
        "https://shop.example/",
        "https://*.example",
        "https://shop.example; script-src *",
        "null",
        "",
    ],
)
def test_a_listed_origin_is_one(text):
    with pytest.raises(InputError, match="--allow-origin"):
        listed_origins([text])


def test_parts():
    assert parse_origin("https://[2001:DB8::1]") == ("https", "2001:db8::1", 443)
    assert parse_origin("HTTP://localhost") is None  # browsers write the scheme small
