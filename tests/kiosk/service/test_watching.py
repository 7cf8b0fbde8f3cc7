"""What is seen of requests: route, status, bytes, id; and the log lines and counters that come of it."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace

import pytest
from live_service import SocketClient, app_of, ask, recognised, running, wait_for

from edgevision.kiosk.service.live.hub import EventsHub
from edgevision.kiosk.service.logs import LogLines
from edgevision.kiosk.service.metrics import MetricSources, ServiceMetrics
from edgevision.kiosk.service.picture_folder import FolderUse, Quota
from edgevision.kiosk.service.watching import DEVICE, ErrorsSeen, Seen, Watch
from edgevision.streams.metrics import Metrics
from edgevision.streams.sink_status import Health, SpoolStatus

pytestmark = pytest.mark.requires("serve")
SEEN = Seen("0a1b", "till-3", "POST", "/v1/recognise", 200, 0.0123, 1000, 50)


def routes() -> list:
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route, WebSocketRoute

    async def echo(request):
        body = await request.body()
        return PlainTextResponse(f"{request.path_params['id']} {len(body)}", 201)

    async def broken(request):
        raise RuntimeError("nothing works")

    async def socket(websocket):
        if websocket.query_params.get("no"):
            await websocket.close()
            return
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    inner = [Route("/deep/{name}", echo)]
    return [
        Route("/v1/things/{id}", echo, methods=["POST"]), Route("/broken", broken), WebSocketRoute("/socket/{id}", socket),
        Mount("/inner", routes=inner),
    ]  # fmt: skip


def watched() -> tuple[Watch, list[Seen]]:
    seen: list[Seen] = []
    return Watch(app_of(routes()), [seen.append]), seen


@pytest.mark.parametrize(
    ("method", "target", "status", "method_seen", "route"),
    [
        ("POST", "/v1/things/secret-7?token=abc", 201, "POST", "/v1/things/{id}"),
        ("GET", "/v1/things/7", 405, "GET", "/v1/things/{id}"),
        ("GET", "/nothing/secret", 404, "GET", "other"),
        ("BREW", "/nothing", 404, "other", "other"),
    ],
)
def test_a_request_is_seen_by_its_template_and_no_value(method, target, status, method_seen, route):
    app, seen = watched()
    answer = ask(app, method, target, b"12345", state={DEVICE: "till-3"})
    (one,) = seen
    assert (one.status, one.method, one.route, one.device) == (status, method_seen, route, "till-3")
    assert answer.status == status
    assert answer.headers["x-request-id"] == one.request
    assert one.seconds > 0
    assert "secret" not in repr(one)
    if status == 201:
        assert (one.bytes_in, one.bytes_out) == (5, len(answer.body))
    assert app.in_flight == 0


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("order-42_a", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("a\r\nSet-Cookie: x", False),
        ("", False),
        ("é", False),
    ],
)
def test_a_clients_own_id_is_kept_where_it_is_one(given, kept):
    app, seen = watched()
    answer = ask(app, "POST", "/v1/things/7", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert seen[0].request == answer.headers["x-request-id"]


def test_what_breaks_is_seen_and_raised():
    app, seen = watched()
    with pytest.raises(RuntimeError, match="nothing works"):
        ask(app, "GET", "/broken")
    assert (seen[0].status, seen[0].route) == (500, "/broken")
    assert app.in_flight == 0


def test_a_client_that_hangs_up_is_seen():
    seen: list[Seen] = []

    async def slow(scope, receive, send) -> None:
        await asyncio.sleep(3600)

    async def run() -> None:
        app = Watch(slow, [seen.append])
        task = asyncio.ensure_future(app({"type": "http", "method": "GET", "headers": []}, None, None))
        await asyncio.sleep(0)
        assert app.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert app.in_flight == 0

    asyncio.run(run())
    assert seen[0].status == 499


def test_websockets_are_seen_when_they_end():
    app, seen = watched()
    with running(app) as server:
        client = SocketClient(server.port, "/socket/7")
        client.send("hello")
        assert client.closed()[0] == 1000
        wait_for(lambda: bool(seen))
        with pytest.raises(AssertionError):
            SocketClient(server.port, "/socket/7?no=1")
        wait_for(lambda: len(seen) == 2)
    assert [(one.method, one.route, one.status) for one in seen] == [
        ("WEBSOCKET", "/socket/{id}", 101), ("WEBSOCKET", "/socket/{id}", 403),
    ]  # fmt: skip
    assert (seen[0].bytes_in, seen[0].bytes_out, seen[0].endless) == (5, 5, True)


@pytest.mark.parametrize(
    ("kind", "endless"),
    [
        (b"text/event-stream; charset=utf-8", True),
        (b"multipart/x-mixed-replace; boundary=frame", True),
        (b"application/json", False),
    ],
)
def test_streams_are_told_from_answers(kind, endless):
    seen: list[Seen] = []

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": b""})

    ask(Watch(app, [seen.append]), "GET", "/")
    assert seen[0].endless is endless


def test_lifespan_passes_through():
    said: list[str] = []

    async def app(scope, receive, send) -> None:
        said.append(scope["type"])

    asyncio.run(Watch(app, [])({"type": "lifespan"}, None, None))
    assert said == ["lifespan"]


# ---- errors ----


def test_the_last_errors_are_remembered_and_no_more():
    errors = ErrorsSeen()
    for status in (200, 404, 503):
        errors.see(replace(SEEN, status=status))
    assert (errors.requests, errors.failed) == (3, 1)
    (one,) = errors.last
    assert (one["words"], one["request"]) == ("POST /v1/recognise was answered with 503", "0a1b")
    for number in range(200):
        errors.note(f"trouble {number}")
    assert len(errors.last) == 50
    assert errors.last[0]["words"] == "trouble 199"


# ---- the log ----


def lines_of(log: LogLines, out: io.StringIO) -> list[dict]:
    log.close(5.0)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_log_line_has_what_is_known():
    out = io.StringIO()
    log = LogLines(out)
    log.see(SEEN)
    (line,) = lines_of(log, out)
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "event": "request", "request": "0a1b", "device": "till-3", "method": "POST", "route": "/v1/recognise", "status": 200, "ms": 12.3,
        "bytes_in": 1000, "bytes_out": 50,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", '", "status": 500, "x": "', "\x00\x1b[2J\x7f\x85", "\u2028\u2029", "\ud800", "梨"]
)
def test_nothing_can_break_or_forge_a_line(text):
    out = io.StringIO()
    log = LogLines(out)
    log.see(replace(SEEN, device=text))
    log.write("trouble", words=text)
    first, second = lines_of(log, out)
    assert first["device"] == second["words"] == text
    written = out.getvalue()
    assert written.isascii()
    assert written.replace("\n", "").isprintable()


def test_a_log_that_nobody_reads_stops_nothing_and_is_counted():
    import threading

    gate = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            assert gate.wait(10.0)
            return super().write(text)

    out = Stuck()
    log = LogLines(out, waiting=2)
    for number in range(20):
        log.write("line", number=number)  # none waits
    assert log.dropped >= 14  # two are being written at most, and two wait
    gate.set()
    found = lines_of(log, out)
    assert sum(line.get("lines", 0) for line in found) == log.dropped
    assert len([line for line in found if line["event"] == "line"]) == 20 - log.dropped


def test_a_log_that_is_closed_elsewhere_ends_nothing():
    out = io.StringIO()
    out.close()
    log = LogLines(out)
    log.see(SEEN)
    log.close(5.0)
    log.close(5.0)


# ---- metrics ----


def scraped(metrics: ServiceMetrics, accept: str = "") -> dict[str, float]:
    """What Prometheus' own parser reads."""
    from prometheus_client.parser import text_string_to_metric_families

    answer = ask(app_of(metrics.routes()), "GET", "/metrics", headers={"Accept": accept} if accept else {})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        f"{one.name}{sorted(one.labels.items())}": one.value
        for family in text_string_to_metric_families(answer.body.decode())
        for one in family.samples
        if not one.name.endswith("_created")
    }


