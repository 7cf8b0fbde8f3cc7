"""The app by itself: mounted into another, asked in a child of fork, asked while its model is replaced; and how errors are told."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import os
from typing import Any

import pytest
from colors import plain
from live_service import ask
from stream_items import wait_until

from edgevision.decode import encode_png
from edgevision.errors import EdgeVisionError
from edgevision.frames import Frame
from edgevision.kiosk.service.access.guard import guarded
from edgevision.kiosk.service.access.settings import AccessSettings
from edgevision.kiosk.service.answers import RefusedError, error_answer, json_answer
from edgevision.kiosk.service.app import make_app
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.protocol import routes as protocol
from edgevision.kiosk.service.requests import Reply, Work
from edgevision.kiosk.service.service import Service
from edgevision.kiosk.service.watching import Watch
from edgevision.streams.captured import Captured

pytestmark = pytest.mark.requires("serve")

RED = encode_png(plain((250, 10, 20)))
OPTIONS = ServiceOptions(engine="onnxruntime", threads=1)


@pytest.fixture
def service(color_bundle):
    with Service([color_bundle()], OPTIONS) as made:
        yield made


def asked(app: Any, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    """One request to an ASGI app, without a server and without its lifespan."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
        "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": [(b"host", b"127.0.0.1")],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(one.get("body", b"") for one in sent[1:]))


def test_it_mounts_into_an_app_that_knows_nothing_of_it(service):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/edge", app=make_app(service))])
    status, told = asked(app, "POST", "/edge/v1/recognise", RED)
    assert (status, told["top"][0]["name"]) == (200, "red")
    assert asked(app, "GET", "/edge/v2/health/ready") == (200, {"ready": True})
    assert asked(app, "GET", "/edge/v2/models/none")[0] == 404
    assert asked(app, "GET", "/edge/none") == (404, {"error": "Not Found"})


def test_one_service_answers_in_several_event_loops(service):
    app = make_app(service)
    assert [asked(app, "POST", "/v1/recognise", RED)[0] for _ in range(3)] == [200] * 3


def test_more_routes_may_be_added(service):
    from edgevision.kiosk.service.route import Scope, route

    async def hello(request):
        return json_answer({"hello": request.app.state.service is service})

    async def broken(request):
        raise RuntimeError("/secret")

    app = make_app(service, [route("/hello", hello, scope=Scope.OPEN), route("/broken", broken, scope=Scope.OPEN)])
    assert asked(app, "GET", "/hello") == (200, {"hello": True})
    with pytest.raises(RuntimeError, match="/secret"):  # for the server's log; the client has been told by then
        asked(app, "GET", "/broken")


@pytest.mark.parametrize("id", ["order-7", None])
def test_what_fails_is_in_the_log_under_the_id_that_is_told(service, caplog, id):
    """A refusal with 500 or 507, one of the model, and a fault of ours: with the reason that no client is told."""
    from edgevision.kiosk.service.route import Scope, route

    def failing(error: Exception, cause: Exception | None):
        async def fails(request):
            raise error from cause

        return fails

    cases = {
        "/disk": (RefusedError(500, "the disk failed; see the service's log"), OSError("EIO in /srv/secret"), 500),
        "/full": (RefusedError(507, "too full"), None, 507),
        "/model": (EdgeVisionError("in /srv/secret"), None, 500),
    }
    added = [route(path, failing(*case[:2]), scope=Scope.OPEN) for path, case in cases.items()]
    app = Watch(guarded(make_app(service, added), AccessSettings()), ())
    headers = {"Host": "localhost"} | ({} if id is None else {"X-Request-ID": id})
    for path, (_, cause, status) in cases.items():
        caplog.clear()
        answer = ask(app, "GET", path, headers=headers)
        assert answer.status == status
        assert "secret" not in answer.json["error"]
        assert answer.json["id"] == answer.headers["x-request-id"] == (id or answer.json["id"])
        (record,) = [one for one in caplog.records if answer.json["id"] in one.getMessage()]
        if cause is not None:
            assert "EIO in /srv/secret" in logging.Formatter().format(record)
    caplog.clear()
    assert ask(app, "GET", "/none", headers=headers).json == {"error": "Not Found"}
    assert caplog.records == []


def test_a_fault_of_ours_has_one_id_too(service, caplog):
    from edgevision.kiosk.service.route import Scope, route

    async def broken(request):
        raise RuntimeError("/secret")

    made = make_app(service, [route("/broken", broken, scope=Scope.OPEN)])
    answer = ask(Watch(guarded(made, AccessSettings()), ()), "GET", "/broken", headers={"Host": "localhost"})
    assert (answer.status, answer.json["id"]) == (500, answer.headers["x-request-id"])
    told = [one for one in caplog.records if answer.json["id"] in one.getMessage()]
    assert any("RuntimeError: /secret" in logging.Formatter().format(one) for one in told)


