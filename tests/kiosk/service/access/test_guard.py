"""``guarded`` and the routes behind it, spoken to as a server does: ASGI's own messages, a clock of the test's own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgevision.errors import InputError
from edgevision.kiosk.service.access.guard import DEVICE, guarded
from edgevision.kiosk.service.access.settings import AccessSettings, FailureOptions, Limits
from edgevision.kiosk.service.access.tokens import add_token, revoke_token
from edgevision.kiosk.service.route import GATE, Scope, entrance_of, route, socket_route

pytestmark = pytest.mark.requires("serve")

SCOPES = [Scope.OPEN, Scope.INFER, Scope.READ, Scope.ADMIN]


class Said:
    """What an app sent back."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        starts = [one for one in messages if one["type"].endswith(".start")]
        self.status = starts[0]["status"] if starts else None
        self.starts = len(starts)
        self.headers = {name.decode(): value.decode() for name, value in (starts[0]["headers"] if starts else [])}
        self.body = b"".join(one.get("body", b"") for one in messages)

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


def ask(
    app: Any, path: str = "/", method: str = "GET", *, headers: dict[str, str] | None = None, pieces: tuple[bytes, ...] = (b"",), kind: str = "http",
    client: str = "10.0.0.7", subprotocols: tuple[str, ...] = (), extensions: bool = True, events: tuple[dict[str, Any], ...] = (),
) -> Said:  # fmt: skip
    """One request, from its start to the end of its answer."""
    told = {"host": "localhost:8000", **(headers or {})}
    request = {
        "type": kind, "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "http_version": "1.1", "server": ("127.0.0.1", 8000), "client": (client, 1), "asgi": {"version": "3.0", "spec_version": "2.3"},
        "headers": [(name.encode(), value.encode()) for name, value in told.items() if value],
    }  # fmt: skip
    if kind == "websocket":
        request |= {
            "subprotocols": list(subprotocols),
            "extensions": {"websocket.http.response": {}} if extensions else {},
        }
        waiting = [{"type": "websocket.connect"}, *events, {"type": "websocket.disconnect", "code": 1000}]
    else:
        waiting = [
            {"type": "http.request", "body": piece, "more_body": place < len(pieces) - 1}
            for place, piece in enumerate(pieces)
        ]
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(dict(message))

    asyncio.run(app(request, receive, send))
    return Said(said)


def small_app(seen: list[Any] | None = None) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, PlainTextResponse
    from starlette.websockets import WebSocket

    async def show(request: Request) -> PlainTextResponse:
        body = await request.body()
        if seen is not None:
            seen.append(request.scope.get(DEVICE))
        return PlainTextResponse(f"{len(body)}")

    async def talk(websocket: WebSocket) -> None:
        if seen is not None:
            seen.append(list(websocket.scope["subprotocols"]))
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(
            "<p>", headers={"server": "secret/1.0", "cache-control": "max-age=60", "X-Frame-Options": "SAMEORIGIN"}
        )

    async def fail(request: Request) -> PlainTextResponse:
        raise RuntimeError("secret in /home/till")

    async def five_hundred(request: Request) -> PlainTextResponse:
        return PlainTextResponse("meant so", status_code=500)

    routes = [
        route(f"/{scope.value}", show, scope=scope, methods=["GET", "POST"], max_body_bytes=10) for scope in SCOPES
    ]
    routes += [
        route("/page", page, scope=Scope.OPEN),
        route("/fail", fail, scope=Scope.OPEN),
        route("/500", five_hundred, scope=Scope.OPEN),
    ]
    return Starlette(routes=[*routes, *(socket_route(f"/ws-{scope.value}", talk, scope=scope) for scope in SCOPES)])


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "tokens.json"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# ---- who may call what ----


@pytest.mark.parametrize("held", [Scope.INFER, Scope.READ, Scope.ADMIN])
@pytest.mark.parametrize("needed", SCOPES)
def test_scopes(tokens, held, needed):
    seen: list[Any] = []
    token = add_token(tokens, "till-3", [held])
    app = guarded(small_app(seen), AccessSettings(tokens=tokens))
    may = needed in {Scope.OPEN, held} or held is Scope.ADMIN
    assert ask(app, f"/{needed.value}", headers=bearer(token)).status == (200 if may else 403)
    assert ask(app, f"/{needed.value}", "POST", headers=bearer(token)).status == (200 if may else 403)
    opened = ask(app, f"/ws-{needed.value}", kind="websocket", subprotocols=("edgevision", f"edgevision.token.{token}"))
    assert (opened.messages[0]["type"] == "websocket.accept") == may
    assert opened.status == (None if may else 403)
    if may:
        named = None if needed is Scope.OPEN else "till-3"
        assert seen == [named, named, ["edgevision"]]  # the token itself is not for the app