def test_requests_and_events_are_counted():
    metrics = ServiceMetrics()
    for status in (200, 200, 503):
        metrics.see(replace(SEEN, status=status))
    metrics.see(replace(SEEN, status=101, route="/v1/events", method="WEBSOCKET", seconds=5000.0, endless=True))
    metrics.count(recognised(1))
    metrics.count(recognised(1, "page-17"), "pages")
    found = scraped(metrics)
    name = "edgevision_http_requests_total[('method', 'POST'), ('route', '/v1/recognise'), ('status', "
    assert (found[f"{name}'200')]"], found[f"{name}'503')]"]) == (2, 1)
    assert found["edgevision_http_request_seconds_count[('route', '/v1/recognise')]"] == 3
    assert found["edgevision_http_request_seconds_bucket[('le', '0.01'), ('route', '/v1/recognise')]"] == 0
    assert found["edgevision_http_request_seconds_bucket[('le', '0.02'), ('route', '/v1/recognise')]"] == 3
    assert not any("/v1/events" in name and "seconds" in name for name in found)  # a WebSocket's hours are no latency
    assert found["edgevision_station_events_total[('event', 'recognised'), ('station', 'till')]"] == 1
    assert found["edgevision_station_events_total[('event', 'recognised'), ('station', 'pages')]"] == 1