def test_a_child_of_fork_says_what_to_do(service, monkeypatch):
    app, own = make_app(service), os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: own + 1)
    for method, path in (("POST", "/v1/recognise"), ("GET", "/v2/models/color")):
        status, told = asked(app, method, path, RED)
        assert status == 503
        assert "make it in the worker" in told["error"]
    assert asked(app, "GET", "/v2/health/ready") == (503, {"ready": False})


def test_a_request_that_meets_a_model_which_was_replaced_a_moment_ago_gets_the_new_ones_answer(color_bundle, service):
    """It asked which model answers before the switch, and had its picture ready after that one was closed."""
    old, models = service.models.get(), service.models
    with Service([color_bundle("new.edge")], OPTIONS) as other:
        new = other.models.get()
        given = iter([old, old, new, new, new])
        models.get = lambda name=None, version=None: next(given)  # type: ignore[method-assign]
        old.retire(10.0)
        status, told = asked(make_app(service), "POST", "/v1/recognise", RED)
        assert (status, told["top"][0]["name"]) == (200, "red")
        given = iter([old, old, new, new, new])
        port = new.input
        tensor = {"name": port.name, "shape": [1, 3, 8, 8], "datatype": "FP32", "data": [0.5] * 192}
        status, told = asked(
            make_app(service), "POST", "/v2/models/color/infer", json.dumps({"inputs": [tensor]}).encode()
        )
        assert (status, len(told["outputs"][0]["data"])) == (200, 3)


def test_json_has_its_limit(service, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_JSON_BYTES", 1000)
    status, told = asked(make_app(service), "POST", "/v2/models/color/infer", b" " * 1001)
    assert status == 413
    assert "send the tensor as binary data" in told["error"]
    assert asked(make_app(service), "POST", "/v2/models/color/infer", b" " * 1000)[0] == 400


@pytest.mark.parametrize("length", [1000, 100_000])
def test_long_json_is_read_in_a_thread_and_answered_the_same(service, length):
    """``length``: of what is read where it comes, and of what is not."""
    port = service.models.get().input
    one = {"name": port.name, "shape": [1, 3, 8, 8], "datatype": "FP32", "data": [0.25] * 192}
    body = json.dumps({"inputs": [one]}).encode()
    status, told = asked(make_app(service), "POST", "/v2/models/color/infer", body + b" " * length)
    assert (status, told["outputs"][0]["data"]) == (200, pytest.approx([2.0, 2.0, 2.0], abs=0.1))


def test_nothing_of_a_request_waits_for_the_garbage_collector(service):
    """A decoded picture is megabytes: many of them would be held until it comes round."""
    app = make_app(service)

    def held() -> int:
        # Not isinstance, which asks objects what they are: other packages' answer with a warning, or with work.
        return sum(type(one) in (Work, Reply, Captured, Frame) for one in gc.get_objects())

    asked(app, "POST", "/v1/recognise", RED)
    gc.collect()
    before = held()
    gc.disable()
    try:
        for picture in (RED, RED, b"no picture", RED):
            asked(app, "POST", "/v1/recognise", picture)
        wait_until(lambda: held() == before, 10.0)
    finally:
        gc.enable()


# ---- how answers are made ----


def test_numbers_that_json_does_not_have_are_null():
    told = json.loads(json_answer({"a": [math.nan, 1.5], "b": {"c": -math.inf}}).body)
    assert told == {"a": [None, 1.5], "b": {"c": None}}


def test_an_error_repeats_no_control_characters_and_not_everything():
    answer = error_answer(400, "a\r\nb\x1b[31m\u2028" + "x" * 5000)
    told = json.loads(answer.body)["error"]
    assert told.startswith("a\ufffd\ufffdb\ufffd[31m\ufffd")
    assert len(told) == 1000
    assert b"\\u" not in answer.body.replace("\ufffd".encode(), b"")


@pytest.mark.parametrize(
    ("refused", "headers"),
    [
        (RefusedError(503, "x", retry_after_s=0.01), {"Retry-After": "1"}),
        (RefusedError(503, "x", retry_after_s=2.2), {"Retry-After": "3"}),
        (RefusedError(413, "x", close=True), {"Connection": "close"}),
        (RefusedError(404, "x"), {}),
    ],
)
def test_headers_of_what_is_refused(refused, headers):
    assert refused.headers == headers