@pytest.mark.parametrize("needed", SCOPES)
def test_without_a_token(tokens, needed):
    add_token(tokens, "till-3", [Scope.ADMIN])
    app = guarded(small_app(), AccessSettings(tokens=tokens))
    for said in (ask(app, f"/{needed.value}"), ask(app, f"/ws-{needed.value}", kind="websocket")):
        assert said.status in ({200, None} if needed is Scope.OPEN else {401})
        if needed is not Scope.OPEN:
            assert said.headers["www-authenticate"].startswith("Bearer")
    bare = ask(app, f"/ws-{needed.value}", kind="websocket", extensions=False)
    assert bare.messages[0]["type"] == ("websocket.accept" if needed is Scope.OPEN else "websocket.close")


@pytest.mark.parametrize("needed", SCOPES)
def test_without_a_file_of_tokens_everybody_of_this_machine_may(needed):
    for app in (guarded(small_app(), AccessSettings()), small_app()):
        assert ask(app, f"/{needed.value}").status == 200


def test_no_token_is_let_in_once_all_are_revoked(tokens):
    token = add_token(tokens, "till-3", [Scope.READ])
    app = guarded(small_app(), AccessSettings(tokens=tokens))
    assert ask(app, "/read", headers=bearer(token)).status == 200
    revoke_token(tokens, "till-3")
    assert ask(app, "/read", headers=bearer(token)).status == 401
    assert ask(app, "/read").status == 401


def test_open_routes_do_not_look_at_tokens(tokens):
    add_token(tokens, "till-3", [Scope.READ])
    app = guarded(small_app(), AccessSettings(tokens=tokens, failures=FailureOptions(free=0)))
    for _ in range(5):
        assert ask(app, "/open", headers=bearer("wrong")).status == 200
    assert ask(app, "/read", headers=bearer("wrong")).status == 401  # not 429: none was counted


def test_a_route_that_says_no_scope_is_found_at_the_start(tokens):
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route, WebSocketRoute

    async def anything(one: Any) -> None: ...

    add_token(tokens, "till-3", [Scope.READ])
    well = route("/a", anything, scope=Scope.OPEN)  # type: ignore[arg-type]
    for bad in (
        Route("/b", anything),
        WebSocketRoute("/b", anything),
        Mount("/b", routes=[Route("/c", anything)]),
        Mount("/b", app=anything),
    ):
        with pytest.raises(ValueError, match="says no scope"):
            guarded(Starlette(routes=[well, bad]), AccessSettings(tokens=tokens))
    guarded(Starlette(routes=[well, Mount("/b", routes=[well])]), AccessSettings(tokens=tokens))
    entrance = entrance_of(well)
    assert entrance is not None
    assert (entrance.scope, entrance_of(Route("/b", anything))) == (Scope.OPEN, None)


def test_settings_that_do_not_fit_are_refused():
    for settings in (AccessSettings(host="0.0.0.0"), AccessSettings(tokens=Path("nowhere.json")), AccessSettings(allow_origins=("*",)),
                     AccessSettings(allow_frames=("https://a; script-src *",)), AccessSettings(host_names=("a b",))):  # fmt: skip
        with pytest.raises(InputError):
            guarded(small_app(), settings)


# ---- wrong tokens ----


def test_wrong_tokens_cost_time_and_lock_out_nobody_else(tokens):
    now_s = [100.0]
    known = add_token(tokens, "known", [Scope.READ])
    other = add_token(tokens, "other", [Scope.READ])
    settings = AccessSettings(tokens=tokens, failures=FailureOptions(free=3, first_s=1.0, longest_s=4.0))
    app = guarded(small_app(), settings, now_s=lambda: now_s[0])
    assert ask(app, "/read", headers=bearer(known)).status == 200
    assert [ask(app, "/read", headers=bearer(f"wrong-{n}")).status for n in range(6)] == [401, 401, 401, 401, 429, 429]
    refused = ask(app, "/read", headers=bearer("wrong"))
    assert refused.headers["retry-after"] == "1"
    assert ask(app, "/read", headers=bearer(known)).status == 200  # it was right from here before
    assert ask(app, "/read", headers=bearer(other)).status == 429  # it was not: even a right one is not looked at
    assert ask(app, "/read", headers=bearer(other), client="10.0.0.8").status == 200
    now_s[0] += 1.1
    assert ask(app, "/read", headers=bearer(other)).status == 200
    assert ask(app, "/read", headers=bearer("wrong")).status == 401
    assert ask(app, "/read", headers=bearer("wrong")).headers["retry-after"] == "2"