def test_everything_that_is_read_when_somebody_asks():
    from live_service import MODEL

    batches = Metrics()
    for size in (1, 1, 4):
        batches.add_batch(size, 0.5)
    batches.add_model_failure()
    hub = EventsHub()
    hub.tell("x", {})
    spool = SpoolStatus(waiting=2, waiting_bytes=700, delivered=9, dropped={("refused", "event"): 1})
    metrics = ServiceMetrics(
        MetricSources(
            models=lambda: [MODEL], batches=lambda: {"shop": batches}, stations=lambda: {"till": "still"}, in_flight=lambda: 3, hub=hub,
            feedback=lambda: FolderUse(5, 600, Quota(1000, 10)), receipts=lambda: Health("cannot connect", spool),
        )
    )  # fmt: skip
    found = scraped(metrics)
    info = f"edgevision_model_info[('id', '{MODEL.id}'), ('model', 'shop'), ('proven', 'true'), ('variant', 'openvino-int8')]"
    expected = {
        "edgevision_http_in_flight[]": 3, info: 1, "edgevision_batch_frames_bucket[('le', '1.0'), ('model', 'shop')]": 2,
        "edgevision_batch_frames_count[('model', 'shop')]": 3, "edgevision_batch_frames_sum[('model', 'shop')]": 6,
        "edgevision_model_busy_seconds_total[('model', 'shop')]": 1.5, "edgevision_model_failures_total[('model', 'shop')]": 1,
        "edgevision_station_state[('state', 'still'), ('station', 'till')]": 1,
        "edgevision_station_state[('state', 'empty'), ('station', 'till')]": 0, "edgevision_events_told_total[]": 1,
        "edgevision_feedback_pictures[]": 5, "edgevision_receipts_up[]": 0, "edgevision_receipts_waiting[]": 2,
        "edgevision_receipts_delivered_total[]": 9, "edgevision_receipts_lost_total[('reason', 'refused')]": 1,
        "edgevision_receipts_lost_total[('reason', 'age')]": 0,
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected


def test_names_with_odd_characters_stay_names():
    metrics = ServiceMetrics(MetricSources(stations=lambda: {'till "3"\n\\': "empty"}))
    assert scraped(metrics)["edgevision_station_state[('state', 'empty'), ('station', 'till \"3\"\\n\\\\')]"] == 1


def test_two_services_in_one_program_do_not_meet():
    first, second = ServiceMetrics(), ServiceMetrics()
    first.see(SEEN)
    assert not any("http_requests_total" in name for name in scraped(second))


def test_openmetrics_where_it_is_asked_for():
    answer = ask(
        app_of(ServiceMetrics().routes()), "GET", "/metrics", headers={"Accept": "application/openmetrics-text"}
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("name", ["edgevision.service", "edgevision.kiosk.access", "uvicorn.error", "asyncio"])
def test_records_of_logging_come_into_the_same_log(name, request):
    import logging

    from edgevision.kiosk.service.logs import logging_into

    out = io.StringIO()
    log = LogLines(out)
    logger = logging.getLogger(name)
    before_level = logger.level
    request.addfinalizer(lambda: logger.setLevel(before_level))
    logger.setLevel(logging.WARNING)  # by its method, which forgets what the level of another test let through
    parents = [logging.getLogger(one) for one in ("edgevision", "uvicorn", "asyncio")]
    before = [list(one.handlers) for one in parents]
    with logging_into(log):
        logger.warning("said by %s", "a\nb")
        try:
            raise ValueError("wrong")
        except ValueError:
            logger.exception("failed")
    logger.warning("not any more")
    first, second = lines_of(log, out)
    assert (first["level"], first["logger"], first["words"]) == ("warning", name, "said by a\nb")
    assert second["traceback"].endswith("ValueError: wrong")
    assert [list(one.handlers) for one in parents] == before


def test_warnings_are_lines_of_the_log_too():
    import warnings

    from edgevision.errors import DeviceWarning
    from edgevision.kiosk.service.logs import logging_into

    out = io.StringIO()
    log = LogLines(out)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        before = warnings.showwarning
        with logging_into(log):
            warnings.warn("no GPU\nhere", DeviceWarning, stacklevel=1)
        assert warnings.showwarning is before
    (line,) = lines_of(log, out)
    assert (line["level"], line["logger"], line["words"]) == ("warning", "DeviceWarning", "no GPU\nhere")