def test_guesses_beyond_the_bound_are_not_even_compared(tokens, monkeypatch):
    add_token(tokens, "till-3", [Scope.READ])
    app = guarded(small_app(), AccessSettings(tokens=tokens, failures=FailureOptions(free=2)), now_s=lambda: 0.0)
    compared = []
    compare = "edgevision.kiosk.service.access.tokens.find"
    monkeypatch.setattr(compare, lambda digest, all_of_them: compared.append(digest))
    for number in range(50):
        ask(app, "/read", headers=bearer(f"guess-{number}"))
    assert len(compared) == 3


# ---- hosts and pages ----


def test_host_and_origin_come_before_everything(tokens):
    add_token(tokens, "till-3", [Scope.READ])
    for settings in (AccessSettings(), AccessSettings(tokens=tokens)):
        app = guarded(small_app(), settings)
        assert ask(app, "/open", headers={"host": "attacker.example"}).status == 421
        assert ask(app, "/nowhere", headers={"host": "attacker.example"}).status == 421
        assert ask(app, "/ws-open", kind="websocket", headers={"host": "attacker.example"}).status == 421
        assert ask(app, "/open", headers={"host": ""}).status == 400
        assert ask(app, "/open", "POST", headers={"origin": "http://attacker.example"}).status == 403
        assert ask(app, "/ws-open", kind="websocket", headers={"origin": "http://attacker.example"}).status == 403
        assert ask(app, "/open", "POST", headers={"origin": "http://localhost:8000"}).status == 200


def test_a_listed_page_may_ask_and_read():
    app = guarded(small_app(), AccessSettings(allow_origins=("https://shop.example",)))
    asks = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    beforehand = ask(app, "/infer", "OPTIONS", headers=asks)
    assert beforehand.status == 204
    assert beforehand.headers["access-control-allow-origin"] == "https://shop.example"
    said = ask(app, "/infer", "POST", headers={"origin": "https://shop.example"})
    assert (said.status, said.headers["access-control-allow-origin"], said.headers["vary"]) == (
        200,
        "https://shop.example",
        "origin",
    )
    assert "cross-origin-resource-policy" not in said.headers
    assert (
        "access-control-allow-origin" not in ask(app, "/infer", headers={"origin": "http://attacker.example"}).headers
    )


# ---- answers ----

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        ("/open", {}, 200),
        ("/page", {}, 200),
        ("/nowhere", {}, 404),
        ("/fail", {}, 500),
        ("/500", {}, 500),
        ("/open", {"host": "attacker.example"}, 421),
    ],
)
def test_every_answer_has_the_security_headers(path, more, status):
    said = ask(guarded(small_app(), AccessSettings()), path, headers=more)
    assert said.status == status
    assert said.starts == 1
    assert said.headers.items() >= ALWAYS.items()
    policy = dict(part.strip().split(" ", 1) for part in said.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["connect-src"], policy["img-src"]) == (
        "'self'",
        "'self'",
        "'self' data: blob:",
    )
    assert (policy["frame-ancestors"], policy["object-src"]) == ("'none'", "'none'")
    assert "unsafe" not in said.headers["content-security-policy"]
    assert "camera=(self)" in said.headers["permissions-policy"]
    assert "server" not in said.headers
    kept = ("max-age=60", "SAMEORIGIN") if path == "/page" else ("no-store", "DENY")  # an app's own word counts
    assert (said.headers["cache-control"], said.headers["x-frame-options"]) == kept


def test_frames_of_a_listed_page():
    said = ask(guarded(small_app(), AccessSettings(allow_frames=("https://shop.example",))), "/page")
    assert "frame-ancestors https://shop.example" in said.headers["content-security-policy"]
    assert (
        "x-frame-options"
        not in ask(guarded(small_app(), AccessSettings(allow_frames=("https://shop.example",))), "/open").headers
    )


def test_a_failure_is_an_id_outside_and_the_whole_story_in_the_log(caplog):
    said = ask(guarded(small_app(), AccessSettings()), "/fail")
    told = json.loads(said.body)
    assert (said.status, told["error"]) == (500, "internal error")
    assert b"secret" not in said.body
    (record,) = [one for one in caplog.records if told["id"] in one.getMessage()]
    assert "secret in /home/till" in logging.Formatter().format(record)
    assert ask(guarded(small_app(), AccessSettings()), "/500").body == b"meant so"


# ---- bodies ----


@pytest.mark.parametrize(
    ("pieces", "headers", "status"),
    [
        ((b"x" * 10,), {}, 200), ((b"x" * 11,), {}, 413), ((b"x",) * 10, {}, 200), ((b"x",) * 11, {}, 413), ((b"x" * 5, b"x" * 6, b""), {}, 413),
        ((b"x" * 10,), {"content-length": "10"}, 200), ((b"",), {"content-length": "11"}, 413), ((b"",), {"content-length": "9" * 7}, 413),
    ],
)  # fmt: skip
def test_a_body_is_as_long_as_its_route_allows(pieces, headers, status):
    said = ask(guarded(small_app(), AccessSettings()), "/infer", "POST", headers=headers, pieces=pieces)
    assert (said.status, said.starts) == (status, 1)
    if status == 413:
        assert "10 bytes" in said.error
        assert said.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("encoding", "method", "status"),
    [
        ("gzip", "POST", 415), (" GZip ", "POST", 415), ("identity, br", "POST", 415), ("x\r\ny", "POST", 415),
        ("identity", "POST", 200), ("Identity", "POST", 200), ("gzip", "GET", 200),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scope", SCOPES)
def test_no_route_takes_a_compressed_body(encoding, method, status, scope):
    app = guarded(small_app(), AccessSettings())
    said = ask(app, f"/{scope.value}", method, headers={"content-encoding": encoding}, pieces=(b"x",))
    assert (said.status, said.starts) == (status, 1)
    if status == 415:
        assert "without Content-Encoding" in said.error
        assert said.headers["connection"] == "close"


def test_no_more_of_a_body_is_taken_than_allowed():
    """Also by an app that would answer otherwise when it is interrupted."""
    from edgevision.kiosk.service.access.body_limit import with_bounded_body

    taken = []

    async def app(request: Any, receive: Any, send: Any) -> None:
        try:
            while (message := await receive())["more_body"]:
                taken.append(message["body"])
        except Exception:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"mine"})

    async def run(request: Any, receive: Any, send: Any) -> None:
        await with_bounded_body(app, 10, request, receive, send)

    said = ask(run, method="POST", pieces=(b"xxx",) * 1000)
    assert (said.status, said.starts) == (413, 1)
    assert len(taken) == 3


def test_no_body_is_longer_than_all_routes_allow():
    app = guarded(small_app(), AccessSettings(limits=Limits(body_bytes=5)))
    for path in ("/infer", "/nowhere", "/page"):
        assert ask(app, path, "POST", headers={"content-length": "6"}).status == 413
    assert ask(app, "/infer", "POST", pieces=(b"xxx", b"xxx")).status == 413


def test_nothing_is_read_before_the_door(tokens):
    """Neither the body of a caller without token, nor one that is announced too long."""
    add_token(tokens, "till-3", [Scope.INFER])
    app = guarded(small_app(), AccessSettings(tokens=tokens))
    for headers in ({}, {"content-length": "11"}):
        pieces = (b"x" * 5,)
        said = ask(app, "/infer", "POST", headers=headers, pieces=pieces)
        assert said.status == 401


# ---- long answers ----


def stream(path: Path, revoke: Callable[[], None], seen: list[int]) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse

    async def show(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            for number in range(100):
                if number == 3:
                    revoke()
                seen.append(number)
                yield b"part"

        return StreamingResponse(parts())

    return Starlette(routes=[route("/stream", show, scope=Scope.READ)])


def test_a_long_answer_ends_when_its_token_is_revoked(tokens):
    token = add_token(tokens, "till-3", [Scope.READ])
    seen: list[int] = []
    settings = AccessSettings(tokens=tokens, limits=Limits(token_check_s=0.0))
    app = guarded(stream(tokens, lambda: revoke_token(tokens, "till-3"), seen), settings)
    said = ask(app, "/stream", headers=bearer(token))
    assert said.status == 200
    assert said.body == b"part" * 3
    assert max(seen) == 3
    assert said.messages[-1].get("more_body") is True  # so the server ends the connection


def test_a_websocket_ends_when_its_token_is_revoked(tokens):
    from starlette.applications import Starlette
    from starlette.websockets import WebSocket

    token = add_token(tokens, "till-3", [Scope.READ])

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)
            revoke_token(tokens, "till-3")

    settings = AccessSettings(tokens=tokens, limits=Limits(token_check_s=0.0))
    app = guarded(Starlette(routes=[socket_route("/ws", talk, scope=Scope.READ)]), settings)
    texts = tuple({"type": "websocket.receive", "text": text} for text in "abc")
    said = ask(app, "/ws", kind="websocket", headers=bearer(token), events=texts)
    assert [one.get("text") for one in said.messages[1:-1]] == ["a"]
    assert (said.messages[-1]["type"], said.messages[-1]["code"]) == ("websocket.close", 1008)


def test_other_kinds_of_messages_pass():
    seen = []

    async def app(request: Any, receive: Any, send: Any) -> None:
        seen.append(dict(request))

    asyncio.run(guarded(app, AccessSettings())({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]
    assert GATE not in seen[0]
